#ifndef TEST_UNIT_IMAGES_BOTH_H
#define TEST_UNIT_IMAGES_BOTH_H

/* The sample model with an index of pages, and its way through the file "state". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/buf.h"
#include "images/image_internal.h"
#include "images/pages.h"
#include "test/unit/images_sample.h"

struct both {
	struct snap *snap;
	struct page_index index;
	struct err err;
};

static const struct page_run both_runs[] = {
	{ SAMPLE_PRIVATE, 2, 0x555555557000 - 0x1000, 0, 0 },
	{ SAMPLE_PRIVATE, 3, SAMPLE_HEAP, 1, 0x3000 },
	{ SAMPLE_PRIVATE, 64, SAMPLE_HEAP + 0x80000, 2, 0 },
	{ SAMPLE_PRIVATE, 1, 0x7fffffffe000, 0, 0x2000 },
	{ SAMPLE_MEMFD, 4, 0, 1, 0x6000 },
	{ SAMPLE_CONTENTS, 1, 0x7000, 0, 0x3000 },
};

static const struct page_frame both_frames[] = {
	{ 0, 0x4000, 0x4000, PAGES_RAW, 0x1122334455667788 },
	{ 0x4000, 77, 0xa000, PAGES_ZSTD, UINT64_MAX },
	{ 0x4000 + 77, 1000, 0x40000, PAGES_ZSTD, 0 },
};

static inline int both_setup(void **state)
{
	struct both *b = calloc(1, sizeof *b);

	b->snap = sample_create();
	b->index = (struct page_index){
		.runs = arena_copy(b->snap->arena, both_runs, sizeof both_runs),
		.nr_runs = sizeof both_runs / sizeof *both_runs,
		.frames = arena_copy(b->snap->arena, both_frames, sizeof both_frames),
		.nr_frames = sizeof both_frames / sizeof *both_frames,
		.file_size = 0x4000 + 77 + 1000,
	};
	*state = b;
	return 0;
}

static inline int both_teardown(void **state)
{
	struct both *b = *state;

	snap_destroy(b->snap);
	free(b);
	return 0;
}

static inline int round_trip(struct both *b, struct both *back)
{
	struct buf bytes = BUF_EMPTY;
	int ret = image_pack_state(b->snap, &b->index, &bytes, &b->err);

	if (ret == 0)
		ret = image_parse_state(bytes.data, bytes.len, &back->snap, &back->index, &b->err);
	buf_finish(&bytes);
	return ret;
}

#endif
