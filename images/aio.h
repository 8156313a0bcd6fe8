#ifndef IMAGES_AIO_H
#define IMAGES_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The ring of a context of asynchronous I/O (io_setup(2)) as the kernel maps it, at the address
 * that is the id of the context (fs/aio.c, struct aio_ring; not in linux/aio_abi.h). A page of it
 * has 128 entries, the first of which is this head; the others are struct io_event.
 */
struct aio_head {
	uint32_t id;         /* in the kernel's table of contexts of the process */
	uint32_t nr;         /* events that it has room for */
	uint32_t head, tail; /* the first that was not taken, and where the next one will be */
	uint32_t magic, compat, incompat, len;
};

struct aio_event {
	uint64_t data, obj;
	int64_t res, res2;
};

/* Whether `len` bytes of ring begin with a head that fits them. */
bool aio_head_is_sound(const struct aio_head *head, size_t len);

/* How many events wait between `from` and `to`. */
uint32_t aio_between(const struct aio_head *head, uint32_t from, uint32_t to);

/*
 * The fewest requests to ask io_setup(2) for to get a ring of that many events: nothing shows what
 * was asked for, and fs.aio-max-nr counts it.
 */
uint32_t aio_requests(const struct aio_head *head);

#endif
