#ifndef DUMP_RING_H
#define DUMP_RING_H

#include <stdint.h>

/* Rings of io_uring(7) in an address space; the descriptor is images/fd/io_uring.c. */

struct dumping_proc;
struct err;
struct proc_vma;

/* The open file that a ring is a mapping of; -ENOTSUP where nobody has that any more. */
int ring_ofd(struct dumping_proc *p, const struct proc_vma *vma, uint32_t *ofd, struct err *err);
/* Objects to threads that have registered rings (IORING_REGISTER_RING_FDS). Frozen. */
int ring_check_threads(struct dumping_proc *p, struct err *err);

#endif
