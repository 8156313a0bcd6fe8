#ifndef RESTORE_PLAN_H
#define RESTORE_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "restorer-blob/plan.h"

/*
 * Builds what the blob will do (restorer-blob/plan.h). The place where blob and plan will lie in
 * the new address space is chosen first, so that data handed to system calls has its final address.
 */
struct plan {
	uint64_t base; /* of the blob; the plan starts at base + plan_code_size() */
	size_t nr_threads;
	struct buf data;   /* what system calls point to */
	struct buf *steps; /* struct blob_step, per thread */
	struct blob_thread *threads;
};

void plan_init(struct plan *p, uint64_t base, size_t nr_threads);
void plan_finish(struct plan *p);

/* Bytes of the blob's code, rounded up to pages. */
size_t plan_code_size(void);
/* Copy len bytes into the plan; the address they will have there. 16-aligned. */
uint64_t plan_data(struct plan *p, const void *data, size_t len);

/* Append a step to a thread's list; what is not set is zero. Valid until the next one is added. */
struct blob_step *plan_step(struct plan *p, size_t thread, enum blob_op op);
/* Number of steps a thread has so far: the index of the next one. */
size_t plan_nr_steps(const struct plan *p, size_t thread);
struct blob_step *plan_step_at(struct plan *p, size_t thread, size_t index);

struct plan_args {
	uint64_t a[6];
};
/* A system call that must not fail. */
struct blob_step *plan_syscall(struct plan *p, size_t thread, long nr, struct plan_args args);

/* The bytes to put at base: code, header, threads, data, steps. Ends the lists of steps. */
void plan_layout(struct plan *p, struct buf *out);
/* Address of a step's field after plan_layout, to patch or read it in the target. */
uint64_t plan_step_addr(const struct plan *p, size_t thread, size_t index);
uint64_t plan_threads_addr(const struct plan *p);
/* Bytes at base that belong to the blob, whole pages: what was laid out, and the stacks behind it.
 */
size_t plan_size(const struct plan *p);

#endif
