#ifndef TRACEE_PAGEMAP_H
#define TRACEE_PAGEMAP_H

#include "tracee/proc.h"

/*
 * proc_pages for kernels without PAGEMAP_SCAN (before 6.7): a word for every page of the range, so
 * the cost follows its size. The zero page is recognised where the kernel shows page frame numbers
 * (CAP_SYS_ADMIN); else its pages are in the runs too, and read as zeroes.
 */
int pagemap_read_pages(int pagemap, uint64_t start, uint64_t end, bool private_only,
	struct arena *a, struct proc_run **runs, size_t *nr, size_t *cap, struct err *err);

#endif
