#ifndef RESTORE_STAGES_H
#define RESTORE_STAGES_H

#include <stddef.h>
#include <stdint.h>

#include "images/pages.h"
#include "images/snap.h"

/*
 * The memory that processes had when others were forked from them.
 *
 * Siblings share pages by copy on write also where the process that they come from has changed,
 * emptied or unmapped its own since. To share them again, that process holds such pages while they
 * are born: it goes through stages, each an address space that is its own one but for these pages
 * and their mappings, and becomes what it was at the dump when all are there.
 */

struct err;
struct job;
struct tree;

struct stage {
	struct snap_mm mm;
	struct page_run *runs; /* of its private pages, sorted; their mem is that of the process */
	size_t nr_runs;
	struct page_run *all; /* these, and those of all other memory objects behind them */
	size_t nr_all;
};

/* Looks for such pages. Nothing but trees whose dump has noticed some goes through stages. */
void stages_find(struct tree *tree);
/* What process i, that is about to be made, has to be first; NULL: what it was at the dump. */
struct stage *stages_first(struct tree *tree, uint32_t i);
/* Before the birth of process i: whom it is forked from becomes what it has to be for that. */
int stages_enter(struct tree *tree, uint32_t i, struct err *err);
/* After all births. */
int stages_end(struct tree *tree, struct err *err);

#endif
