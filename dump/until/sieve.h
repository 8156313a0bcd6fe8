#ifndef DUMP_UNTIL_SIEVE_H
#define DUMP_UNTIL_SIEVE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A seccomp filter for a launched program, which has the kernel stop it at the calls that somebody
 * wants to see, and at no others: those cost nothing, not even the filter, whose answer the kernel
 * remembers per number. It is the oldest filter of each process of the tree, and dump/seccomp.c
 * leaves it out of the image.
 *
 * A filter cannot be taken out of a live process. So there is one only where the program ends with
 * the dump, and where installing it leaves no other trace: without CAP_SYS_ADMIN (of the machine,
 * not of a user namespace) it would set no_new_privs for good, and could not be told from the
 * program's own.
 */

struct arena;

bool sieve_is_possible(void);
/* wants() is asked for each number; one that is beyond all known ones stands for the rest. */
void sieve_make(struct sock_fprog *out, struct arena *a, bool (*wants)(const void *arg, int64_t nr),
	const void *arg);
/* In the child, right before its exec; async-signal-safe, returns an errno. */
int sieve_enter(const struct sock_fprog *sieve);

#endif
