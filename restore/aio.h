#ifndef RESTORE_AIO_H
#define RESTORE_AIO_H

/* Contexts of asynchronous I/O (io_setup(2)) in an address space; the ring is images/aio.h. */

struct err;
struct job;
struct snap_vma;

/* Plan to keep the place of this ring free. */
int aio_plan_place(struct job *job, const struct snap_vma *vma, struct err *err);
/* The process parked, with its memory: make its contexts, in their places, with their events. */
int aio_make(struct job *job, struct err *err);

#endif
