/* The page index: which page of which memory object is where in the file "pages". See
 * proto/pages.proto. */
#include <errno.h>

#include "base/arena.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

_Static_assert(PAGES_RAW == 0 && PAGES_ZSTD == 1, "numbers of proto/pages.proto");

/* ---- packing --------------------------------------------------------------------------------- */

static void frames_pack(struct arena *arena, const struct page_index *index, Pb__PageIndex *m)
{
	size_t nr = index->nr_frames;

	m->n_frame_stored = m->n_frame_pages = m->n_frame_codec = m->n_frame_checksum = nr;
	m->frame_stored = arena_array(arena, nr, sizeof *m->frame_stored);
	m->frame_pages = arena_array(arena, nr, sizeof *m->frame_pages);
	m->frame_codec = arena_array(arena, nr, sizeof *m->frame_codec);
	m->frame_checksum = arena_array(arena, nr, sizeof *m->frame_checksum);
	for (size_t i = 0; i < nr; i++) {
		m->frame_stored[i] = index->frames[i].stored;
		m->frame_pages[i] = index->frames[i].size / PAGES_PAGE;
		m->frame_codec[i] = index->frames[i].codec;
		m->frame_checksum[i] = index->frames[i].checksum;
	}
}

static Pb__PageRuns *runs_pack(struct arena *arena, const struct page_run *runs, size_t nr)
{
	Pb__PageRuns *m = arena_alloc(arena, sizeof *m);
	uint64_t end = 0;
	uint32_t frame = 0;

	pb__page_runs__init(m);
	PUT(m, mem, runs[0].mem);
	m->n_gap = m->n_pages = m->n_frame = m->n_offset = nr;
	m->gap = arena_array(arena, nr, sizeof *m->gap);
	m->pages = arena_array(arena, nr, sizeof *m->pages);
	m->frame = arena_array(arena, nr, sizeof *m->frame);
	m->offset = arena_array(arena, nr, sizeof *m->offset);
	for (size_t i = 0; i < nr; i++) {
		m->gap[i] = runs[i].addr / PAGES_PAGE - end;
		m->pages[i] = runs[i].nr_pages;
		m->frame[i] = (int32_t)(runs[i].frame - frame);
		m->offset[i] = runs[i].offset / PAGES_PAGE;
		end = runs[i].addr / PAGES_PAGE + runs[i].nr_pages;
		frame = runs[i].frame;
	}
	return m;
}

static size_t runs_of_same_mem(const struct page_run *runs, size_t nr)
{
	size_t n = 1;

	while (n < nr && runs[n].mem == runs[0].mem)
		n++;
	return n;
}

void index_pack(const struct snap *snap, const struct page_index *index, Pb__State *m)
{
	Pb__PageIndex *out = arena_alloc(snap->arena, sizeof *out);
	size_t cap = 0;

	pb__page_index__init(out);
	frames_pack(snap->arena, index, out);
	for (size_t i = 0, n; i < index->nr_runs; i += n) {
		n = runs_of_same_mem(index->runs + i, index->nr_runs - i);
		out->runs = arena_grow(
			snap->arena, out->runs, out->n_runs, &cap, sizeof *out->runs);
		out->runs[out->n_runs++] = runs_pack(snap->arena, index->runs + i, n);
	}
	m->pages = out;
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static int frames_unpack(
	struct snap *snap, const Pb__PageIndex *m, struct page_index *index, struct err *err)
{
	size_t nr = m->n_frame_stored;
	uint64_t position = 0;

	if (m->n_frame_pages != nr || m->n_frame_codec != nr || m->n_frame_checksum != nr)
		return BAD(err, "page index: columns of frames of different length");
	index->frames = arena_array(snap->arena, nr, sizeof *index->frames);
	index->nr_frames = nr;
	for (size_t i = 0; i < nr; i++) {
		uint32_t pages = m->frame_pages[i];

		if (pages == 0 || pages > PAGES_FRAME / PAGES_PAGE)
			return BAD(err, "page index: frame %zu of %u pages", i, pages);
		index->frames[i] = (struct page_frame){
			.position = position,
			.stored = m->frame_stored[i],
			.size = pages * PAGES_PAGE,
			.codec = m->frame_codec[i],
			.checksum = m->frame_checksum[i],
		};
		position += m->frame_stored[i];
	}
	index->file_size = position;
	return 0;
}

static size_t runs_count(const Pb__PageIndex *m)
{
	size_t nr = 0;

	for (size_t i = 0; i < m->n_runs; i++)
		nr += m->runs[i]->n_gap;
	return nr;
}

static int runs_unpack(const Pb__PageRuns *m, struct page_run *runs, struct err *err)
{
	const uint64_t limit = INT64_MAX / PAGES_PAGE;
	uint64_t end = 0;
	uint32_t frame = 0;

	for (size_t i = 0; i < m->n_gap; i++) {
		uint32_t pages = m->pages[i];

		/* Bounded here because the multiplications below must not overflow. */
		if (pages > PAGES_FRAME / PAGES_PAGE || m->offset[i] > PAGES_FRAME / PAGES_PAGE ||
			m->gap[i] > limit - end || pages > limit - end - m->gap[i])
			return BAD(err, "page index: run %zu of memory object %u: impossible place",
				i, m->mem);
		frame += (uint32_t)m->frame[i];
		runs[i] = (struct page_run){
			.mem = m->mem,
			.nr_pages = pages,
			.addr = (end + m->gap[i]) * PAGES_PAGE,
			.frame = frame,
			.offset = m->offset[i] * PAGES_PAGE,
		};
		end += m->gap[i] + pages;
	}
	return 0;
}

int index_unpack(struct snap *snap, const Pb__State *m, struct page_index *index, struct err *err)
{
	const Pb__PageIndex *in = m->pages;
	int ret;

	if (!in)
		return BAD(err, "no page index");
	ret = frames_unpack(snap, in, index, err);
	if (ret < 0)
		return ret;
	index->runs = arena_array(snap->arena, runs_count(in), sizeof *index->runs);
	for (size_t i = 0; i < in->n_runs; i++) {
		const Pb__PageRuns *runs = in->runs[i];

		if (runs->n_pages != runs->n_gap || runs->n_frame != runs->n_gap ||
			runs->n_offset != runs->n_gap)
			return BAD(err, "page index: columns of runs of different length");
		ret = runs_unpack(runs, index->runs + index->nr_runs, err);
		if (ret < 0)
			return ret;
		index->nr_runs += runs->n_gap;
	}
	return 0;
}

/* ---- checking -------------------------------------------------------------------------------- */

static int frames_check(const struct page_index *index, struct err *err)
{
	for (size_t i = 0; i < index->nr_frames; i++) {
		const struct page_frame *frame = &index->frames[i];
		bool fits = frame->codec == PAGES_RAW
				    ? frame->stored == frame->size
				    : frame->stored > 0 && frame->stored < frame->size;

		if ((unsigned)frame->codec > PAGES_ZSTD)
			return BAD(err, "page index: frame %zu: unknown codec %u", i,
				(unsigned)frame->codec);
		if (!fits)
			return BAD(err, "page index: frame %zu: %u bytes stored for %u", i,
				frame->stored, frame->size);
	}
	return 0;
}

static int run_check(const struct snap *snap, const struct page_index *index,
	const struct page_run *run, struct err *err)
{
	uint64_t len = (uint64_t)run->nr_pages * PAGES_PAGE;
	const struct page_frame *frame;

	if (run->mem >= snap->nr_mems)
		return BAD(err, "memory object %u does not exist", run->mem);
	if (run->nr_pages == 0 || run->frame >= index->nr_frames)
		return BAD(err, "it has no pages, or no frame");
	frame = &index->frames[run->frame];
	if (run->offset > frame->size || len > frame->size - run->offset)
		return BAD(err, "it ends behind the end of frame %u", run->frame);
	if (snap->mems[run->mem].kind != MEM_PRIVATE) {
		uint64_t size = snap->mems[run->mem].size;

		size = (size + PAGES_PAGE - 1) / PAGES_PAGE * PAGES_PAGE;
		if (run->addr > size || len > size - run->addr)
			return BAD(err, "it ends behind the end of memory object %u", run->mem);
	}
	return 0;
}

/* By memory object: the address space whose private pages it is. */
static const struct snap_mm **mm_by_mem(const struct snap *snap)
{
	const struct snap_mm **mms = arena_array(snap->arena, snap->nr_mems, sizeof *mms);

	for (size_t i = 0; i < snap->nr_mms; i++)
		mms[snap->mms[i].mem] = &snap->mms[i];
	return mms;
}

static bool guards_touch(const struct snap_mm *mm, uint64_t start, uint64_t end, size_t *at)
{
	while (*at < mm->nr_guards && mm->guards[*at].end <= start)
		++*at;
	return *at < mm->nr_guards && mm->guards[*at].start < end;
}

int index_check(const struct snap *snap, const struct page_index *index, struct err *err)
{
	const struct snap_mm **mms = mm_by_mem(snap);
	const struct page_run *before = NULL;
	size_t vma = 0, guard = 0;

	if (frames_check(index, err) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < index->nr_runs; before = &index->runs[i++]) {
		const struct page_run *run = &index->runs[i];
		uint64_t end = run->addr + (uint64_t)run->nr_pages * PAGES_PAGE;
		bool first = !before || before->mem != run->mem;

		if (run_check(snap, index, run, err) < 0)
			return err_wrap(err, "page index: run %zu", i);
		if (before && before->mem > run->mem)
			return BAD(err, "page index: run %zu: out of order", i);
		if (!first && before->addr + (uint64_t)before->nr_pages * PAGES_PAGE > run->addr)
			return BAD(err, "page index: run %zu: overlaps the one before it", i);
		if (snap->mems[run->mem].kind != MEM_PRIVATE)
			continue;
		if (first)
			vma = guard = 0;
		if (!mms[run->mem] || !mm_covers(mms[run->mem], run->addr, end, &vma))
			return BAD(err, "page index: run %zu (%llx-%llx): outside of all mappings",
				i, (unsigned long long)run->addr, (unsigned long long)end);
		if (guards_touch(mms[run->mem], run->addr, end, &guard))
			return BAD(err, "page index: run %zu: pages under a guard", i);
	}
	return 0;
}
