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

uint32_t snap_shares_with(const struct snap *snap, uint32_t proc)
{
	const struct snap_proc *p = &snap->procs[proc];

	return p->shares_with != ID_NONE ? p->shares_with : p->parent;
}

bool snap_shares_vm(const struct snap *snap, uint32_t proc)
{
	uint32_t with = snap_shares_with(snap, proc);

	return with != ID_NONE && snap->procs[with].mm == snap->procs[proc].mm;
}

static bool is_fork(const struct snap *snap, uint32_t proc, uint32_t of)
{
	return snap_mm_is_fork(&snap->mms[snap->procs[proc].mm], &snap->mms[snap->procs[of].mm]);
}

/* CLONE_PARENT gives its maker's exit signal to a sibling. */
static uint32_t forked_sibling(const struct snap *snap, uint32_t proc)
{
	const struct snap_proc *p = &snap->procs[proc];

	for (uint32_t i = p->parent + 1; i < proc; i++)
		if (snap->procs[i].parent == p->parent &&
			snap->procs[i].exit_signal == p->exit_signal && is_fork(snap, proc, i))
			return i;
	return ID_NONE;
}

uint32_t snap_base_of(const struct snap *snap, uint32_t proc)
{
	const struct snap_proc *p = &snap->procs[proc];

	if (p->shares_with != ID_NONE)
		return is_fork(snap, proc, p->shares_with) ? p->shares_with : ID_NONE;
	if (p->parent != ID_NONE)
		return is_fork(snap, proc, p->parent) ? p->parent : forked_sibling(snap, proc);
	for (uint32_t i = 0; i < proc; i++)
		if (is_fork(snap, proc, i))
			return i;
	return ID_NONE;
}
