/* Which pages hold something: compared with what we did to them, both ways of asking. */
#include "test/unit/helpers/tracee_target.h"

#include <sys/stat.h>

#include "tracee/kernel_abi.h"
#include "tracee/pagemap.h"

enum { PAGE = 4096, HUGE = 2 << 20 };

typedef int pages_fn(int pagemap, uint64_t start, uint64_t end, bool private_only, struct arena *a,
	struct proc_run **runs, size_t *nr, size_t *cap, struct err *err);

static struct arena *arena;
static int procfd, pagemap;
static pages_fn *const ways[] = { proc_pages, pagemap_read_pages };

/* One letter a page: x in a run, . not. */
static const char *pages_of(pages_fn *pages, const void *start, size_t nr_pages, bool private_only)
{
	uint64_t from = (uint64_t)start, to = from + nr_pages * PAGE;
	char *letters = arena_alloc(arena, nr_pages + 1);
	struct proc_run *runs = NULL;
	size_t nr = 0, cap = 0;
	struct err err = { 0 };

	assert_ok(pages(pagemap, from, to, private_only, arena, &runs, &nr, &cap, &err), err);
	memset(letters, '.', nr_pages);
	for (size_t i = 0; i < nr; i++) {
		assert_true(
			from <= runs[i].start && runs[i].start < runs[i].end && runs[i].end <= to);
		assert_true(i == 0 || runs[i - 1].end < runs[i].start);
		memset(letters + (runs[i].start - from) / PAGE, 'x',
			(runs[i].end - runs[i].start) / PAGE);
	}
	return letters;
}

#define assert_pages(start, nr, private_only, expected)                                            \
	for (size_t w_ = 0; w_ < 2; w_++)                                                          \
	assert_string_equal(pages_of(ways[w_], start, nr, private_only), expected)

static char *anon(size_t nr_pages)
{
	char *mem = mmap(
		NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(mem, MAP_FAILED);
	madvise(mem, nr_pages * PAGE, MADV_NOHUGEPAGE);
	return mem;
}

static void touch(const char *mem, int page)
{
	assert_int_equal(*(volatile const char *)(mem + page * PAGE), 0);
}

/* Page frame numbers, and so the zero page, show to CAP_SYS_ADMIN only. */
static bool sees_frames(void)
{
	return geteuid() == 0;
}

static void test_anonymous(void **state)
{
	char *mem = anon(10);

	(void)state;
	assert_pages(mem, 10, true, "..........");
	mem[1 * PAGE] = mem[2 * PAGE] = mem[9 * PAGE] = 1;
	touch(mem, 5);
	mem[7 * PAGE] = 0;
	assert_string_equal(pages_of(proc_pages, mem, 10, true), ".xx....x.x");
	assert_string_equal(pages_of(proc_pages, mem, 10, false), ".xx....x.x");
	assert_string_equal(pages_of(pagemap_read_pages, mem, 10, true),
		sees_frames() ? ".xx....x.x" : ".xx..x.x.x");
	mprotect(mem, 3 * PAGE, PROT_NONE);
	assert_pages(mem, 4, true, ".xx.");
	madvise(mem + PAGE, PAGE, MADV_DONTNEED);
	assert_pages(mem, 4, true, "..x.");
	munmap(mem, 10 * PAGE);
}

/* 4 MiB, read only: the kernel may map the huge zero page. */
static void test_huge_zero_page(void **state)
{
	char *area = mmap(NULL, 2 * HUGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *mem = (char *)(((uint64_t)area + HUGE - 1) & ~(uint64_t)(HUGE - 1));

	(void)state;
	madvise(mem, HUGE, MADV_HUGEPAGE);
	touch(mem, 3);
	assert_null(strchr(pages_of(proc_pages, mem, HUGE / PAGE, true), 'x'));
	munmap(area, 2 * HUGE);
}

static void test_private_file(void **state)
{
	char path[] = "/tmp/tracee-pagemap-XXXXXX", *mem;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(pwrite(fd, "file", 4, 0), 4);
	mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	madvise(mem, 4 * PAGE, MADV_RANDOM);
	assert_int_equal(*(volatile char *)mem, 'f');
	mem[2 * PAGE] = 1;
	assert_pages(mem, 4, true, "..x.");
	for (size_t w = 0; w < 2; w++) {
		const char *all = pages_of(ways[w], mem, 4, false);

		assert_int_equal(
			all[0], 'x'); /* and its neighbours, as the kernel maps around a fault */
		assert_int_equal(all[2], 'x');
	}
	unlink(path);
	munmap(mem, 4 * PAGE);
	close(fd);
}

static void test_shared(void **state)
{
	char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	mem[PAGE] = 1;
	assert_pages(mem, 4, true, "....");
	assert_pages(mem, 4, false, ".x..");
	munmap(mem, 4 * PAGE);
}

/* Cost follows the pages, not the size. */
static void test_sparse(void **state)
{
	size_t len = 64ULL << 30;
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct proc_run *runs = NULL;
	size_t nr = 0, cap = 0;
	struct timespec begin, end;
	struct err err = { 0 };

	(void)state;
	madvise(mem, len, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < len; at += len / 8)
		mem[at] = 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	assert_ok(proc_pages(pagemap, (uint64_t)mem, (uint64_t)mem + len, true, arena, &runs, &nr,
			  &cap, &err),
		err);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_int_equal(nr, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(runs[i].start, (uint64_t)mem + i * (len / 8));
	/* Sixteen million words of pagemap would take more than that. */
	assert_true(
		(end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 < 50);
	munmap(mem, len);
}

/* More runs than fit into one call of the kernel. */
static void test_many_runs(void **state)
{
	enum { NR = 3000 };
	char *mem = anon(2 * NR);
	char *expected = arena_alloc(arena, 2 * NR + 1);

	(void)state;
	for (size_t i = 0; i < NR; i++) {
		mem[2 * i * PAGE] = 1;
		memcpy(expected + 2 * i, "x.", 2);
	}
	assert_pages(mem, 2 * NR, true, expected);
	munmap(mem, 2 * NR * PAGE);
}

static void test_appends(void **state)
{
	struct proc_run *runs = NULL;
	size_t nr = 0, cap = 0;
	struct err err = { 0 };
	char *mem = anon(4);
	uint64_t at = (uint64_t)mem;

	(void)state;
	mem[0] = mem[2 * PAGE] = mem[3 * PAGE] = 1;
	assert_ok(proc_pages(pagemap, at, at + PAGE, true, arena, &runs, &nr, &cap, &err), err);
	assert_ok(proc_pages(pagemap, at + 2 * PAGE, at + 4 * PAGE, true, arena, &runs, &nr, &cap,
			  &err),
		err);
	assert_int_equal(nr, 2);
	assert_int_equal(runs[1].end - runs[1].start, 2 * PAGE);
	munmap(mem, 4 * PAGE);
}

static void test_guards(void **state)
{
	struct proc_run *runs = NULL;
	size_t nr = 0, cap = 0;
	struct err err = { 0 };
	char *mem = anon(6);
	uint64_t at = (uint64_t)mem;

	(void)state;
	mem[0] = 1;
	if (madvise(mem + PAGE, 2 * PAGE, ABI_MADV_GUARD_INSTALL) < 0)
		skip();
	mem[4 * PAGE] = 1;
	assert_pages(mem, 6, true, "x...x.");
	assert_ok(proc_guards(pagemap, at, at + 6 * PAGE, arena, &runs, &nr, &cap, &err), err);
	assert_int_equal(nr, 1);
	assert_int_equal(runs[0].start, at + PAGE);
	assert_int_equal(runs[0].end, at + 3 * PAGE);
	munmap(mem, 6 * PAGE);
}

/* The whole address space at once: private pages only, [vdso] and [vvar] among what is left out. */
static void test_whole_space(void **state)
{
	struct proc_run *runs = NULL;
	struct proc_vma *vmas;
	size_t nr = 0, cap = 0, nr_vmas;
	struct err err = { 0 };
	bool found = false;
	char *mem = anon(1);

	(void)state;
	mem[0] = 1;
	assert_ok(proc_maps(procfd, arena, &vmas, &nr_vmas, &err), err);
	assert_ok(proc_pages(pagemap, 0, 0x7ffffffff000, true, arena, &runs, &nr, &cap, &err), err);
	for (size_t i = 0; i < nr; i++) {
		found |= runs[i].start <= (uint64_t)mem && (uint64_t)mem < runs[i].end;
		for (size_t v = 0; v < nr_vmas; v++)
			if (vmas[v].start < runs[i].end && runs[i].start < vmas[v].end)
				assert_true(!vmas[v].shared && strncmp(vmas[v].path, "[v", 2) != 0);
	}
	assert_true(found);
	munmap(mem, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_huge_zero_page),
		cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_many_runs),
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_whole_space),
	};
	int failed;

	arena = arena_create();
	if (proc_open(getpid(), &procfd, NULL) < 0 || (pagemap = proc_pagemap(procfd, NULL)) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_destroy(arena);
	return failed;
}
