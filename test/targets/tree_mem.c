/* Private memory after a fork: what is shared by copy on write, and what each has changed since. */
#include "target.h"
#include "tree.h"

#include <alloca.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

enum { BIG = 2048 * PAGE, SMALL = 64 * PAGE };

/* ---- values ------------------------------------------------------------------------------------
 */

struct area {
	char *at;
	int nr;
};

static void kid_changes(void *arg)
{
	struct area *area = arg;
	char *own = area->at + (area->nr + 1) * PAGE;

	pattern_fill(own, PAGE, 100 + (uint32_t)area->nr);
	kid_wait();
	expect(pattern_is(area->at, PAGE, 1), "what was there before the fork");
	expect(pattern_is(own, PAGE, 100 + (uint32_t)area->nr), "what the kid has written");
	expect(pattern_is(area->at + 16 * PAGE, 16 * PAGE, 2), "what the root has changed since");
	memset(area->at, 'k', SMALL); /* nobody else may see that */
}

static void treemem_values(void)
{
	struct area area = { .at = map_anon(SMALL, RW, MAP_PRIVATE) };

	pattern_fill(area.at, PAGE, 1);
	pattern_fill(area.at + 16 * PAGE, 16 * PAGE, 2);
	for (area.nr = 0; area.nr < 4; area.nr++)
		kid(kid_changes, &area);
	pattern_fill(area.at + 16 * PAGE, 16 * PAGE, 3);
	target_wait();
	expect(is_zero(area.at + PAGE, 4 * PAGE), "what kids have written");
	kids_check();
	expect(pattern_is(area.at, PAGE, 1) && pattern_is(area.at + 16 * PAGE, 16 * PAGE, 3),
		"the root's");
}

static void kid_shares(void *arg)
{
	struct area *area = arg;

	kid_wait();
	expect_shared(area->at, BIG, (unsigned)area->nr);
	expect(pattern_is(area->at, BIG, 4), "contents");
}

static void treemem_shared(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 4 };

	pattern_fill(area.at, BIG, 4);
	for (int i = 0; i < 3; i++)
		kid(kid_shares, &area);
	target_wait();
	expect_shared(area.at, BIG, 4);
	kids_check_together();
	expect(pattern_is(area.at, BIG, 4), "contents");
}

static void kid_shares_on(void *arg)
{
	struct area *area = arg;

	kid(kid_shares, area);
	kid_wait();
	expect_shared(area->at, BIG, 3);
	kids_check();
}

static void treemem_generations(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 3 };

	pattern_fill(area.at, BIG, 4);
	kid(kid_shares_on, &area);
	target_wait();
	expect_shared(area.at, BIG, 3);
	kids_check();
}

/* The parent has gone its own way; two children share what it was. */
static void kid_shares_old(void *arg)
{
	struct area *area = arg;

	kid_wait();
	expect_shared(area->at, BIG, 2);
	expect(pattern_is(area->at, BIG, 5), "contents");
}

static void treemem_parent_changed(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 2 };

	pattern_fill(area.at, BIG, 5);
	kid(kid_shares_old, &area);
	kid(kid_idle, NULL);
	pattern_fill(area.at, BIG, 6);
	target_wait();
	expect(pattern_is(area.at, BIG, 6), "contents");
	kids_check();
}

static void kid_has_it(void *arg)
{
	struct area *area = arg;

	kid_wait();
	expect(pattern_is(area->at, SMALL, 7), "contents");
	expect(pattern_is(area->at + SMALL, SMALL, 8), "contents of the second half");
}

/* The parent has unmapped one half, and emptied the other. */
static void treemem_parent_unmapped(void)
{
	struct area area = { map_anon(2 * SMALL, RW, MAP_PRIVATE), 0 };

	pattern_fill(area.at, SMALL, 7);
	pattern_fill(area.at + SMALL, SMALL, 8);
	kid(kid_has_it, &area);
	kid(kid_has_it, &area);
	must(munmap(area.at, SMALL));
	must(madvise(area.at + SMALL, SMALL, MADV_DONTNEED));
	target_wait();
	expect(read_faults(area.at) != 0, "the unmapped half");
	expect(is_zero(area.at + SMALL, SMALL), "the emptied half");
	kids_check();
}

/* ---- mappings that differ ----------------------------------------------------------------------
 */

static void kid_remaps(void *arg)
{
	/* Before there is a hole that it could be put into. */
	char *at = arg, *fresh = map_anon(8 * PAGE, RW, MAP_PRIVATE);

	must(munmap(at, 8 * PAGE));
	must(mprotect(at + 8 * PAGE, 8 * PAGE, PROT_READ));
	must(mprotect(at + 16 * PAGE, 8 * PAGE, PROT_NONE));
	must(madvise(at + 24 * PAGE, 8 * PAGE, MADV_DONTNEED));
	must((long)mmap(
		at + 32 * PAGE, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pattern_fill(at + 32 * PAGE, 4 * PAGE, 11);
	pattern_fill(fresh, 8 * PAGE, 12);
	kid_wait();
	expect(read_faults(at) != 0 && read_faults(at + 7 * PAGE) != 0, "unmapped");
	expect(pattern_is(at + 8 * PAGE, 8 * PAGE, 10) && write_faults(at + 8 * PAGE) != 0,
		"read-only");
	expect(read_faults(at + 16 * PAGE) != 0, "PROT_NONE");
	must(mprotect(at + 16 * PAGE, 8 * PAGE, RW));
	expect(pattern_is(at + 16 * PAGE, 8 * PAGE, 10), "contents behind PROT_NONE");
	expect(is_zero(at + 24 * PAGE, 8 * PAGE), "MADV_DONTNEED");
	expect(pattern_is(at + 32 * PAGE, 4 * PAGE, 11) && is_zero(at + 36 * PAGE, 4 * PAGE),
		"mapped over");
	expect(pattern_is(at + 40 * PAGE, 8 * PAGE, 10), "untouched");
	expect(pattern_is(fresh, 8 * PAGE, 12), "new");
}

static void treemem_remapped(void)
{
	char *at = map_anon(SMALL, RW, MAP_PRIVATE);

	for (int i = 0; i < SMALL / (8 * PAGE); i++)
		pattern_fill(at + i * 8 * PAGE, 8 * PAGE, 10);
	kid(kid_remaps, at);
	kid(kid_remaps, at);
	target_wait();
	for (int i = 0; i < SMALL / (8 * PAGE); i++)
		expect(pattern_is(at + i * 8 * PAGE, 8 * PAGE, 10), "the parent's, part %d", i);
	kids_check();
}

/* Moved, grown and shrunk with mremap(2). */
static void kid_moves(void *arg)
{
	char *at = arg, *moved, *grown;

	moved = (char *)must((long)mremap(
		at, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 4 * SMALL));
	grown = (char *)must((long)mremap(at + 8 * PAGE, 8 * PAGE, 2 * SMALL, MREMAP_MAYMOVE));
	pattern_fill(grown + SMALL, PAGE, 14);
	must((long)mremap(at + 32 * PAGE, 8 * PAGE, PAGE, 0));
	kid_wait();
	expect(pattern_is(moved, 8 * PAGE, 13), "moved");
	expect(pattern_is(grown, 8 * PAGE, 13) && pattern_is(grown + SMALL, PAGE, 14), "grown");
	expect(read_faults(at) != 0 && read_faults(at + 33 * PAGE) != 0, "shrunk");
}

static void treemem_mremap(void)
{
	char *at = map_anon(8 * SMALL, RW, MAP_PRIVATE);

	must(munmap(at + SMALL, 7 * SMALL));
	for (int i = 0; i < SMALL / (8 * PAGE); i++)
		pattern_fill(at + i * 8 * PAGE, 8 * PAGE, 13);
	kid(kid_moves, at);
	target_wait();
	expect(pattern_is(at, 8 * PAGE, 13), "the parent's");
	kids_check();
}

static void kid_heap(void *arg)
{
	long by = *(long *)arg;
	char *end = sbrk(0);

	must((long)sbrk(by));
	if (by > 0)
		pattern_fill(end, (size_t)by, 15);
	kid_wait();
	expect(sbrk(0) == end + by, "the end of the heap");
	expect(by < 0 || pattern_is(end, (size_t)by, 15), "contents");
	must((long)sbrk(4 * PAGE));
	memset(sbrk(0) - 4 * PAGE, 'x', 4 * PAGE);
}

static void treemem_heap(void)
{
	long more = 64 * PAGE, less = -16L * PAGE;
	char *end = sbrk(0);

	must((long)sbrk(32 * PAGE));
	pattern_fill(end, 32 * PAGE, 16);
	kid(kid_heap, &more);
	kid(kid_heap, &less);
	must((long)sbrk(8 * PAGE));
	target_wait();
	expect(sbrk(0) == end + 40 * PAGE && pattern_is(end, 32 * PAGE, 16), "the parent's heap");
	kids_check();
}

/* The stack is deeper in the child than in its parent. */
static void kid_stack(void *arg)
{
	volatile char *deep = alloca(100 * PAGE);

	(void)arg;
	pattern_fill((char *)deep, 100 * PAGE, 17);
	kid_wait();
	expect(pattern_is((char *)deep, 100 * PAGE, 17), "contents");
}

static void treemem_stack(void)
{
	kid(kid_stack, NULL);
	kid(kid_idle, NULL);
	target_wait();
	kids_check();
}

/* The parent's is deeper: it went on after the fork. */
static __attribute__((noinline)) void deeper(void)
{
	volatile char *deep = alloca(200 * PAGE);

	pattern_fill((char *)deep, 200 * PAGE, 18);
	target_wait();
	expect(pattern_is((char *)deep, 200 * PAGE, 18), "contents");
}

static void treemem_stack_parent(void)
{
	kid(kid_stack, NULL);
	deeper();
	kids_check();
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void kid_file(void *arg)
{
	char *at = arg;

	at[PAGE] = 'k';
	kid_wait();
	expect(at[0] == 'p' && at[PAGE] == 'k' && at[2 * PAGE] != 'q', "private pages");
}

static void treemem_file(void)
{
	int fd = file_make("private", 16 * PAGE, 19, O_RDWR);
	char *at = (char *)must((long)mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE, fd, 0));

	at[0] = 'p';
	kid(kid_file, at);
	at[2 * PAGE] = 'q';
	at[PAGE] = 'r';
	target_wait();
	expect(at[0] == 'p' && at[PAGE] == 'r' && at[2 * PAGE] == 'q', "private pages");
	kids_check();
	must(pread(fd, at, PAGE, 0));
	expect(at[0] != 'p', "the file has changed");
}

/* ---- advice ------------------------------------------------------------------------------------
 */

static void kid_advice(void *arg)
{
	char *wiped = arg;

	expect(is_zero(wiped, SMALL), "before: not wiped");
	pattern_fill(wiped, PAGE, 20);
	kid_wait();
	expect(read_faults(wiped + 2 * SMALL) != 0, "MADV_DONTFORK memory is there");
	expect(is_zero(wiped + PAGE, SMALL - PAGE), "MADV_WIPEONFORK memory is not wiped");
}

static void treemem_advice(void)
{
	char *wiped = map_anon(3 * SMALL, RW, MAP_PRIVATE), *hidden = wiped + 2 * SMALL;

	pattern_fill(wiped, SMALL, 21);
	pattern_fill(hidden, SMALL, 22);
	must(madvise(wiped, SMALL, MADV_WIPEONFORK));
	must(madvise(hidden, SMALL, MADV_DONTFORK));
	kid(kid_advice, wiped);
	target_wait();
	expect(pattern_is(hidden, SMALL, 22), "contents");
	kids_check();
}

static void kid_locks(void *arg)
{
	char *at = arg;

	must(mlock(at, 4 * PAGE));
	must(madvise(at + 16 * PAGE, 8 * PAGE, MADV_NOHUGEPAGE));
	kid_wait();
	expect(proc_number("status", "VmLck:", 10) == 16, "VmLck");
	expect(pattern_is(at, SMALL, 23), "contents");
}

static void treemem_locks(void)
{
	char *at = map_anon(SMALL, RW, MAP_PRIVATE);

	pattern_fill(at, SMALL, 23);
	must(mlock(at + 8 * PAGE, 8 * PAGE));
	kid(kid_locks, at);
	target_wait();
	expect(proc_number("status", "VmLck:", 10) == 32, "VmLck");
	kids_check();
}

/* Locks what it gets from now on, too. */
static void kid_lockall(void *arg)
{
	uint64_t locked;
	char *at;

	must(mlockall(MCL_CURRENT | MCL_FUTURE));
	locked = proc_number("status", "VmLck:", 10);
	kid_wait();
	expect(proc_number("status", "VmLck:", 10) == locked, "VmLck");
	at = map_anon(SMALL, RW, MAP_PRIVATE);
	expect(proc_number("status", "VmLck:", 10) == locked + SMALL / 1024, "the next mapping");
	expect(is_zero(at, SMALL) && pattern_is(arg, SMALL, 24), "contents");
}

static void treemem_lockall(void)
{
	char *at = map_anon(SMALL, RW, MAP_PRIVATE);

	pattern_fill(at, SMALL, 24);
	kid(kid_lockall, at);
	target_wait();
	expect(proc_number("status", "VmLck:", 10) == 0, "VmLck");
	kids_check();
}

enum { MANY = 20000 };

/* Every second page is another mapping, every hundredth one another page than the parent's. */
static void kid_many(void *arg)
{
	char *at = arg;

	for (size_t i = 0; i < MANY; i += 2)
		must(mprotect(at + i * PAGE, PAGE, PROT_READ));
	for (size_t i = 1; i < MANY; i += 100)
		at[i * PAGE] = 'k';
	kid_wait();
	for (size_t i = 0; i < MANY; i++)
		expect(at[i * PAGE] == (i % 100 == 1 ? 'k' : i % 3 ? 'p' : 0), "page %zu", i);
	for (size_t i = 0; i < MANY; i += 1000)
		expect(write_faults(at + i * PAGE) == SIGSEGV, "protection of page %zu", i);
}

static void treemem_many(void)
{
	char *at = map_anon((size_t)MANY * PAGE, RW, MAP_PRIVATE);

	for (size_t i = 0; i < MANY; i++)
		if (i % 3)
			at[i * PAGE] = 'p';
	kid(kid_many, at);
	target_wait();
	for (size_t i = 0; i < MANY; i++)
		expect(at[i * PAGE] == (i % 3 ? 'p' : 0), "page %zu", i);
	kids_check();
}

static const size_t SPARSE = 64ULL << 30;

static void kid_sparse(void *arg)
{
	char *at = arg;

	for (size_t i = 0; i < 32; i++)
		at[i * (SPARSE / 32) + PAGE] = 'k';
	kid_wait();
	for (size_t i = 0; i < 32; i++)
		expect(at[i * (SPARSE / 32)] == 'p' && at[i * (SPARSE / 32) + PAGE] == 'k' &&
				at[i * (SPARSE / 32) + 2 * PAGE] == 0,
			"part %zu", i);
}

static void treemem_sparse(void)
{
	char *at = map_anon(SPARSE, RW, MAP_PRIVATE | MAP_NORESERVE);

	for (size_t i = 0; i < 32; i++)
		at[i * (SPARSE / 32)] = 'p';
	kid(kid_sparse, at);
	target_wait();
	for (size_t i = 0; i < 32; i++)
		expect(at[i * (SPARSE / 32) + PAGE] == 0, "the child's page %zu", i);
	kids_check();
}

static void kid_huge(void *arg)
{
	char *at = arg;

	at[5 * PAGE] = 'k';
	kid_wait();
	expect(at[5 * PAGE] == 'k' && at[0] == 'h' && at[(4 << 20) - 1] == 'h', "contents");
}

static void treemem_huge(void)
{
	char *at = map_anon(6 << 20, RW, MAP_PRIVATE);

	must(madvise(at, 6 << 20, MADV_HUGEPAGE));
	memset(at, 'h', 4 << 20);
	kid(kid_huge, at);
	kid(kid_huge, at);
	target_wait();
	expect(at[5 * PAGE] == 'h', "contents");
	kids_check();
}

/* Many workers of one server: what they hold together must not become more. */
static void kid_worker(void *arg)
{
	struct area *area = arg;

	memset(area->at + area->nr * 32 * PAGE, 'w', 16 * PAGE);
	kid_wait();
	expect(area->at[area->nr * 32 * PAGE] == 'w', "contents");
	expect(pss_at(area->at) <= BIG / 1024 / 8 + 64 + BIG / 1024 / 10, "Pss is %lu KiB",
		pss_at(area->at));
}

static void treemem_workers(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 0 };

	memset(area.at, 'm', BIG);
	for (area.nr = 0; area.nr < 10; area.nr++)
		kid(kid_worker, &area);
	target_wait();
	kids_check_together();
}

const struct target targets_tree_mem[] = {
	{ "treemem_values", treemem_values, "values differ after a fork", 0 },
	{ "treemem_shared", treemem_shared, "untouched pages are shared", 0 },
	{ "treemem_generations", treemem_generations, "by three generations", 0 },
	{ "treemem_parent_changed", treemem_parent_changed, "changed in the parent only", 0 },
	{ "treemem_parent_unmapped", treemem_parent_unmapped, "unmapped in the parent only", 0 },
	{ "treemem_remapped", treemem_remapped, "unmapped, protected, emptied in the child", 0 },
	{ "treemem_mremap", treemem_mremap, "moved and resized in the child", 0 },
	{ "treemem_heap", treemem_heap, "heaps of other sizes", 0 },
	{ "treemem_stack", treemem_stack, "a deeper stack", 0 },
	{ "treemem_stack_parent", treemem_stack_parent, "a deeper stack of the parent", 0 },
	{ "treemem_file", treemem_file, "private pages of files", 0 },
	{ "treemem_advice", treemem_advice, "MADV_WIPEONFORK, MADV_DONTFORK", 0 },
	{ "treemem_locks", treemem_locks, "mlock", 0 },
	{ "treemem_lockall", treemem_lockall, "mlockall", 0 },
	{ "treemem_many", treemem_many, "20,000 mappings of the child", 0 },
	{ "treemem_sparse", treemem_sparse, "64 GiB, hardly touched by either", 0 },
	{ "treemem_huge", treemem_huge, "huge pages", 0 },
	{ "treemem_workers", treemem_workers, "ten workers together hold no more", 0 },
	{ NULL, NULL, NULL, 0 },
};
