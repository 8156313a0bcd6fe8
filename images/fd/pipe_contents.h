#ifndef IMAGES_FD_PIPE_CONTENTS_H
#define IMAGES_FD_PIPE_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is in a pipe, slot by slot. How many slots are in use decides when the pipe is full, and a
 * packet (pipe(2), O_DIRECT) is one slot, so contents are kept and put back as the slots they were.
 */

struct arena;
struct err;

struct pipe_buffer {
	void *data;
	size_t len; /* 1 .. */
	bool packet;
};

/* Copy the contents of the pipe behind fd, any of its ends; nothing is consumed. In arena. */
int pipe_contents_read(
	int fd, struct arena *arena, struct pipe_buffer **out, size_t *nr, struct err *err);
/* Fill the pipe behind its write end. It must have room: ENOSPC if it has not. */
int pipe_contents_write(int fd, const struct pipe_buffer *buffers, size_t nr, struct err *err);
/* Capacity in bytes, where it is not what it is already. */
int pipe_set_size(int fd, uint32_t size, struct err *err);

#endif
