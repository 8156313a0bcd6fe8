#ifndef RESTORE_STAGE_MM_H
#define RESTORE_STAGE_MM_H

#include <stddef.h>
#include <stdint.h>

#include "images/pages.h"
#include "images/snap.h"

/* The address space of one stage (stages.h), out of the last one and pages of others. */

struct stage;

/* A page of another process, and the mapping that it has there. It is held from the birth of fork
 * number `from` until that of number `to`, both included. */
struct stage_page {
	uint64_t addr;
	uint32_t frame, offset; /* where it is stored */
	const struct snap_vma *vma;
	size_t from, to;
};

/* The mapping at addr whose private pages siblings can share: of small pages; NULL: there is none.
 */
const struct snap_vma *stage_vma_at(const struct snap_mm *mm, uint64_t addr);
/* mm with these pages, sorted by address; in the snap's arena. */
struct stage *stage_build(const struct snap *snap, const struct page_index *index,
	const struct snap_mm *mm, const struct stage_page *pages, size_t nr);

#endif
