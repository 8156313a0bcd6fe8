/* The address space of one stage; see stage_mm.h. */
#include "restore/stage_mm.h"

#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "restore/mm.h"
#include "restore/mm_fork.h"
#include "restore/stages.h"

/* Each one takes another table of mappings; pages of further ones become copies. */
enum { FOREIGN_MOST = 64 };

struct build {
	const struct snap *snap;
	struct arena *arena;
	struct stage *stage;
	struct snap_range *foreign; /* mappings of others, sorted */
	size_t nr_foreign, cap_foreign;
	size_t cap_runs;
};

/* ---- mappings ----------------------------------------------------------------------------------
 */

static bool has_small_pages(const struct snap_vma *vma)
{
	return (vma->kind == VMA_ANON || vma->kind == VMA_FILE) && vma->flags & MAP_PRIVATE &&
	       !(vma->vmflags & VMF_HUGETLB);
}

const struct snap_vma *stage_vma_at(const struct snap_mm *mm, uint64_t addr)
{
	const struct snap_vma *vma = mm_vma_at(mm, addr);

	return vma && has_small_pages(vma) ? vma : NULL;
}

/* What is left of a mapping below or above the place of another one. */
static void vma_cut(struct snap_vma *vma, uint64_t start, uint64_t end)
{
	if (vma->kind == VMA_FILE || vma->kind == VMA_SHARED)
		vma->offset += start - vma->start;
	vma->start = start;
	vma->end = end;
}

static bool overlaps(const struct snap_vma *a, const struct snap_vma *b)
{
	return a->start < b->end && b->start < a->end;
}

/* What can be mapped again later. Stacks grow by touches, and attached segments stay in one piece.
 */
static bool gives_way(const struct snap *snap, const struct snap_vma *vma)
{
	if (vma->vmflags & (VMF_GROWSDOWN | VMF_HUGETLB))
		return false;
	return vma->kind == VMA_ANON || vma->kind == VMA_FILE ||
	       (vma->kind == VMA_SHARED && snap->mems[vma->mem].kind != MEM_SYSV);
}

static bool has_room(const struct build *b, const struct snap_vma *vma)
{
	const struct snap_mm *mm = &b->stage->mm;

	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (overlaps(&mm->vmas[i], vma) && !gives_way(b->snap, &mm->vmas[i]))
			return false;
	return gives_way(b->snap, vma);
}

static void vma_insert(struct build *b, const struct snap_vma *vma)
{
	struct snap_mm *mm = &b->stage->mm;
	struct snap_vma *vmas = arena_array(b->arena, mm->nr_vmas + 2, sizeof *vmas);
	size_t nr = 0;
	bool done = false;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *old = &mm->vmas[i];

		if (old->start < vma->start) {
			vmas[nr] = *old;
			vma_cut(&vmas[nr++], old->start,
				old->end < vma->start ? old->end : vma->start);
		}
		if (old->end > vma->start && !done) {
			vmas[nr++] = *vma;
			done = true;
		}
		if (old->end > vma->end) {
			vmas[nr] = *old;
			vma_cut(&vmas[nr++], old->start > vma->end ? old->start : vma->end,
				old->end);
		}
	}
	if (!done)
		vmas[nr++] = *vma;
	mm->vmas = vmas;
	mm->nr_vmas = nr;
}

/* Is there a mapping for the page now? Pages come by address. */
static bool page_has_place(struct build *b, const struct stage_page *page)
{
	const struct snap_vma *here = mm_vma_at(&b->stage->mm, page->addr);

	if (here && mm_fork_is_like(here, page->vma))
		return true;
	if (b->nr_foreign == FOREIGN_MOST || !has_room(b, page->vma))
		return false;
	vma_insert(b, page->vma);
	b->foreign = arena_grow(
		b->arena, b->foreign, b->nr_foreign, &b->cap_foreign, sizeof *b->foreign);
	b->foreign[b->nr_foreign++] = (struct snap_range){ page->vma->start, page->vma->end };
	return true;
}

/* ---- pages -------------------------------------------------------------------------------------
 */

static void run_add(struct build *b, const struct page_run *run)
{
	struct stage *st = b->stage;
	struct page_run *last = st->nr_runs ? &st->runs[st->nr_runs - 1] : NULL;

	if (last && last->frame == run->frame &&
		last->addr + (uint64_t)last->nr_pages * PAGES_PAGE == run->addr &&
		last->offset + last->nr_pages * PAGES_PAGE == run->offset) {
		last->nr_pages += run->nr_pages;
		return;
	}
	st->runs = arena_grow(b->arena, st->runs, st->nr_runs, &b->cap_runs, sizeof *st->runs);
	st->runs[st->nr_runs++] = *run;
}

static bool is_foreign(const struct build *b, uint64_t addr)
{
	for (size_t i = 0; i < b->nr_foreign; i++)
		if (b->foreign[i].start <= addr && addr < b->foreign[i].end)
			return true;
	return false;
}

static void held_add(struct build *b, const struct stage_page *page)
{
	run_add(b,
		&(struct page_run){ b->stage->mm.mem, 1, page->addr, page->frame, page->offset });
}

/* Its own pages, but where others are held or mapped. */
static void own_add(struct build *b, const struct page_run *run, const struct stage_page **held,
	const struct stage_page *end)
{
	for (uint32_t k = 0; k < run->nr_pages; k++) {
		uint64_t addr = run->addr + (uint64_t)k * PAGES_PAGE;

		while (*held < end && (*held)->addr < addr)
			held_add(b, (*held)++);
		if (*held < end && (*held)->addr == addr)
			held_add(b, (*held)++);
		else if (!is_foreign(b, addr))
			run_add(b, &(struct page_run){ run->mem, 1, addr, run->frame,
					   run->offset + k * PAGES_PAGE });
	}
}

static void runs_build(struct build *b, const struct page_index *index,
	const struct stage_page *held, size_t nr_held)
{
	const struct stage_page *end = held + nr_held;
	struct stage *st = b->stage;
	size_t nr;
	const struct page_run *runs = pages_runs_of(index, st->mm.mem, &nr);

	for (size_t i = 0; i < nr; i++)
		own_add(b, &runs[i], &held, end);
	while (held < end)
		held_add(b, held++);
	st->all = arena_array(b->arena, st->nr_runs + index->nr_runs, sizeof *st->all);
	memcpy(st->all, st->runs, st->nr_runs * sizeof *st->all);
	st->nr_all = st->nr_runs;
	for (size_t i = 0; i < index->nr_runs; i++)
		if (index->runs[i].mem != st->mm.mem)
			st->all[st->nr_all++] = index->runs[i];
}

struct stage *stage_build(const struct snap *snap, const struct page_index *index,
	const struct snap_mm *mm, const struct stage_page *pages, size_t nr)
{
	struct build b = { .snap = snap, .arena = snap->arena };
	struct stage_page *held = arena_array(snap->arena, nr, sizeof *held);
	size_t nr_held = 0;

	b.stage = arena_alloc(snap->arena, sizeof *b.stage);
	b.stage->mm = *mm;
	for (size_t i = 0; i < nr; i++)
		if (page_has_place(&b, &pages[i]))
			held[nr_held++] = pages[i];
	runs_build(&b, index, held, nr_held);
	return b.stage;
}
