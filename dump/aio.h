#ifndef DUMP_AIO_H
#define DUMP_AIO_H

#include <stdint.h>

/* Contexts of asynchronous I/O (io_setup(2)) in an address space; the ring is images/aio.h. */

struct dumping_proc;
struct err;

/* What is in the rings among its mappings: -ENOTSUP for one that cannot be made again. Frozen. */
int aio_collect(struct dumping_proc *p, struct err *err);

/*
 * How many requests of the context at addr the kernel is still at; `ring` is what is in it. The
 * context is as it was when this returns, but for events that have come meanwhile.
 */
int aio_under_way(
	struct dumping_proc *p, uint64_t addr, const uint8_t *ring, uint32_t *nr, struct err *err);

#endif
