/* Which pages are held for whom, and until when; see stages.h. */
#include "restore/stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "images/tree.h"
#include "restore/birth.h"
#include "restore/handover.h"
#include "restore/job.h"
#include "restore/stage_mm.h"
#include "restore/tree_birth.h"

/* Restoring in stages costs time: what it saves has to be worth that. */
enum { WORTH_PAGES = 64, WORTH_SHARE = 20 };

/* Where contents are stored; those of one address that are stored at one place were shared. */
struct version {
	uint32_t frame, offset;
};

/* What process i holds for those that are forked from it, in the order of their births. */
struct stages {
	uint32_t *forks;
	size_t nr_forks;
	struct stage_page *pages; /* by address, then by time */
	size_t nr_pages, cap_pages;
	size_t now; /* whose birth it is ready for; nr_forks: it is as at the dump */
};

struct search {
	const struct snap *snap;
	const struct page_index *index;
	struct stages **of; /* by snap_proc, NULL: nobody is forked from it */
	uint32_t *base;     /* by snap_proc: snap_base_of */
	uint8_t *uses;      /* by stored page: of how many runs it is part, 2 means more */
	uint64_t *wanted;   /* addresses of one process */
	size_t nr_wanted, cap_wanted;
};

/* ---- pages -------------------------------------------------------------------------------------
 */

static const struct snap_mm *mm_of(const struct search *s, uint32_t i)
{
	return &s->snap->mms[s->snap->procs[i].mm];
}

static size_t use_of(const struct version *v)
{
	return (size_t)v->frame * (PAGES_FRAME / PAGES_PAGE) + v->offset / PAGES_PAGE;
}

static void uses_count(struct search *s)
{
	const struct page_index *index = s->index;

	s->uses = arena_array(
		s->snap->arena, index->nr_frames + 1, PAGES_FRAME / PAGES_PAGE * sizeof *s->uses);
	for (size_t i = 0; i < index->nr_runs; i++) {
		struct version v = { index->runs[i].frame, index->runs[i].offset };
		uint8_t *uses = s->uses + use_of(&v);

		for (uint32_t k = 0; k < index->runs[i].nr_pages; k++)
			uses[k] += uses[k] < 2;
	}
}

static bool same_version(const struct version *a, const struct version *b)
{
	return a->frame == b->frame && a->offset == b->offset;
}

/* What process i has at addr at the end; false: no page. */
static bool last_version(const struct search *s, uint32_t i, uint64_t addr, struct version *out)
{
	size_t nr;
	const struct page_run *run = pages_runs_from(s->index, mm_of(s, i)->mem, addr, &nr);

	if (!nr || run->addr > addr)
		return false;
	*out = (struct version){ run->frame, run->offset + (uint32_t)(addr - run->addr) };
	return true;
}

/* The page that stages of process i hold at addr at the time of that fork, NULL: none. */
static const struct stage_page *held_page(const struct stages *st, uint64_t addr, size_t fork)
{
	size_t low = 0, high = st ? st->nr_pages : 0;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct stage_page *page = &st->pages[mid];

		if (page->addr < addr || (page->addr == addr && page->to < fork))
			low = mid + 1;
		else
			high = mid;
	}
	return st && low < st->nr_pages && st->pages[low].addr == addr &&
			       st->pages[low].from <= fork
		       ? &st->pages[low]
		       : NULL;
}

/* What process i is to have at addr when it is born itself. */
static bool first_version(const struct search *s, uint32_t i, uint64_t addr, struct version *out,
	const struct snap_vma **vma)
{
	const struct stage_page *held = held_page(s->of[i], addr, 0);

	if (held) {
		*out = (struct version){ held->frame, held->offset };
		*vma = held->vma;
		return true;
	}
	*vma = stage_vma_at(mm_of(s, i), addr);
	return *vma && last_version(s, i, addr, out);
}

/* ---- who wants what ----------------------------------------------------------------------------
 */

static bool is_forked_from(const struct search *s, uint32_t i, uint32_t above)
{
	while (i != ID_NONE && i != above)
		i = s->base[i];
	return i == above;
}

/* Does anybody have that page who does not come from process i? */
static bool others_have(
	const struct search *s, uint32_t i, uint64_t addr, const struct version *version)
{
	if (s->uses[use_of(version)] < 2)
		return false;
	for (uint32_t k = 0; k < s->snap->nr_procs; k++) {
		struct version theirs;

		if (!is_forked_from(s, k, i) && last_version(s, k, addr, &theirs) &&
			same_version(&theirs, version))
			return true;
	}
	return false;
}

static void want(struct search *s, uint64_t addr)
{
	s->wanted = arena_grow(
		s->snap->arena, s->wanted, s->nr_wanted, &s->cap_wanted, sizeof *s->wanted);
	s->wanted[s->nr_wanted++] = addr;
}

/* Where pages of this run are shared, but not with process `with`. */
static void want_run(struct search *s, const struct page_run *run, uint32_t with)
{
	for (uint32_t k = 0; k < run->nr_pages; k++) {
		struct version v = { run->frame, run->offset + k * PAGES_PAGE }, theirs;
		uint64_t addr = run->addr + (uint64_t)k * PAGES_PAGE;

		if (s->uses[use_of(&v)] > 1 &&
			!(last_version(s, with, addr, &theirs) && same_version(&v, &theirs)))
			want(s, addr);
	}
}

static bool is_part(const struct page_run *run, const struct page_run *of)
{
	return run->frame == of->frame && run->addr >= of->addr &&
	       run->addr - of->addr == (uint64_t)run->offset - of->offset &&
	       run->nr_pages + (run->addr - of->addr) / PAGES_PAGE <= of->nr_pages;
}

/* Most runs are also runs of the base, or parts of them. */
static void want_of(struct search *s, uint32_t i, uint32_t base)
{
	size_t nr, nr_theirs;
	const struct page_run *runs = pages_runs_of(s->index, mm_of(s, i)->mem, &nr);
	const struct page_run *theirs = pages_runs_of(s->index, mm_of(s, base)->mem, &nr_theirs);

	for (size_t k = 0; k < nr; k++) {
		while (nr_theirs &&
			theirs->addr + (uint64_t)theirs->nr_pages * PAGES_PAGE <= runs[k].addr) {
			theirs++;
			nr_theirs--;
		}
		if (!nr_theirs || !is_part(&runs[k], theirs))
			want_run(s, &runs[k], base);
	}
	for (size_t k = 0; s->of[i] && k < s->of[i]->nr_pages; k++)
		if (s->of[i]->pages[k].from == 0)
			want(s, s->of[i]->pages[k].addr);
}

static int address_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* ---- the stages of one process -----------------------------------------------------------------
 */

static void hold(struct search *s, struct stages *st, const struct stage_page *page)
{
	st->pages = arena_grow(
		s->snap->arena, st->pages, st->nr_pages, &st->cap_pages, sizeof *st->pages);
	st->pages[st->nr_pages++] = *page;
}

static void pages_reverse(struct stage_page *pages, size_t nr)
{
	for (size_t i = 0; i < nr / 2; i++) {
		struct stage_page swap = pages[i];

		pages[i] = pages[nr - 1 - i];
		pages[nr - 1 - i] = swap;
	}
}

/*
 * At one address, from the last birth to the first: a page that a process is to inherit is there
 * from the birth before it which wants another one on. Pages of the same content become one.
 */
static void hold_at(struct search *s, uint32_t i, struct stages *st, uint64_t addr)
{
	struct version last, v;
	struct stage_page now = { .addr = addr };
	bool has_last = last_version(s, i, addr, &last), holds = false;
	size_t first = st->nr_pages;

	for (size_t k = st->nr_forks; k-- > 0;) {
		const struct snap_vma *vma;
		bool is_last;

		if (!first_version(s, st->forks[k], addr, &v, &vma))
			continue;
		is_last = has_last && same_version(&v, &last);
		if (!is_last && !others_have(s, st->forks[k], addr, &v))
			continue;
		if (holds && same_version(&v, &(struct version){ now.frame, now.offset }))
			continue;
		if (holds) {
			now.from = k + 1;
			hold(s, st, &now);
		}
		holds = !is_last;
		now.frame = v.frame;
		now.offset = v.offset;
		now.vma = vma;
		now.to = k;
	}
	if (holds) {
		now.from = 0;
		hold(s, st, &now);
	}
	pages_reverse(st->pages + first, st->nr_pages - first);
}

/* So many of those that are forked while it is held inherit the page. */
static size_t heirs_of(
	const struct search *s, const struct stages *st, const struct stage_page *page)
{
	const struct version held = { page->frame, page->offset };
	size_t heirs = 0;

	for (size_t k = page->from; k <= page->to; k++) {
		const struct snap_vma *vma;
		struct version v;

		heirs += first_version(s, st->forks[k], page->addr, &v, &vma) &&
			 same_version(&v, &held);
	}
	return heirs;
}

/* So many pages would be copies without the stages. One with one heir is somebody else's, too. */
static size_t pages_saved(const struct search *s, const struct stages *st)
{
	size_t saved = 0;

	for (size_t p = 0; p < st->nr_pages; p++) {
		size_t heirs = heirs_of(s, st, &st->pages[p]);

		saved += heirs > 1 ? heirs - 1 : heirs;
	}
	return saved;
}

static size_t pages_of(const struct search *s, uint32_t i)
{
	size_t nr, sum = 0;
	const struct page_run *runs = pages_runs_of(s->index, mm_of(s, i)->mem, &nr);

	for (size_t k = 0; k < nr; k++)
		sum += runs[k].nr_pages;
	return sum;
}

static void stages_make(struct search *s, uint32_t i)
{
	struct stages *st = s->of[i];
	size_t saved;

	s->nr_wanted = 0;
	for (size_t k = 0; k < st->nr_forks; k++)
		want_of(s, st->forks[k], i);
	qsort(s->wanted, s->nr_wanted, sizeof *s->wanted, address_compare);
	for (size_t k = 0; k < s->nr_wanted; k++)
		if (!k || s->wanted[k] != s->wanted[k - 1])
			hold_at(s, i, st, s->wanted[k]);
	saved = pages_saved(s, st);
	if (saved < WORTH_PAGES && saved * WORTH_SHARE < pages_of(s, i))
		st->nr_pages = 0;
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static bool is_noticed(const struct snap *snap)
{
	for (size_t i = 0; i < snap->nr_mms; i++)
		if (snap->mms[i].pages_aside)
			return true;
	return false;
}

/* In the order of births. */
static void born(const struct snap *snap, uint32_t i, uint32_t *order, size_t *nr)
{
	order[(*nr)++] = i;
	for (int late = 0; late < 2; late++)
		for (uint32_t c = i + 1; c < snap->nr_procs; c++)
			if (snap->procs[c].parent == i && birth_is_early(snap, c) == !late)
				born(snap, c, order, nr);
}

static uint32_t *born_order(const struct snap *snap)
{
	uint32_t *order = arena_array(snap->arena, snap->nr_procs, sizeof *order);
	size_t nr = 0;

	for (uint32_t i = 0; i < snap->nr_procs; i++)
		if (!i || snap->procs[i].parent == ID_NONE)
			born(snap, i, order, &nr);
	return order;
}

/* Who shares its address space with another process does not change it under that one. */
static bool is_shared(const struct snap *snap, uint32_t i)
{
	for (uint32_t k = 0; k < snap->nr_procs; k++)
		if (k != i && snap->procs[k].mm == snap->procs[i].mm)
			return true;
	return false;
}

static void fork_note(struct search *s, uint32_t i)
{
	struct stages **st = &s->of[s->base[i]];

	if (!*st)
		*st = arena_alloc(s->snap->arena, sizeof **st);
	if (!(*st)->forks)
		(*st)->forks = arena_array(s->snap->arena, s->snap->nr_procs, sizeof *(*st)->forks);
	(*st)->forks[(*st)->nr_forks++] = i;
}

void stages_find(struct tree *tree)
{
	const struct snap *snap = tree->snap;
	struct search s = { .snap = snap, .index = &tree->jobs[0]->img.index };
	uint32_t *order;

	if (!is_noticed(snap))
		return;
	s.of = tree->stages = arena_array(snap->arena, snap->nr_procs, sizeof(struct stages *));
	s.base = arena_array(snap->arena, snap->nr_procs, sizeof *s.base);
	for (uint32_t i = 0; i < snap->nr_procs; i++)
		s.base[i] = snap_base_of(snap, i);
	uses_count(&s);
	order = born_order(snap);
	for (size_t k = 0; k < snap->nr_procs; k++)
		if (s.base[order[k]] != ID_NONE && !is_shared(snap, s.base[order[k]]))
			fork_note(&s, order[k]);
	/* Whoever is forked from a process comes later, and may be forked from itself. */
	for (size_t k = snap->nr_procs; k-- > 0;)
		if (s.of[order[k]])
			stages_make(&s, order[k]);
	for (uint32_t i = 0; i < snap->nr_procs; i++)
		if (s.of[i] && !s.of[i]->nr_pages)
			s.of[i] = NULL;
}

/* ---- at the births -----------------------------------------------------------------------------
 */

static bool holds_at(const struct stage_page *page, size_t fork)
{
	return page->from <= fork && fork <= page->to;
}

static bool is_same(const struct stages *st, size_t a, size_t b)
{
	for (size_t i = 0; i < st->nr_pages; i++)
		if (holds_at(&st->pages[i], a) != holds_at(&st->pages[i], b))
			return false;
	return true;
}

static struct stage *stage_for(struct tree *tree, uint32_t i, size_t fork)
{
	const struct stages *st = tree->stages[i];
	struct stage_page *pages = arena_array(tree->snap->arena, st->nr_pages + 1, sizeof *pages);
	size_t nr = 0;

	for (size_t k = 0; k < st->nr_pages; k++)
		if (holds_at(&st->pages[k], fork))
			pages[nr++] = st->pages[k];
	if (!nr)
		return NULL;
	return stage_build(tree->snap, &tree->jobs[0]->img.index,
		&tree->snap->mms[tree->snap->procs[i].mm], pages, nr);
}

struct stage *stages_first(struct tree *tree, uint32_t i)
{
	return tree->stages && tree->stages[i] ? stage_for(tree, i, 0) : NULL;
}

static int become(struct tree *tree, uint32_t i, size_t fork, struct err *err)
{
	struct stages *st = tree->stages[i];

	if (!is_same(st, st->now, fork) &&
		handover_again(tree->jobs[i], stage_for(tree, i, fork), err) < 0)
		return err_wrap(err, "process %d", tree->snap->procs[i].pid);
	st->now = fork;
	return 0;
}

int stages_enter(struct tree *tree, uint32_t i, struct err *err)
{
	uint32_t base = tree->stages ? snap_base_of(tree->snap, i) : ID_NONE;
	const struct stages *st = base == ID_NONE ? NULL : tree->stages[base];

	for (size_t k = 0; st && k < st->nr_forks; k++)
		if (st->forks[k] == i)
			return become(tree, base, k, err);
	return 0;
}

int stages_end(struct tree *tree, struct err *err)
{
	for (uint32_t i = 0; tree->stages && i < tree->snap->nr_procs; i++)
		if (tree->stages[i] && become(tree, i, tree->stages[i]->nr_forks, err) < 0)
			return -err->code;
	return 0;
}
