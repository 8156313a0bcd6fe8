#ifndef DUMP_CONTENTS_H
#define DUMP_CONTENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Page contents into the page store: from memory of the frozen target, or from a file. */

struct dumping;
struct dumping_proc;
struct err;
struct snap_range;
struct tracee;

/*
 * [start, end) of the target becomes pages of memory object mem at position `to`; all page aligned.
 * Zero pages are left out, unless they hide the contents of a file.
 */
int contents_save_memory(struct dumping_proc *p, uint32_t mem, uint64_t start, uint64_t end,
	uint64_t to, bool over_file, struct err *err);
/* The same for private memory of a process that was forked from `base`, whose private pages have
 * been saved as memory object base_mem: what is equal is stored once. *aside becomes true where
 * another relative than base has a page of it, too; it is never reset. */
int contents_save_forked(struct dumping_proc *p, uint32_t mem, const struct snap_range *range,
	bool over_file, struct tracee *base, uint32_t base_mem, bool *aside, struct err *err);
/* The data (not the holes) of the first size bytes of fd, from position 0 of mem on. */
int contents_save_fd(struct dumping *d, uint32_t mem, int fd, uint64_t size, struct err *err);

#endif
