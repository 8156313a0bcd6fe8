/* Which shared anonymous memory is not inherited; see cousins.h. */
#include "restore/cousins.h"

#include <stdint.h>

#include "base/arena.h"
#include "images/snap.h"
#include "images/tree.h"

/* The process that has executed the program of this one. */
static uint32_t fork_root(const struct snap *snap, uint32_t proc)
{
	uint32_t base;

	while ((base = snap_base_of(snap, proc)) != ID_NONE)
		proc = base;
	return proc;
}

/* roots: by snap_mem, one more than the root of who maps it; 0: nobody yet. */
static bool roots_note(const struct snap *snap, uint32_t proc, uint32_t *roots, bool *cousins)
{
	const struct snap_mm *mm = &snap->mms[snap->procs[proc].mm];
	uint32_t root = ID_NONE;
	bool found = false;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];

		if (vma->kind != VMA_SHARED || snap->mems[vma->mem].kind != MEM_SHARED_ANON)
			continue;
		if (root == ID_NONE)
			root = fork_root(snap, proc);
		if (roots[vma->mem] && roots[vma->mem] != root + 1)
			cousins[vma->mem] = found = true;
		roots[vma->mem] = root + 1;
	}
	return found;
}

const bool *cousins_find(const struct snap *snap)
{
	uint32_t *roots;
	bool *cousins, found = false;

	if (snap->nr_procs < 2 || !snap->nr_mems)
		return NULL;
	roots = arena_array(snap->arena, snap->nr_mems, sizeof *roots);
	cousins = arena_array(snap->arena, snap->nr_mems, sizeof *cousins);
	/* Who shares an address space has got its mappings with it. */
	for (uint32_t i = 0; i < snap->nr_procs; i++)
		if (!snap_shares_vm(snap, i) && roots_note(snap, i, roots, cousins))
			found = true;
	return found ? cousins : NULL;
}
