/* Private memory that siblings share with each other, and not with the process they come from. */
#include "target.h"
#include "tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

enum { BIG = 256 * PAGE };

struct area {
	char *at;
	uint32_t seed;
	unsigned holders; /* so many processes have these pages */
};

static void kid_holds(void *arg)
{
	struct area area = *(struct area *)arg;

	kid_wait();
	expect_shared(area.at, BIG, area.holders);
	expect(pattern_is(area.at, BIG, area.seed), "contents");
	memset(area.at, 'k', PAGE); /* nobody else may see that */
}

/* Each time that the parent changes it, two are forked. */
static void treeaside_versions(void)
{
	struct area area = { .at = map_anon(BIG, RW, MAP_PRIVATE), .holders = 2 };

	for (area.seed = 1; area.seed <= 3; area.seed++) {
		pattern_fill(area.at, BIG, area.seed);
		kid(kid_holds, &area);
		kid(kid_holds, &area);
	}
	pattern_fill(area.at, BIG, 9);
	target_wait();
	expect_shared(area.at, BIG, 1);
	kids_check_together();
	expect(pattern_is(area.at, BIG, 9), "the parent's");
}

/* Where the parent had memory, there are a file, shared memory, and nothing. */
static void treeaside_replaced(void)
{
	char *at = map_anon(3 * BIG, RW, MAP_PRIVATE);
	struct area area[3];
	int fd = file_make("replaced", BIG, 5, O_RDWR);

	for (uint32_t i = 0; i < 3; i++) {
		area[i] = (struct area){ at + i * BIG, 10 + i, 9 };
		pattern_fill(area[i].at, BIG, area[i].seed);
	}
	/* Else they were one mapping. */
	must(mprotect(area[1].at, BIG, RW | PROT_EXEC));
	for (int i = 0; i < 9; i++)
		kid(kid_holds, &area[i % 3]);
	must((long)mmap(area[0].at, BIG, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
	must((long)mmap(area[1].at, BIG, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	must(munmap(area[2].at, BIG));
	area[0].at[PAGE] = 'f';
	pattern_fill(area[1].at, BIG, 6);
	target_wait();
	expect(area[0].at[PAGE] == 'f', "the file");
	expect(pattern_is(area[1].at, BIG, 6), "shared memory");
	expect(read_faults(area[2].at) != 0, "the unmapped part");
	kids_check_together();
}

static void kid_parts(void *arg)
{
	char *at = arg;

	kid_wait();
	for (uint32_t i = 0; i < 3; i++) {
		expect_shared(at + i * BIG, BIG, 3);
		expect(pattern_is(at + i * BIG, BIG, 20 + i), "contents of part %u", i);
	}
}

/* The same memory under other protections, and the parent has given it back. */
static void treeaside_protected(void)
{
	static const int prots[3] = { PROT_READ, RW, PROT_READ | PROT_EXEC };
	char *at = map_anon(3 * BIG, RW, MAP_PRIVATE);

	for (uint32_t i = 0; i < 3; i++) {
		pattern_fill(at + i * BIG, BIG, 20 + i);
		must(mprotect(at + i * BIG, BIG, prots[i]));
	}
	for (int i = 0; i < 3; i++)
		kid(kid_parts, at);
	must(mprotect(at, BIG, RW));
	must(madvise(at, BIG, MADV_DONTNEED));
	must(munmap(at + BIG, 2 * BIG));
	target_wait();
	expect(is_zero(at, BIG) && read_faults(at + BIG) != 0, "the parent's");
	kids_check_together();
}

/* ---- generations -------------------------------------------------------------------------------
 */

/* It has changed what its parent and its kid have. */
static void kid_between(void *arg)
{
	struct area *area = arg;

	kid(kid_holds, area);
	pattern_fill(area->at, BIG, 31);
	kid_wait();
	kids_check();
	expect(pattern_is(area->at, BIG, 31), "what was changed");
}

static void treeaside_grandparent(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 30, 2 };

	pattern_fill(area.at, BIG, 30);
	kid(kid_between, &area);
	target_wait();
	expect_shared(area.at, BIG, 2);
	kids_check();
	expect(pattern_is(area.at, BIG, 30), "the first one's");
}

struct cousins {
	char *at;
	pid_t *pids; /* in memory shared by all */
};

static void kid_cousin(void *arg)
{
	kid_wait();
	expect(pattern_is(((struct cousins *)arg)->at, BIG, 40), "contents");
}

static void kid_with_cousins(void *arg)
{
	struct cousins *c = arg;
	bool second = c->pids[0];

	for (int i = 0; i < 2; i++)
		c->pids[2 * second + i] = kid(kid_cousin, c);
	pattern_fill(c->at, BIG, 41 + second);
	kid_wait();
	kids_check();
	expect(pattern_is(c->at, BIG, 41 + second), "what was changed");
}

/* Cousins have what none of those that they come from has any more. */
static void treeaside_cousins(void)
{
	struct cousins c = { map_anon(BIG, RW, MAP_PRIVATE),
		(pid_t *)map_anon(PAGE, RW, MAP_SHARED) };

	pattern_fill(c.at, BIG, 40);
	kid(kid_with_cousins, &c);
	kid(kid_with_cousins, &c);
	must(madvise(c.at, BIG, MADV_DONTNEED));
	target_wait();
	expect(is_zero(c.at, BIG), "the first one's");
	for (int i = 0; i < 4; i++)
		expect(pss_of(c.pids[i], c.at) <= BIG / 1024 / 4 * 11 / 10,
			"Pss of cousin %d is %lu", i, pss_of(c.pids[i], c.at));
	kids_check();
}

static void treeaside_orphans(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 50, 2 };

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pattern_fill(area.at, BIG, 50);
	kid_orphan(kid_holds, &area);
	kid_orphan(kid_holds, &area);
	must(munmap(area.at, BIG));
	target_wait();
	expect(read_faults(area.at) != 0, "the first one's");
	kids_check_together();
}

/* ---- a parent with more than memory ------------------------------------------------------------
 */

static void *thread_reads(void *arg)
{
	char byte;

	thread_arrived();
	must(read(*(int *)arg, &byte, 1));
	return NULL;
}

/* Threads, shared memory, a heap that shrank: what the parent is besides comes in its last stage.
 */
static void treeaside_busy(void)
{
	struct area area = { map_anon(BIG, RW, MAP_PRIVATE), 60, 2 };
	char *shared = map_anon(4 * PAGE, RW, MAP_SHARED), *end = sbrk(0), *now;
	pthread_t thread;
	int ends[2];

	must(pipe(ends));
	must((long)sbrk(64 * PAGE));
	pattern_fill(end, 64 * PAGE, 61);
	pattern_fill(area.at, BIG, 60);
	kid(kid_holds, &area);
	kid(kid_holds, &area);
	must((long)sbrk(-32 * PAGE));
	pattern_fill(area.at, BIG, 62);
	must(mlock(area.at, 4 * PAGE));
	must(madvise(area.at + BIG / 2, BIG / 2, MADV_MERGEABLE));
	pattern_fill(shared, 4 * PAGE, 63);
	thread = thread_start(thread_reads, &ends[0]);
	now = sbrk(0);
	target_wait();
	expect(sbrk(0) == now && pattern_is(end, 32 * PAGE, 61), "the heap");
	expect(pattern_is(area.at, BIG, 62) && pattern_is(shared, 4 * PAGE, 63), "contents");
	kids_check_together();
	must(write(ends[1], "x", 1));
	thread_join(thread);
}

const struct target targets_tree_aside[] = {
	{ "treeaside_versions", treeaside_versions, "three versions, two kids each", 0 },
	{ "treeaside_replaced", treeaside_replaced, "mapped over and unmapped in the parent", 0 },
	{ "treeaside_protected", treeaside_protected, "several mappings, emptied in the parent",
		0 },
	{ "treeaside_grandparent", treeaside_grandparent, "changed in between", 0 },
	{ "treeaside_cousins", treeaside_cousins, "cousins", 0 },
	{ "treeaside_orphans", treeaside_orphans, "orphans", 0 },
	{ "treeaside_busy", treeaside_busy, "a parent with threads, a heap, shared memory", 0 },
	{ NULL, NULL, NULL, 0 },
};
