#ifndef DUMP_SHARED_H
#define DUMP_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * Memory objects that mappings and descriptors share: anonymous shared memory, memfds, SysV
 * segments. Each is recorded once, by its inode, whoever leads to it first.
 */

struct dumping;
struct dumping_proc;
struct err;
struct proc_vma;

/* NULL with err where the kernel gives us no memfd of our own to compare with. */
struct mem_table *mem_table_create(struct dumping *d, struct err *err);
/* Whether this mapping is one of a memory object; all of them live on one mount inside the kernel.
 */
bool shared_is_object(const struct dumping *d, const struct proc_vma *vma);
/* Are these, which are such mappings, of one object? */
bool shared_is_same(const struct proc_vma *a, const struct proc_vma *b);
/* Objects to a System V segment that others have attached, too; needs the vmas of all processes. */
int shared_check(const struct dumping_proc *p, const struct proc_vma *vma, struct err *err);
/* The memory object of a mapping, its contents saved. */
int shared_collect(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t *mem, struct err *err);
/* The memory object of a memfd: the hook of struct fd_dump. */
int shared_of_memfd(struct dumping *d, int fd, const struct stat *st, const char *link,
	uint32_t *mem, struct err *err);

#endif
