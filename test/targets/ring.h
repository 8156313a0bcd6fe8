#ifndef TEST_TARGETS_RING_H
#define TEST_TARGETS_RING_H

#include <linux/io_uring.h>
#include <stdint.h>

/* An io_uring as programs have it, without liburing (ring.c). Skips where there is none. */
struct ring {
	int fd;
	struct io_uring_params p;
	char *rings;
	struct io_uring_sqe *sqes;
	uint32_t tail; /* the program's own, as liburing has it */
};

struct ring *ring_make(unsigned entries, unsigned flags);
void ring_put(struct ring *r, const struct io_uring_sqe *sqe);
/* io_uring_enter(2); expects that all are taken. */
void ring_enter(struct ring *r, unsigned nr, unsigned wait);
unsigned ring_ready(const struct ring *r);
/* The next completion, which is taken. It stays valid until others come. */
const struct io_uring_cqe *ring_get(struct ring *r);

#endif
