/* How the processes of an image descend from each other; see tree.h. */
#include "images/tree.h"

#include <string.h>

/* The auxiliary vector tells the place of program, stack, vdso and the address of 16 random bytes
 * (getauxval(3)): with address space randomization it is the same only after a fork. */
bool snap_mm_is_fork(const struct snap_mm *mm, const struct snap_mm *of)
{
	return mm->exe == of->exe && mm->start_stack == of->start_stack &&
	       mm->start_code == of->start_code && mm->nr_auxv == of->nr_auxv &&
	       !memcmp(mm->auxv, of->auxv, mm->nr_auxv * sizeof *mm->auxv);
}

bool snap_shares_vm(const struct snap *snap, uint32_t proc)
{
	uint32_t parent = snap->procs[proc].parent;

	return parent != ID_NONE && snap->procs[parent].mm == snap->procs[proc].mm;
}

uint32_t snap_base_of(const struct snap *snap, uint32_t proc)
{
	uint32_t parent = snap->procs[proc].parent;
	const struct snap_mm *mm = &snap->mms[snap->procs[proc].mm];

	if (parent != ID_NONE)
		return snap_mm_is_fork(mm, &snap->mms[snap->procs[parent].mm]) ? parent : ID_NONE;
	for (uint32_t i = 0; i < proc; i++)
		if (snap_mm_is_fork(mm, &snap->mms[snap->procs[i].mm]))
			return i;
	return ID_NONE;
}
