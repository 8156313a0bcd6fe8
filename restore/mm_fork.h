#ifndef RESTORE_MM_FORK_H
#define RESTORE_MM_FORK_H

/*
 * The address space of a process that is forked from another restored one, so that both share pages
 * by copy on write as they did before the dump. What the two have in common stays; the rest is
 * unmapped and mapped, and pages that differ are dropped or noted in job->fork_runs.
 */

struct err;
struct job;
struct mm_fresh;

/* The first part of the plan of a copy of `base`, which has its pages and is parked. */
int mm_fork_plan(
	struct job *job, const struct job *base, const struct mm_fresh *fresh, struct err *err);

#endif
