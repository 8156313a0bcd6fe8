#ifndef DUMP_SHARED_MAPPED_H
#define DUMP_SHARED_MAPPED_H

#include <stdint.h>

struct dumping;
struct err;
struct proc_vma;

/*
 * Contents of a memory object through the mappings that processes of the dump have of it, for
 * callers without the right to open it. One may show what another has unmapped. mincore(2), made in
 * the target, tells which pages exist: reading a hole would fill it, and cost what the object is
 * large instead of what it holds.
 */
int shared_mapped_save(struct dumping *d, const struct proc_vma *of, uint32_t mem, struct err *err);
/* How much of it can be seen so. Refuses one that is mapped privately, too. */
int shared_mapped_extent(
	const struct dumping *d, const struct proc_vma *of, uint64_t *size, struct err *err);

#endif
