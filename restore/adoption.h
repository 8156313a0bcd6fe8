#ifndef RESTORE_ADOPTION_H
#define RESTORE_ADOPTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Processes that a subreaper has adopted (PR_SET_CHILD_SUBREAPER of prctl(2)): they may be in a
 * session in which their parent has never been. Such a one is born in its session, by a process
 * that ends, and its parent adopts it again.
 */

struct err;
struct job;
struct tree;

/* Somebody in that session who descends from process `parent`; `base`, if it is one. NULL: nobody.
 */
struct job *adoption_maker(
	const struct tree *tree, uint32_t parent, uint32_t base, int32_t session);
/* A copy of maker, with that id, as a child of parent; its exit signal is SIGCHLD. */
int adoption_birth(struct tree *tree, struct job *maker, const struct job *parent, pid_t vpid,
	pid_t *pid, struct err *err);
/* Whether parent, NULL for one outside, adopts those whose parents end below it. */
int adoption_switch(const struct job *parent, bool on, struct err *err);

#endif
