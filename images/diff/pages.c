/*
 * Pages, by their contents: the same page may lie anywhere in the two images, and one that is not
 * stored is zero, or as in its file. See diff.h.
 */
#include "images/diff/diff.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/progress.h"
#include "images/show.h"

static const uint8_t zero_page[PAGES_PAGE];

/* Where in the runs of a memory object we are. */
struct cursor {
	int side;
	const struct page_run *runs;
	size_t nr, i;
};

/* What is different in one stretch of memory. */
struct stretch {
	struct diff *d;
	struct cursor a, b;
	bool over_file; /* what is not stored is as in a file, not zero */
	struct snap_range *ranges;
	size_t nr, cap;
	uint64_t nr_looked_at;
};

static struct cursor cursor_make(const struct diff *d, int side, uint32_t mem)
{
	struct cursor c = { .side = side };

	c.runs = pages_runs_of(&d->img[side]->index, mem, &c.nr);
	return c;
}

static uint64_t run_end(const struct page_run *run)
{
	return run->addr + (uint64_t)run->nr_pages * PAGES_PAGE;
}

/* The run that holds addr, NULL: none; *end is where that changes. Addresses only grow. */
static const struct page_run *cursor_seek(struct cursor *c, uint64_t addr, uint64_t *end)
{
	const struct page_run *run;

	while (c->i < c->nr && run_end(&c->runs[c->i]) <= addr)
		c->i++;
	run = c->i < c->nr ? &c->runs[c->i] : NULL;
	if (run && run->addr > addr) {
		*end = run->addr < *end ? run->addr : *end;
		return NULL;
	}
	if (run && run_end(run) < *end)
		*end = run_end(run);
	return run;
}

/* Contents of the page at addr of a run; NULL and d->ret where they cannot be read. */
static const uint8_t *page_at(struct diff *d, int side, const struct page_run *run, uint64_t addr)
{
	if (d->frame[side] != run->frame) {
		d->frame[side] = -1;
		d->ret = pages_reader_frame(
			d->reader[side], run->frame, &d->contents[side], d->err);
		if (d->ret < 0) {
			err_wrap(d->err, "%s", d->img[side]->path);
			return NULL;
		}
		d->frame[side] = run->frame;
	}
	return (const uint8_t *)d->contents[side] + run->offset + (addr - run->addr);
}

static void stretch_add(struct stretch *s, uint64_t addr)
{
	if (!s->nr || s->ranges[s->nr - 1].end != addr) {
		s->ranges = arena_grow(s->d->arena, s->ranges, s->nr, &s->cap, sizeof *s->ranges);
		s->ranges[s->nr++].start = addr;
	}
	s->ranges[s->nr - 1].end = addr + PAGES_PAGE;
}

static bool page_differs(
	struct stretch *s, const struct page_run *a, const struct page_run *b, uint64_t addr)
{
	const uint8_t *x = zero_page, *y = zero_page;

	if ((!a || !b) && s->over_file)
		return true; /* one has a copy of its own, the other one what is in the file */
	if (a)
		x = page_at(s->d, 0, a, addr);
	if (b && x)
		y = page_at(s->d, 1, b, addr);
	return x && y && memcmp(x, y, PAGES_PAGE);
}

static void stretch_compare(struct stretch *s, uint64_t start, uint64_t end)
{
	while (start < end && !s->d->ret) {
		uint64_t next = end;
		const struct page_run *a = cursor_seek(&s->a, start, &next);
		const struct page_run *b = cursor_seek(&s->b, start, &next);

		if (a || b)
			progress_add(s->d->progress, next - start);
		for (; (a || b) && start < next && !s->d->ret; start += PAGES_PAGE) {
			s->nr_looked_at++;
			if (page_differs(s, a, b, start))
				stretch_add(s, start);
		}
		start = next;
	}
}

static void stretch_tell(struct stretch *s, const struct diff_at *at, const char *what)
{
	struct difference *found;

	if (!s->nr || s->d->ret)
		return;
	found = diff_add(s->d, at, what, NULL, NULL);
	found->pages = s->ranges;
	found->nr_pages = s->nr;
	found->nr_looked_at = s->nr_looked_at;
}

/* ---- private memory -------------------------------------------------------------------------- */

static bool has_pages(const struct snap_vma *vma)
{
	return vma->kind == VMA_ANON || vma->kind == VMA_FILE;
}

static const char *mapping_words(struct diff *d, const struct snap_mm *mm, size_t i)
{
	const char *name = show_clean(d->arena, show_vma_name(d->arena, d->img[0]->snap, mm, i));

	if (*name)
		return arena_printf(d->arena, "pages of %s", name);
	return arena_printf(d->arena, "pages at %llx", (unsigned long long)mm->vmas[i].start);
}

void diff_private(struct diff *d, const struct diff_at *at, uint32_t mm_a, uint32_t mm_b)
{
	const struct snap_mm *a = &d->img[0]->snap->mms[mm_a], *b = &d->img[1]->snap->mms[mm_b];
	struct stretch s = {
		.d = d, .a = cursor_make(d, 0, a->mem), .b = cursor_make(d, 1, b->mem)
	};

	for (size_t i = 0, j = 0; i < a->nr_vmas && j < b->nr_vmas;) {
		const struct snap_vma *x = &a->vmas[i], *y = &b->vmas[j];
		uint64_t start = x->start > y->start ? x->start : y->start;
		uint64_t end = x->end < y->end ? x->end : y->end;

		if (start < end && has_pages(x) && has_pages(y)) {
			s.over_file = x->kind == VMA_FILE || y->kind == VMA_FILE;
			s.ranges = NULL;
			s.nr = s.cap = 0;
			s.nr_looked_at = 0;
			stretch_compare(&s, start, end);
			stretch_tell(&s, at, mapping_words(d, a, i));
		}
		i += x->end == end;
		j += y->end == end;
	}
}

void diff_shared(struct diff *d, const struct diff_at *at, uint32_t mem_a, uint32_t mem_b)
{
	const struct snap_mem *a = &d->img[0]->snap->mems[mem_a],
			      *b = &d->img[1]->snap->mems[mem_b];
	struct stretch s = { .d = d, .a = cursor_make(d, 0, mem_a), .b = cursor_make(d, 1, mem_b) };
	uint64_t size = a->size > b->size ? a->size : b->size;

	if (a->kind == MEM_PRIVATE || b->kind == MEM_PRIVATE)
		return;
	stretch_compare(&s, 0, (size + PAGES_PAGE - 1) & ~(uint64_t)(PAGES_PAGE - 1));
	stretch_tell(&s, at, "pages");
}
