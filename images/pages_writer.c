/* The producer's half of the page store: pages come in, zero pages go, runs are noted; see pages.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/frames.h"
#include "images/pages.h"
#include "images/pages_known.h"
#include "images/snap.h"

struct pages_writer {
	struct frame_pool *pool;
	struct frame *frame;   /* being filled, or NULL */
	size_t reserved;       /* bytes promised behind frame->used */
	struct page_run *runs; /* frame is its id, not yet its place in the file */
	size_t nr_runs, cap_runs;
	struct run_stretch *stretches;
	size_t nr_stretches, cap_stretches;
	struct pages_known *known; /* NULL: nothing was ever to be remembered */
	bool remembers;
};

/* Consecutive runs of one memory object. */
struct run_stretch {
	uint32_t mem;
	size_t first, nr;
};

int pages_writer_create(
	int fd, int level, unsigned nr_threads, struct pages_writer **out, struct err *err)
{
	struct pages_writer *w = calloc(1, sizeof *w);
	int ret;

	if (!w)
		return err_nomem(err);
	ret = frame_pool_create(fd, level, nr_threads, &w->pool, err);
	if (ret < 0) {
		free(w);
		return ret;
	}
	*out = w;
	return 0;
}

static int writer_flush(struct pages_writer *w, struct err *err)
{
	struct frame *frame = w->frame;

	w->frame = NULL;
	return frame_pool_submit(w->pool, frame, err);
}

int pages_writer_reserve(struct pages_writer *w, size_t nr_pages, void **room, struct err *err)
{
	size_t len = nr_pages * PAGES_PAGE;
	int ret;

	if (nr_pages == 0 || nr_pages > PAGES_FRAME / PAGES_PAGE)
		return err_set(err, EINVAL, "room for %zu pages in one frame", nr_pages);
	if (w->frame && len > PAGES_FRAME - w->frame->used) {
		ret = writer_flush(w, err);
		if (ret < 0)
			return ret;
	}
	if (!w->frame) {
		ret = frame_pool_take(w->pool, &w->frame, err);
		if (ret < 0)
			return ret;
	}
	w->reserved = len;
	*room = w->frame->data + w->frame->used;
	return 0;
}

/* Most pages show in their first words that they are not zero. */
static bool page_is_zero(const uint8_t *page)
{
	uint64_t word;

	memcpy(&word, page, sizeof word);
	return word == 0 && memcmp(page, page + sizeof word, PAGES_PAGE - sizeof word) == 0;
}

static bool run_continues(const struct page_run *run, const struct page_run *next)
{
	return run->mem == next->mem && run->frame == next->frame &&
	       run->addr + (uint64_t)run->nr_pages * PAGES_PAGE == next->addr &&
	       run->offset + run->nr_pages * PAGES_PAGE == next->offset;
}

static int writer_note_stretch(struct pages_writer *w, uint32_t mem, struct err *err)
{
	if (w->nr_stretches && w->stretches[w->nr_stretches - 1].mem == mem) {
		w->stretches[w->nr_stretches - 1].nr++;
		return 0;
	}
	if (w->nr_stretches == w->cap_stretches) {
		size_t cap = w->cap_stretches ? 2 * w->cap_stretches : 64;
		struct run_stretch *more = realloc(w->stretches, cap * sizeof *more);

		if (!more)
			return err_nomem(err);
		w->stretches = more;
		w->cap_stretches = cap;
	}
	w->stretches[w->nr_stretches++] = (struct run_stretch){ mem, w->nr_runs - 1, 1 };
	return 0;
}

static int writer_add_run(struct pages_writer *w, const struct page_run *run, struct err *err)
{
	if (w->nr_runs && run_continues(&w->runs[w->nr_runs - 1], run)) {
		w->runs[w->nr_runs - 1].nr_pages += run->nr_pages;
		return 0;
	}
	if (w->nr_runs == w->cap_runs) {
		size_t cap = w->cap_runs ? 2 * w->cap_runs : 256;
		struct page_run *runs = realloc(w->runs, cap * sizeof *runs);

		if (!runs)
			return err_nomem(err);
		w->runs = runs;
		w->cap_runs = cap;
	}
	w->runs[w->nr_runs++] = *run;
	return writer_note_stretch(w, run->mem, err);
}

/* From nr pages on, how many are zero (or not, as asked for). */
static size_t pages_count(const uint8_t *pages, size_t nr, bool zero)
{
	size_t n = 0;

	while (n < nr && page_is_zero(pages + n * PAGES_PAGE) == zero)
		n++;
	return n;
}

static int commit_check(struct pages_writer *w, uint64_t addr, size_t nr_pages, struct err *err)
{
	if (nr_pages * PAGES_PAGE > w->reserved || addr % PAGES_PAGE)
		return err_set(err, EINVAL, "%zu pages at %llx that there is no room for", nr_pages,
			(unsigned long long)addr);
	w->reserved = 0;
	return 0;
}

void pages_writer_remember(struct pages_writer *w, bool on)
{
	w->remembers = on;
}

/* nr pages that were written to the end of the frame. */
static int pages_remember(struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr,
	uint32_t offset, struct err *err)
{
	if (!w->known && !(w->known = pages_known_create(err)))
		return -err->code;
	for (size_t i = 0; i < nr; i++, offset += PAGES_PAGE) {
		struct known_page page = { .addr = addr + i * PAGES_PAGE,
			.hash = pages_known_hash(w->frame->data + offset),
			.mem = mem,
			.frame = w->frame->id,
			.offset = offset };

		if (pages_known_add(w->known, &page, err) < 0)
			return -err->code;
	}
	return 0;
}

/* nr pages that lie at `from` in the frame's room become its next ones. */
static int commit_run(struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr,
	const uint8_t *from, struct err *err)
{
	struct frame *frame = w->frame;
	int ret = writer_add_run(w,
		&(struct page_run){ .mem = mem,
			.nr_pages = (uint32_t)nr,
			.addr = addr,
			.frame = frame->id,
			.offset = frame->used },
		err);

	if (ret < 0)
		return ret;
	/* Close the gap that zero pages left. */
	if (frame->data + frame->used != from)
		memmove(frame->data + frame->used, from, nr * PAGES_PAGE);
	frame->used += (uint32_t)(nr * PAGES_PAGE);
	return w->remembers ? pages_remember(w, mem, addr, nr,
				      frame->used - (uint32_t)(nr * PAGES_PAGE), err)
			    : 0;
}

int pages_writer_commit(
	struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages, struct err *err)
{
	const uint8_t *room;
	int ret = commit_check(w, addr, nr_pages, err);

	room = w->frame ? w->frame->data + w->frame->used : NULL;
	for (size_t i = 0, nr; i < nr_pages && !ret; i += nr) {
		i += pages_count(room + i * PAGES_PAGE, nr_pages - i, true);
		nr = pages_count(room + i * PAGES_PAGE, nr_pages - i, false);
		if (nr)
			ret = commit_run(
				w, mem, addr + i * PAGES_PAGE, nr, room + i * PAGES_PAGE, err);
	}
	return ret;
}

int pages_writer_commit_all(
	struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages, struct err *err)
{
	int ret = commit_check(w, addr, nr_pages, err);

	if (!ret && nr_pages)
		ret = commit_run(w, mem, addr, nr_pages, w->frame->data + w->frame->used, err);
	return ret;
}

/* ---- forked address spaces ---------------------------------------------------------------------
 */

/* The stored run that holds this page, NULL: none. Runs of a stretch come in the order of
 * addresses.
 */
static const struct page_run *run_find(const struct pages_writer *w, uint32_t mem, uint64_t addr)
{
	for (size_t i = 0; i < w->nr_stretches; i++) {
		const struct page_run *runs = w->runs + w->stretches[i].first;
		size_t low = 0, high = w->stretches[i].nr;

		while (w->stretches[i].mem == mem && low < high) {
			size_t mid = (low + high) / 2;

			if (runs[mid].addr + (uint64_t)runs[mid].nr_pages * PAGES_PAGE <= addr)
				low = mid + 1;
			else if (runs[mid].addr > addr)
				high = mid;
			else
				return &runs[mid];
		}
	}
	return NULL;
}

/* A page of mem at addr that is stored already, as that page of `of`; false: it is not. */
static bool page_alias(const struct pages_writer *w, uint32_t mem, uint64_t addr,
	const struct pages_like *like, struct page_run *alias)
{
	const struct page_run *run = run_find(w, like->of, addr);

	if (!run)
		return false;
	*alias = (struct page_run){ .mem = mem,
		.nr_pages = 1,
		.addr = addr,
		.frame = run->frame,
		.offset = run->offset + (uint32_t)(addr - run->addr) };
	return true;
}

/* A page of mem at addr that is stored already for another relative. */
static bool page_known(const struct pages_writer *w, uint32_t mem, uint64_t addr,
	const uint8_t *page, struct pages_like *like, struct page_run *alias)
{
	uint64_t hash;
	const struct known_page *known = NULL;

	if (!w->known || !like->holds)
		return false;
	hash = pages_known_hash(page);
	while ((known = pages_known_find(w->known, addr, hash, known))) {
		if (!like->holds(like->arg, known->mem, addr, page))
			continue;
		*alias = (struct page_run){ mem, 1, addr, known->frame, known->offset };
		like->aside = true;
		return true;
	}
	return false;
}

int pages_writer_commit_like(struct pages_writer *w, uint32_t mem, uint64_t addr, size_t nr_pages,
	struct pages_like *like, struct err *err)
{
	const uint8_t *room, *theirs = like->theirs;
	int ret = commit_check(w, addr, nr_pages, err);

	room = w->frame ? w->frame->data + w->frame->used : NULL;
	for (size_t i = 0; i < nr_pages && !ret; i++) {
		const uint8_t *page = room + i * PAGES_PAGE;
		uint64_t at = addr + i * PAGES_PAGE;
		struct page_run alias;

		if (theirs && !memcmp(page, theirs + i * PAGES_PAGE, PAGES_PAGE) &&
			page_alias(w, mem, at, like, &alias))
			ret = writer_add_run(w, &alias, err);
		else if (!like->all && page_is_zero(page))
			continue;
		else if (page_known(w, mem, at, page, like, &alias))
			ret = writer_add_run(w, &alias, err);
		else
			ret = commit_run(w, mem, at, 1, page, err);
	}
	return ret;
}

/* ---- finishing ------------------------------------------------------------------------------- */

struct placed_frame {
	uint64_t position;
	uint32_t id;
};

static int placed_compare(const void *a, const void *b)
{
	const struct placed_frame *x = a, *y = b;

	return (x->position > y->position) - (x->position < y->position);
}

/* Frames in the order in which they lie in the file; *places gives the new number of each id. */
static void frames_sort(struct snap *snap, const struct page_frame *frames, size_t nr,
	struct page_index *index, uint32_t **places)
{
	struct placed_frame *order = arena_array(snap->arena, nr, sizeof *order);

	*places = arena_array(snap->arena, nr, sizeof **places);
	for (size_t i = 0; i < nr; i++)
		order[i] = (struct placed_frame){ frames[i].position, (uint32_t)i };
	qsort(order, nr, sizeof *order, placed_compare);
	index->frames = arena_array(snap->arena, nr, sizeof *index->frames);
	index->nr_frames = nr;
	for (size_t i = 0; i < nr; i++) {
		index->frames[i] = frames[order[i].id];
		(*places)[order[i].id] = (uint32_t)i;
	}
}

static int run_compare(const void *a, const void *b)
{
	const struct page_run *x = a, *y = b;

	if (x->mem != y->mem)
		return x->mem < y->mem ? -1 : 1;
	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool runs_are_sorted(const struct page_run *runs, size_t nr)
{
	for (size_t i = 1; i < nr; i++)
		if (run_compare(&runs[i - 1], &runs[i]) > 0)
			return false;
	return true;
}

/* Sorted, numbered by place, and neighbours made one. */
static int runs_finish(struct pages_writer *w, struct snap *snap, const uint32_t *places,
	struct page_index *index, struct err *err)
{
	struct page_run *runs = arena_array(snap->arena, w->nr_runs, sizeof *runs);
	size_t n = 0;

	if (!runs_are_sorted(w->runs, w->nr_runs))
		qsort(w->runs, w->nr_runs, sizeof *w->runs, run_compare);
	for (size_t i = 0; i < w->nr_runs; i++) {
		struct page_run run = w->runs[i];

		run.frame = places[run.frame];
		if (n && runs[n - 1].mem == run.mem &&
			runs[n - 1].addr + (uint64_t)runs[n - 1].nr_pages * PAGES_PAGE > run.addr)
			return err_set(err, EINVAL,
				"page %llx of memory object %u was dumped twice",
				(unsigned long long)run.addr, run.mem);
		if (n && run_continues(&runs[n - 1], &run))
			runs[n - 1].nr_pages += run.nr_pages;
		else
			runs[n++] = run;
	}
	index->runs = runs;
	index->nr_runs = n;
	return 0;
}

int pages_writer_finish(
	struct pages_writer *w, struct snap *snap, struct page_index *out, struct err *err)
{
	const struct page_frame *frames;
	struct page_index index = { 0 };
	uint32_t *places;
	size_t nr;
	int ret;

	/* Where all pages were zero, nothing refers to the frame. */
	if (w->frame && w->frame->used > 0) {
		ret = writer_flush(w, err);
		if (ret < 0)
			return ret;
	}
	ret = frame_pool_drain(w->pool, &frames, &nr, &index.file_size, err);
	if (ret < 0)
		return ret;
	frames_sort(snap, frames, nr, &index, &places);
	ret = runs_finish(w, snap, places, &index, err);
	if (ret < 0)
		return ret;
	*out = index;
	return 0;
}

void pages_writer_destroy(struct pages_writer *w)
{
	if (!w)
		return;
	frame_pool_destroy(w->pool);
	if (w->frame) {
		free(w->frame->data);
		free(w->frame);
	}
	free(w->runs);
	free(w->stretches);
	pages_known_destroy(w->known);
	free(w);
}
