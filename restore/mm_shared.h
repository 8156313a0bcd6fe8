#ifndef RESTORE_MM_SHARED_H
#define RESTORE_MM_SHARED_H

/*
 * Shared mappings of memory objects. A memfd or SysV segment was filled before (mems.h) and is
 * mapped or attached. A shared anonymous object exists only through its mappings: where it is
 * mapped once and whole, it is mapped in place; else whole in a staging hole, from which each piece
 * is duplicated by mremap(2) with an old size of 0.
 */
struct err;
struct job;
struct mm_fresh;
struct snap_vma;

int shared_plan_map(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err);
/* Behind the filling, where seals are set: what was mapped when they were. Needs our descriptors.
 */
void shared_plan_sealed(struct job *job);
int shared_plan_finish(struct job *job, struct err *err);

#endif
