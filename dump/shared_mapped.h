#ifndef DUMP_SHARED_MAPPED_H
#define DUMP_SHARED_MAPPED_H

#include <stdint.h>

struct dumping_proc;
struct err;
struct proc_vma;

/*
 * Contents of a memory object through the mappings the target has of it, for callers without the
 * right to open it. mincore(2), made in the target, tells which pages exist: reading a hole would
 * fill it, and cost what the object is large instead of what it holds.
 */
int shared_mapped_save(
	struct dumping_proc *p, const struct proc_vma *of, uint32_t mem, struct err *err);

#endif
