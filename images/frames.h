#ifndef IMAGES_FRAMES_H
#define IMAGES_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "images/pages.h"

/*
 * The writing half of the page store that knows no runs: a few threads which compress full buffers
 * and write them, in whatever order they get ready. One thread (the producer) calls all of this.
 */

struct err;
struct frame_pool;

/* A buffer on its way into the file. */
struct frame {
	uint32_t id;        /* in order of frame_pool_submit() */
	uint32_t used;      /* bytes; the producer's until it is submitted */
	uint8_t *data;      /* PAGES_FRAME bytes, page aligned */
	struct frame *next; /* private */
};

/* Threads and buffers come into being as they are needed. level as zstd has it, 0: none. fd is not
 * taken.
 */
int frame_pool_create(
	int fd, int level, unsigned nr_threads, struct frame_pool **out, struct err *err);
/*
 * An empty buffer; waits for one if all are busy. Says here what went wrong in the threads. Submit
 * it, or free it and its data, before the next one is taken.
 */
int frame_pool_take(struct frame_pool *pool, struct frame **out, struct err *err);
/* Into the file with it. Not the caller's any more. */
int frame_pool_submit(struct frame_pool *pool, struct frame *frame, struct err *err);
/* Wait until all is in the file. The array (by id, not by position) stays the pool's. */
int frame_pool_drain(struct frame_pool *pool, const struct page_frame **frames, size_t *nr,
	uint64_t *file_size, struct err *err);
void frame_pool_destroy(struct frame_pool *pool); /* NULL is fine; drops what is not written */

#endif
