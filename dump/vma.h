#ifndef DUMP_VMA_H
#define DUMP_VMA_H

#include <stdbool.h>
#include <stdint.h>

/* One line of smaps: what it is, and whether it can be dumped. */

struct dumping;
struct err;
struct proc_vma;

/* Bits of enum snap_vmflag of a VmFlags line. */
uint64_t vma_flags(const char *vmflags);
/* A ring of io_uring(7), which has the inode of its descriptor. */
bool vma_is_ring(const struct proc_vma *vma);
/* A ring of asynchronous I/O (io_setup(2)). */
bool vma_is_aio(const struct proc_vma *vma);
/* 0, or -ENOTSUP with what stands at which address, why it cannot be dumped, and what to do. */
int vma_check(const struct dumping *d, const struct proc_vma *vma, struct err *err);

#endif
