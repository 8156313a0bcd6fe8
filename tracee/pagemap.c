/* Which pages of an address space hold something of their own (PAGEMAP_SCAN). */
#include "tracee/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "tracee/kernel_abi.h"

enum { SCAN_REGIONS = 512 };

struct runs {
	struct arena *arena;
	struct proc_run *runs;
	size_t nr, cap;
};

/* The scan stops at the end of each mapping and page table: join what touches. */
static void runs_add(struct runs *r, uint64_t start, uint64_t end)
{
	if (r->nr && r->runs[r->nr - 1].end == start) {
		r->runs[r->nr - 1].end = end;
		return;
	}
	r->runs = arena_grow(r->arena, r->runs, r->nr, &r->cap, sizeof *r->runs);
	r->runs[r->nr++] = (struct proc_run){ start, end };
}

/* Runs of pages in [start, end) that have all categories of mask (inverted ones: have not) and one
 * of anyof. */
static int scan_runs(
	int fd, uint64_t start, uint64_t end, const struct abi_pm_scan_arg *want, struct runs *r)
{
	struct abi_page_region regions[SCAN_REGIONS];
	struct abi_pm_scan_arg arg = *want;

	arg.size = sizeof arg;
	arg.vec = (uint64_t)regions;
	arg.vec_len = SCAN_REGIONS;
	arg.end = end;
	for (arg.start = start; arg.start < end; arg.start = arg.walk_end) {
		int n = ioctl(fd, ABI_PAGEMAP_SCAN, &arg);

		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++)
			runs_add(r, regions[i].start, regions[i].end);
	}
	return 0;
}

/*
 * A page of a private file mapping that was written to is an anonymous page, so FILE is clear for
 * it. A guard page looks swapped, being a special entry where a swap entry would be.
 */
static int scan_pages(int fd, uint64_t start, uint64_t end, bool private_only, struct runs *r)
{
	uint64_t without = ABI_PAGE_PFNZERO | ABI_PAGE_GUARD | (private_only ? ABI_PAGE_FILE : 0);
	struct abi_pm_scan_arg want = {
		.category_inverted = without,
		.category_mask = without,
		.category_anyof_mask = ABI_PAGE_PRESENT | ABI_PAGE_SWAPPED,
	};
	size_t nr = r->nr;
	int ret = scan_runs(fd, start, end, &want, r);

	if (ret != -EINVAL || r->nr != nr)
		return ret;
	/* 6.7 to 6.14 do not know the guard category. */
	want.category_inverted = want.category_mask = without & ~(uint64_t)ABI_PAGE_GUARD;
	return scan_runs(fd, start, end, &want, r);
}

int proc_pagemap(int procfd, struct err *err)
{
	int fd = openat(procfd, "pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open pagemap") : fd;
}

int proc_pages(int pagemap, uint64_t start, uint64_t end, bool private_only, struct arena *a,
	struct proc_run **runs, size_t *nr, size_t *cap, struct err *err)
{
	struct runs r = { a, *runs, *nr, *cap };
	int ret = scan_pages(pagemap, start, end, private_only, &r);

	if (ret == -ENOTTY)
		return pagemap_read_pages(pagemap, start, end, private_only, a, runs, nr, cap, err);
	if (ret < 0)
		return err_ret(err, ret, "scan pages of 0x%lx-0x%lx", start, end);
	*runs = r.runs;
	*nr = r.nr;
	*cap = r.cap;
	return 0;
}

int proc_guards(int pagemap, uint64_t start, uint64_t end, struct arena *a, struct proc_run **runs,
	size_t *nr, size_t *cap, struct err *err)
{
	const struct abi_pm_scan_arg want = { .category_mask = ABI_PAGE_GUARD };
	struct runs r = { a, *runs, *nr, *cap };
	int ret = scan_runs(pagemap, start, end, &want, &r);
	if (ret == -ENOTTY || ret == -EINVAL)
		return 0; /* a kernel that does not show them */
	if (ret < 0)
		return err_ret(err, ret, "scan guard pages of 0x%lx-0x%lx", start, end);
	*runs = r.runs;
	*nr = r.nr;
	*cap = r.cap;
	return 0;
}

/* ---- without PAGEMAP_SCAN ----------------------------------------------- */

enum { PAGE = 4096, BATCH = 8192 };

/* Where our own untouched page leads when it is read: the zero page. 0: frame numbers are hidden.
 */
static uint64_t zero_frame(void)
{
	OWNED_FD fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t word = 0;

	if (page == MAP_FAILED)
		return 0;
	if (fd < 0 || *(volatile char *)page != 0 ||
		pread(fd, &word, sizeof word, (off_t)((uint64_t)page / PAGE * sizeof word)) !=
			sizeof word)
		word = 0;
	munmap(page, PAGE);
	return word & ABI_PM_PFN_MASK;
}

static bool word_counts(uint64_t word, bool private_only, uint64_t zero)
{
	if (!(word & (ABI_PM_PRESENT | ABI_PM_SWAPPED)) || (word & ABI_PM_GUARD))
		return false;
	if (private_only && (word & ABI_PM_FILE))
		return false;
	return !zero || !(word & ABI_PM_PRESENT) || (word & ABI_PM_PFN_MASK) != zero;
}

int pagemap_read_pages(int pagemap, uint64_t start, uint64_t end, bool private_only,
	struct arena *a, struct proc_run **runs, size_t *nr, size_t *cap, struct err *err)
{
	uint64_t *words = arena_array(a, BATCH, sizeof *words), zero = zero_frame();
	struct runs r = { a, *runs, *nr, *cap };

	while (start < end) {
		size_t n = (end - start) / PAGE < BATCH ? (end - start) / PAGE : BATCH;
		int ret = fd_pread_all(pagemap, words, n * sizeof *words,
			(off_t)(start / PAGE * sizeof *words), err);

		if (ret < 0)
			return err_wrap(err, "pagemap of 0x%lx-0x%lx", start, end), ret;
		for (size_t i = 0; i < n; i++, start += PAGE)
			if (word_counts(words[i], private_only, zero))
				runs_add(&r, start, start + PAGE);
	}
	*runs = r.runs;
	*nr = r.nr;
	*cap = r.cap;
	return 0;
}
