/* What was mapped, and which of that is known; see core.h. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/build_id.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/core/core.h"

/* Of larger mappings only the pages in use are written: no file system holds the shadow of a
 * sanitizer, not even as a hole. */
#define WHOLE_MAX (UINT64_C(64) << 30)

/* ---- mapped files ---------------------------------------------------------------------------- */

static bool same_build(const struct snap_file *file, int fd)
{
	uint8_t id[sizeof file->build_id];

	return file->nr_build_id && build_id_read(fd, id) == file->nr_build_id &&
	       !memcmp(id, file->build_id, file->nr_build_id);
}

static bool is_as_it_was(const struct snap_file *file, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return ((uint64_t)st.st_size == file->size && st.st_mtim.tv_sec == file->mtime.tv_sec &&
		       st.st_mtim.tv_nsec == file->mtime.tv_nsec) ||
	       same_build(file, fd);
}

static int file_open(const struct snap_file *file)
{
	OWNED_FD fd = -1;
	struct stat st;

	/* The path is what the image says: nothing that opening would change is opened. */
	if (file->deleted || stat(file->path, &st) < 0 || !S_ISREG(st.st_mode))
		return CORE_CHANGED;
	fd = open(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 && is_as_it_was(file, fd) ? take_fd(&fd) : CORE_CHANGED;
}

int core_file(struct core *c, uint32_t id)
{
	const struct snap_file *file = &c->snap->files[id];

	if (c->fds[id] != CORE_UNKNOWN)
		return c->fds[id];
	c->fds[id] = file_open(file);
	/* Of devices there is /dev/zero, which has no contents. */
	if (c->fds[id] == CORE_CHANGED && S_ISREG(file->mode))
		log_warn("%s is not what it was at the dump: the core file holds of it what the "
			 "program had changed",
			file->path);
	return c->fds[id];
}

/* ---- segments -------------------------------------------------------------------------------- */

static void segment_add(
	struct core *c, const struct snap_vma *vma, uint64_t start, uint64_t end, bool contents)
{
	if (start == end)
		return;
	c->segments = arena_grow(
		c->snap->arena, c->segments, c->nr_segments, &c->cap_segments, sizeof *c->segments);
	c->segments[c->nr_segments++] = (struct core_segment){ start, end, vma, contents, 0 };
}

enum known {
	KNOWN_NOT,    /* the kernel's, or a device's; or the program does not want it seen */
	KNOWN_STORED, /* only pages that are stored */
	KNOWN_ALL,
};

static enum known vma_known(struct core *c, const struct snap_vma *vma)
{
	if (vma->vmflags & VMF_DONTDUMP)
		return KNOWN_NOT;
	switch (vma->kind) {
	case VMA_ANON:
		/* What is reserved is not there; what is wiped is not in the image. */
		return (vma->vmflags & VMF_WIPEONFORK) || vma->prot == PROT_NONE ||
				       vma->end - vma->start > WHOLE_MAX
			       ? KNOWN_STORED
			       : KNOWN_ALL;
	case VMA_FILE:
		return c->snap->files[vma->file].mem != ID_NONE || core_file(c, vma->file) >= 0
			       ? KNOWN_ALL
			       : KNOWN_STORED;
	case VMA_SHARED:
		return (vma->flags & MAP_SHARED) && vma->end - vma->start > WHOLE_MAX ? KNOWN_STORED
										      : KNOWN_ALL;
	case VMA_VDSO:
		return KNOWN_ALL;
	case VMA_VVAR:
	case VMA_VSYSCALL:
	case VMA_FD:
	case VMA_AIO:
		break;
	}
	return KNOWN_NOT;
}

/* By address, or by offset in a memory object. */
static void stored_add(struct core *c, const struct snap_vma *vma)
{
	bool shared = vma->kind == VMA_SHARED;
	uint64_t from = shared ? vma->offset : vma->start, to = from + (vma->end - vma->start);
	uint64_t at = from;
	size_t nr;
	const struct page_run *runs = pages_runs_from(
		&c->img->index, shared ? vma->mem : c->mm->mem, from, &nr);

	for (size_t i = 0; i < nr && runs[i].addr < to; i++) {
		uint64_t start = runs[i].addr < at ? at : runs[i].addr;
		uint64_t end = runs[i].addr + (uint64_t)runs[i].nr_pages * PAGES_PAGE;

		end = end > to ? to : end;
		segment_add(c, vma, vma->start + (at - from), vma->start + (start - from), false);
		segment_add(c, vma, vma->start + (start - from), vma->start + (end - from), true);
		at = end;
	}
	segment_add(c, vma, vma->start + (at - from), vma->end, false);
}

void core_segments(struct core *c)
{
	for (size_t i = 0; i < c->mm->nr_vmas; i++) {
		const struct snap_vma *vma = &c->mm->vmas[i];
		enum known known = vma_known(c, vma);

		/* The same in every process, and in none of the kernel's core files. */
		if (vma->kind == VMA_VSYSCALL)
			continue;
		if (known == KNOWN_STORED)
			stored_add(c, vma);
		else
			segment_add(c, vma, vma->start, vma->end, known == KNOWN_ALL);
	}
}
