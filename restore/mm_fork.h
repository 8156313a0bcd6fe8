#ifndef RESTORE_MM_FORK_H
#define RESTORE_MM_FORK_H

#include <stdbool.h>

/*
 * The address space of a process that is forked from another restored one, so that both share pages
 * by copy on write as they did before the dump. What the two have in common stays; the rest is
 * unmapped and mapped, and pages that differ are dropped or noted in job->fork_runs.
 */

struct err;
struct job;
struct mm_fresh;
struct snap_vma;

/* The first part of the plan of a copy of `base`, which has its pages and is parked; or of `base`
 * itself, when it leaves a stage (stages.h). */
int mm_fork_plan(
	struct job *job, const struct job *base, const struct mm_fresh *fresh, struct err *err);
/* Where they overlap, can a private mapping of the one process serve as that of the other? */
bool mm_fork_is_like(const struct snap_vma *a, const struct snap_vma *b);

#endif
