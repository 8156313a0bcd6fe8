#ifndef RESTORE_RING_H
#define RESTORE_RING_H

/* Rings of io_uring(7) in an address space; the descriptor is images/fd/io_uring.c. */

struct err;
struct job;

/* All processes parked, with the descriptors of the first one: map them. */
int ring_map(struct job *job, struct err *err);

#endif
