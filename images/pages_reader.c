/* The reading half of the page store; see pages.h. The index has been checked by whoever read it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/progress.h"
#include "images/pages.h"

struct pages_reader {
	int fd;
	const struct page_index *index;
	ZSTD_DCtx *zstd;
	void *stored; /* PAGES_FRAME bytes each; stored only once there is something compressed */
	void *contents;
	uint32_t last; /* frame in contents, UINT32_MAX: none; neighbours ask for it again */
};

struct pages_reader *pages_reader_create(int fd, const struct page_index *index)
{
	struct pages_reader *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->fd = fd;
	r->index = index;
	r->last = UINT32_MAX;
	r->contents = aligned_alloc(PAGES_PAGE, PAGES_FRAME);
	if (!r->contents) {
		free(r);
		return NULL;
	}
	return r;
}

void pages_reader_destroy(struct pages_reader *r)
{
	if (!r)
		return;
	ZSTD_freeDCtx(r->zstd);
	free(r->stored);
	free(r->contents);
	free(r);
}

static int reader_load(
	struct pages_reader *r, const struct page_frame *frame, void *data, struct err *err)
{
	off_t at = (off_t)(r->index->start + frame->position);
	int ret = fd_pread_all(r->fd, data, frame->stored, at, err);

	if (ret < 0)
		return ret;
	if (XXH3_64bits(data, frame->stored) != frame->checksum)
		return err_set(err, EBADMSG, "its checksum is wrong");
	return 0;
}

static int reader_decompress(
	struct pages_reader *r, const struct page_frame *frame, struct err *err)
{
	size_t len;
	int ret;

	if (!r->stored)
		r->stored = malloc(PAGES_FRAME);
	if (!r->zstd)
		r->zstd = ZSTD_createDCtx();
	if (!r->stored || !r->zstd)
		return err_nomem(err);
	ret = reader_load(r, frame, r->stored, err);
	if (ret < 0)
		return ret;
	len = ZSTD_decompressDCtx(r->zstd, r->contents, frame->size, r->stored, frame->stored);
	if (ZSTD_isError(len))
		return err_set(err, EBADMSG, "zstd: %s", ZSTD_getErrorName(len));
	if (len != frame->size)
		return err_set(err, EBADMSG, "%zu bytes of contents, not %u", len, frame->size);
	return 0;
}

static int reader_failed(uint32_t frame, int ret, struct err *err)
{
	if (ret == -EBADMSG || ret == -ENODATA)
		err_hint(err, "the image is damaged: restore it from a copy, or dump again");
	return err_wrap(err, "pages: frame %u", frame);
}

int pages_reader_frame(struct pages_reader *r, uint32_t frame, const void **data, struct err *err)
{
	const struct page_frame *f;
	int ret;

	if (frame >= r->index->nr_frames)
		return err_set(err, EINVAL, "pages: there is no frame %u", frame);
	f = &r->index->frames[frame];
	*data = r->contents;
	if (frame == r->last)
		return 0;
	r->last = UINT32_MAX;
	ret = f->codec == PAGES_RAW ? reader_load(r, f, r->contents, err)
				    : reader_decompress(r, f, err);
	if (ret < 0)
		return reader_failed(frame, ret, err);
	r->last = frame;
	return 0;
}

static int write_at(int fd, const void *data, size_t len, uint64_t position, struct err *err)
{
	const char *from = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, from, len, (off_t)position);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write pages");
		from += n;
		len -= (size_t)n;
		position += (uint64_t)n;
	}
	return 0;
}

int pages_copy(int from, const struct page_index *index, int to, uint64_t position,
	struct progress *progress, struct err *err)
{
	struct pages_reader *r = pages_reader_create(from, index);
	int ret = r ? 0 : err_nomem(err);

	progress_phase(progress, "copying pages", index->file_size);
	for (uint32_t i = 0; ret == 0 && i < index->nr_frames; i++) {
		const struct page_frame *f = &index->frames[i];

		ret = reader_load(r, f, r->contents, err);
		if (ret < 0)
			ret = reader_failed(i, ret, err);
		else
			ret = write_at(to, r->contents, f->stored, position + f->position, err);
		progress_add(progress, f->stored);
	}
	pages_reader_destroy(r);
	return ret;
}

/* Index of the first run of mem that does not end before addr, or of a later mem. */
static size_t runs_find(const struct page_index *index, uint32_t mem, uint64_t addr)
{
	size_t low = 0, high = index->nr_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct page_run *run = &index->runs[mid];
		uint64_t end = run->addr + (uint64_t)run->nr_pages * PAGES_PAGE;

		if (run->mem < mem || (run->mem == mem && end <= addr))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct page_run *pages_runs_of(const struct page_index *index, uint32_t mem, size_t *nr)
{
	return pages_runs_from(index, mem, 0, nr);
}

const struct page_run *pages_runs_from(
	const struct page_index *index, uint32_t mem, uint64_t addr, size_t *nr)
{
	size_t first = runs_find(index, mem, addr);
	size_t last = mem == UINT32_MAX ? index->nr_runs : runs_find(index, mem + 1, 0);

	*nr = last - first;
	return index->runs + first;
}

/* The part of [addr, addr + len) that lies in run. */
static int run_each(struct pages_reader *r, const struct page_run *run, uint64_t addr, uint64_t len,
	pages_fn *fn, void *arg, struct err *err)
{
	uint64_t run_end = run->addr + (uint64_t)run->nr_pages * PAGES_PAGE;
	uint64_t start = addr > run->addr ? addr : run->addr;
	uint64_t end = addr + len < run_end ? addr + len : run_end;
	const void *frame;
	int ret = pages_reader_frame(r, run->frame, &frame, err);

	if (ret < 0)
		return ret;
	return fn(arg, start, (const uint8_t *)frame + run->offset + (start - run->addr),
		end - start, err);
}

int pages_each(struct pages_reader *r, uint32_t mem, uint64_t addr, uint64_t len, pages_fn *fn,
	void *arg, struct err *err)
{
	const struct page_index *index = r->index;
	int ret = 0;

	if (addr > UINT64_MAX - len)
		return err_set(err, EINVAL, "pages: a range behind all addresses");
	for (size_t i = runs_find(index, mem, addr); ret == 0 && i < index->nr_runs; i++) {
		const struct page_run *run = &index->runs[i];

		if (run->mem != mem || run->addr >= addr + len)
			break;
		ret = run_each(r, run, addr, len, fn, arg, err);
	}
	return ret;
}

struct copying {
	uint64_t addr;
	uint8_t *data;
};

static int piece_copy(void *arg, uint64_t addr, const void *data, size_t len, struct err *err)
{
	const struct copying *c = arg;

	(void)err;
	memcpy(c->data + (addr - c->addr), data, len);
	return 0;
}

int pages_read(int fd, const struct page_index *index, uint32_t mem, uint64_t addr, void *data,
	size_t len, struct err *err)
{
	struct pages_reader *r = pages_reader_create(fd, index);
	struct copying c = { addr, data };
	int ret;

	if (!r)
		return err_nomem(err);
	memset(data, 0, len);
	ret = pages_each(r, mem, addr, len, piece_copy, &c, err);
	pages_reader_destroy(r);
	return ret;
}
