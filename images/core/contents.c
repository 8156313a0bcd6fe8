/* Contents of the segments of a core file: out of the image, and out of files; see core.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/progress.h"
#include "images/core/core.h"

/* Where pieces go: what was at addr is written at position + addr - start. */
struct writing {
	int fd;
	uint64_t start, position;
};

static int write_at(int fd, const char *data, size_t len, uint64_t position, struct err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)position);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		data += n;
		len -= (size_t)n;
		position += (uint64_t)n;
	}
	return 0;
}

static int piece_write(void *arg, uint64_t addr, const void *data, size_t len, struct err *err)
{
	const struct writing *w = arg;

	return write_at(w->fd, data, len, w->position + (addr - w->start), err);
}

static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && !memcmp(data, data + 1, len - 1));
}

/* ---- each kind of mapping -------------------------------------------------------------------- */

/* What of the file lies in the segment; behind its end there is nothing, in the process as well. */
static int file_write(int file, uint64_t offset, uint64_t len, const struct writing *w,
	char *buffer, struct err *err)
{
	for (uint64_t at = 0; at < len;) {
		size_t want = len - at < PAGES_FRAME ? len - at : PAGES_FRAME;
		ssize_t n = pread(file, buffer, want, (off_t)(offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			break;
		if (!is_zero(buffer, (size_t)n) &&
			write_at(w->fd, buffer, (size_t)n, w->position + at, err) < 0)
			return -err->code;
		at += (uint64_t)n;
	}
	return 0;
}

static int segment_write_file(struct core *c, struct pages_reader *r, const struct core_segment *s,
	int fd, char *buffer, struct err *err)
{
	const struct snap_file *file = &c->snap->files[s->vma->file];
	uint64_t offset = s->vma->offset + (s->start - s->vma->start), len = s->end - s->start;
	struct writing w = { fd, offset, s->position };
	int ret;

	if (file->mem != ID_NONE) {
		ret = pages_each(r, file->mem, offset, len, piece_write, &w, err);
	} else {
		int source = core_file(c, s->vma->file);

		ret = source < 0 ? 0 : file_write(source, offset, len, &w, buffer, err);
	}
	return ret < 0 ? err_wrap(err, "%s", file->path) : 0;
}

static int segment_write_vdso(
	const struct core *c, const struct core_segment *s, int fd, struct err *err)
{
	const struct snap_vdso *vdso = &c->snap->vdso;
	uint64_t len = s->end - s->start;

	/* Every process has the same code, if not at the same place. */
	return write_at(fd, (const char *)vdso->code, len < vdso->nr_code ? len : vdso->nr_code,
		s->position, err);
}

static int segment_write(struct core *c, struct pages_reader *r, const struct core_segment *s,
	int fd, char *buffer, struct err *err)
{
	const struct snap_vma *vma = s->vma;
	uint64_t offset = vma->offset + (s->start - vma->start), len = s->end - s->start;
	struct writing here = { fd, s->start, s->position }, there = { fd, offset, s->position };
	int ret = 0;

	if (vma->kind == VMA_VDSO)
		return segment_write_vdso(c, s, fd, err);
	if (vma->kind == VMA_SHARED)
		ret = pages_each(r, vma->mem, offset, len, piece_write, &there, err);
	if (vma->kind == VMA_FILE)
		ret = segment_write_file(c, r, s, fd, buffer, err);
	/* Private copies lie over what is mapped. */
	if (ret == 0 && !(vma->flags & MAP_SHARED))
		ret = pages_each(r, c->mm->mem, s->start, len, piece_write, &here, err);
	return ret;
}

static uint64_t contents_len(const struct core *c)
{
	uint64_t len = 0;

	for (size_t i = 0; i < c->nr_segments; i++)
		if (c->segments[i].contents)
			len += c->segments[i].end - c->segments[i].start;
	return len;
}

int core_contents(struct core *c, int fd, struct err *err)
{
	struct pages_reader *r = pages_reader_create(c->img->pages_fd, &c->img->index);
	char *buffer = malloc(PAGES_FRAME);
	int ret = r && buffer ? 0 : err_nomem(err);

	progress_phase(c->progress, "writing memory", contents_len(c));
	for (size_t i = 0; ret == 0 && i < c->nr_segments; i++)
		if (c->segments[i].contents) {
			ret = segment_write(c, r, &c->segments[i], fd, buffer, err);
			progress_add(c->progress, c->segments[i].end - c->segments[i].start);
		}
	free(buffer);
	pages_reader_destroy(r);
	return ret;
}
