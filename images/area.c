/* Where a restore writes to a program that has checked in: it has to be memory of its own. */
#include <errno.h>
#include <sys/mman.h>

#include "images/snap.h"
#include "images/state.h"
#include "lib/protocol.h"

enum { PAGE = 4096 };

static bool area_is_in(const struct snap_vma *vma, uint64_t area)
{
	return vma->kind == VMA_ANON && (vma->prot & PROT_WRITE) && area >= vma->start &&
	       area < vma->end && vma->end - area >= SNAPCTL_AREA_LEN;
}

static bool area_is_mapped(const struct snap_mm *mm, uint64_t area)
{
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (area_is_in(&mm->vmas[i], area))
			return true;
	return false;
}

int areas_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (proc->area &&
			(proc->area % PAGE || !area_is_mapped(&snap->mms[proc->mm], proc->area)))
			return BAD(err, "process %d: area at %#llx", proc->pid,
				(unsigned long long)proc->area);
	}
	return 0;
}
