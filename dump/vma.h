#ifndef DUMP_VMA_H
#define DUMP_VMA_H

#include <stdint.h>

/* One line of smaps: what it is, and whether it can be dumped. */

struct dumping;
struct err;
struct proc_vma;

/* Bits of enum snap_vmflag of a VmFlags line. */
uint64_t vma_flags(const char *vmflags);
/* 0, or -ENOTSUP with what stands at which address, why it cannot be dumped, and what to do. */
int vma_check(const struct dumping *d, const struct proc_vma *vma, struct err *err);

#endif
