#ifndef RESTORE_MM_SHARED_H
#define RESTORE_MM_SHARED_H

/*
 * Shared mappings of memory objects. A memfd or SysV segment was filled before (mems.h) and is
 * mapped or attached. A shared anonymous object exists only through its mappings: where it is
 * mapped once and whole, it is mapped in place; else whole in a staging hole, from which each piece
 * is duplicated by mremap(2) with an old size of 0.
 */
#include <stdbool.h>

struct err;
struct job;
struct mm_fresh;
struct snap_vma;

int shared_plan_map(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err);
/* Does a copy of the process have this mapping when it is forked (while the blob is parked)? */
bool shared_is_inherited(const struct job *job, const struct snap_vma *vma);
/* Objects that only descendants map, which can get them by inheritance alone. */
int shared_plan_stage(struct job *job, const struct mm_fresh *fresh, struct err *err);
/* Behind the filling, where seals are set: what was mapped when they were. Needs our descriptors.
 */
void shared_plan_sealed(struct job *job);
int shared_plan_finish(struct job *job, struct err *err);

#endif
