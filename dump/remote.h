#ifndef DUMP_REMOTE_H
#define DUMP_REMOTE_H

#include <stddef.h>
#include <stdint.h>

/* Questions that only a system call made by the thread itself can answer (DESIGN D6). */

struct err;
struct tracee;
struct tracee_thread;

/* A call whose failure is ours: *ret (may be NULL) is its answer, not negative. `what` is for the
 * message. */
int remote_call(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	const char *what, uint64_t *ret, struct err *err);
/*
 * A call that fills len bytes at the address in args[out_arg], which is set to scratch memory here;
 * out gets the bytes.
 */
int remote_get(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	unsigned out_arg, void *out, size_t len, const char *what, struct err *err);
/* prctl(option) that returns its answer. */
int remote_prctl(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	uint64_t *value, struct err *err);
/* prctl(option, &int). */
int remote_prctl_int(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	int32_t *value, struct err *err);
/* As remote_prctl, for options that this kernel may not have (EINVAL): *value is 0 then. */
int remote_prctl_maybe(struct tracee *t, struct tracee_thread *th, int option, const char *what,
	uint64_t *value, struct err *err);

#endif
