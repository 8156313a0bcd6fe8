#ifndef IMAGES_CORE_CORE_H
#define IMAGES_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "images/image.h"
#include "images/snap.h"

/*
 * `snapctl core`: one process of an image as an ELF core file (core(5)), as the kernel writes it
 * when a process dies, for gdb and others. notes.c says who it was, segments.c what was mapped and
 * which of that is known, contents.c puts it there, core.c makes one file of all.
 */

struct buf;
struct err;
struct progress;

/* A mapping or a part of one. */
struct core_segment {
	uint64_t start, end;
	const struct snap_vma *vma;
	bool contents;     /* known; else only that something was mapped there */
	uint64_t position; /* of the contents, in the core file */
};

struct core {
	const struct image *img;
	struct progress *progress; /* or NULL */
	const struct snap *snap;
	const struct snap_proc *proc;
	const struct snap_mm *mm;
	int *fds; /* by snap_file: open if it is what it was; CORE_UNKNOWN, CORE_CHANGED */
	struct core_segment *segments; /* in snap's arena */
	size_t nr_segments, cap_segments;
};

enum { CORE_UNKNOWN = -1, CORE_CHANGED = -2 };

/* All notes, as they stand in the segment of them. */
int core_notes(const struct core *c, struct buf *out, struct err *err);
/* Vector registers of a thread, laid out as debuggers expect it; in snap's arena. */
const uint8_t *core_xstate(const struct core *c, const struct snap_task *task, size_t *len);
/* Fills c->segments, without positions. */
void core_segments(struct core *c);
/* A descriptor of a mapped file that is as it was at the dump, or CORE_CHANGED. */
int core_file(struct core *c, uint32_t file);
/* Writes the contents of all segments to their positions in fd; what is zero stays a hole. */
int core_contents(struct core *c, int fd, struct err *err);

#endif
