#ifndef RESTORE_MM_H
#define RESTORE_MM_H

#include <stdbool.h>
#include <stdint.h>

#include "tracee/proc.h"

/* The address space: steps of the leader, in two parts around the filling of pages. */

struct err;
struct job;
struct snap_mm;
struct snap_vma;

/*
 * What the new process has right after its exec, and what follows from it. Sources and destinations
 * of the kernel's own mappings ([vvar], [vvar_vclock], [vdso]) are moved, all else is unmapped.
 */
struct mm_fresh {
	struct proc_vma *vmas;
	size_t nr;
};

/* A hole of len bytes free in the fresh and in the recorded address space, for the blob. 0: none.
 */
uint64_t mm_hole(const struct job *job, const struct mm_fresh *fresh, uint64_t len, uint64_t above);

/* Unmap what is there, move the vdso, map everything. job->plan has its base. */
int mm_plan_map(struct job *job, const struct mm_fresh *fresh, struct err *err);
/* One mapping, or a piece of one. */
int mm_plan_vma(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err);
/* The recorded mapping that addr lies in, NULL: there is none. */
const struct snap_vma *mm_vma_at(const struct snap_mm *mm, uint64_t addr);
/* Private memory of huge pages (hugetlb). */
bool mm_is_huge(const struct snap_vma *vma);
/* After the pages are in: final protections, advice, locks, names, guard pages, mm fields. */
int mm_plan_finish(struct job *job, struct err *err);

#endif
