/* What madvise(2), mlock(2), prctl(2) and mseal(2) leave on a mapping. The visible state compares
 * the flags. */
#include "target.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

enum { MY_SYS_mseal = 462, MY_MAP_DROPPABLE = 8 };

/* A mapping of 16 pages with pages 0-7 filled, apart from its neighbours. */
static char *area(uint32_t seed)
{
	char *p = map_anon(18 * PAGE, PROT_NONE, 0) + PAGE;

	must(mprotect(p, 16 * PAGE, RW));
	pattern_fill(p, 8 * PAGE, seed);
	return p;
}

static void mem_advice(void)
{
	static const int advice[] = { MADV_SEQUENTIAL, MADV_RANDOM, MADV_DONTFORK, MADV_DONTDUMP,
		MADV_NOHUGEPAGE, MADV_HUGEPAGE };
	char *p[6];

	for (int i = 0; i < 6; i++) {
		p[i] = area(i);
		must(madvise(p[i], 16 * PAGE, advice[i]));
	}
	target_wait();
	for (int i = 0; i < 6; i++)
		expect(pattern_is(p[i], 8 * PAGE, i), "contents after advice %d", advice[i]);
	if (fork() == 0)
		_exit(read_faults(p[2]) == SIGSEGV ? 0 : 1);
	int status = 0;
	must(wait(&status));
	expect(status == 0, "MADV_DONTFORK memory is there after a fork");
}

/* Copies are not twins (D15): such memory comes back empty. */
static void mem_wipeonfork(void)
{
	char *p = area(1);

	must(madvise(p, 16 * PAGE, MADV_WIPEONFORK));
	target_wait();
	expect(is_zero(p, 16 * PAGE), "MADV_WIPEONFORK memory was not wiped");
	memset(p, 1, 16 * PAGE);
}

static void mem_mergeable(void)
{
	char *p = area(2);

	if (madvise(p, 16 * PAGE, MADV_MERGEABLE) < 0)
		expect(errno == EINVAL, "MADV_MERGEABLE: %s", strerror(errno)); /* no KSM here */
	target_wait();
	expect(pattern_is(p, 8 * PAGE, 2), "contents");
}

static void mem_mlock(void)
{
	char *locked = area(3), *onfault = area(4), *none = area(5);

	must(mlock(locked, 16 * PAGE));
	must(mlock2(onfault, 16 * PAGE, MLOCK_ONFAULT));
	must(mlock(none, 16 * PAGE));
	must(mprotect(none, 16 * PAGE, PROT_NONE));
	target_wait();
	expect(pattern_is(locked, 8 * PAGE, 3) && pattern_is(onfault, 8 * PAGE, 4), "contents");
	must(munlock(locked, 16 * PAGE));
	must(mprotect(none, 16 * PAGE, RW));
	expect(pattern_is(none, 8 * PAGE, 5), "contents of locked PROT_NONE memory");
}

static void mem_mlockall(void)
{
	char *p = area(6);
	uint64_t before;

	must(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	target_wait();
	expect(pattern_is(p, 8 * PAGE, 6), "contents");
	before = proc_number("status", "VmLck:", 10);
	map_anon(16 * PAGE, RW, 0);
	expect(proc_number("status", "VmLck:", 10) == before + 64,
		"new mappings are not locked (MCL_FUTURE)");
}

static void mem_thp(void)
{
	size_t len = 8 << 20;
	char *p = map_anon(2 * len, RW, 0);

	p += (-(uintptr_t)p) & ((2 << 20) - 1);
	must(madvise(p, len, MADV_HUGEPAGE));
	pattern_fill(p, len / 2, 7);
	target_wait();
	expect(pattern_is(p, len / 2, 7) && is_zero(p + len / 2, len / 2), "contents");
}

/* linux/prctl.h: PR_SET_VMA is 0x53564d41 */
static void mem_named(void)
{
	char *p = area(8), *q = area(9);

	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 16 * PAGE, "snap: a name") < 0)
		expect(errno == EINVAL, "PR_SET_VMA_ANON_NAME: %s",
			strerror(errno)); /* not configured */
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, q, 16 * PAGE, "other");
	target_wait();
	expect(pattern_is(p, 8 * PAGE, 8) && pattern_is(q, 8 * PAGE, 9), "contents");
}

static void mem_sealed(void)
{
	char *p = area(10);
	bool sealed;

	must(mprotect(p, 16 * PAGE, PROT_READ));
	sealed = syscall(MY_SYS_mseal, p, 16 * PAGE, 0) == 0;
	expect(sealed || errno == ENOSYS, "mseal: %s", strerror(errno));
	target_wait();
	expect(pattern_is(p, 8 * PAGE, 10), "contents");
	if (sealed)
		expect(munmap(p, PAGE) == -1 && errno == EPERM, "the seal is broken");
}

static void mem_droppable(void)
{
	char *p = mmap(NULL, 16 * PAGE, RW, MY_MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	expect(p != MAP_FAILED || errno == EINVAL || errno == EOPNOTSUPP, "MAP_DROPPABLE: %s",
		strerror(errno));
	if (p == MAP_FAILED)
		p = map_anon(16 * PAGE, RW, 0);
	memset(p, 1, 16 * PAGE);
	target_wait();
	/* The kernel may drop it at any time, so contents are either the old ones or zero. */
	expect(p[0] == 0 || p[0] == 1, "contents");
	memset(p, 2, 16 * PAGE);
}

static void mem_thp_disabled(void)
{
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	target_wait();
	expect(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "PR_GET_THP_DISABLE");
}

/* Linux 6.18. */
static void mem_thp_advised(void)
{
	enum { EXCEPT_ADVISED = 2 };

	if (prctl(PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) < 0)
		target_skip("PR_THP_DISABLE_EXCEPT_ADVISED");
	target_wait();
	expect(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == (1 | EXCEPT_ADVISED), "PR_GET_THP_DISABLE");
}

const struct target targets_mem_advice[] = {
	{ "mem_advice", mem_advice, "sequential, random, dontfork, dontdump, (no)hugepage", 0 },
	{ "mem_wipeonfork", mem_wipeonfork, "MADV_WIPEONFORK comes back wiped", 0 },
	{ "mem_mergeable", mem_mergeable, "MADV_MERGEABLE", 0 },
	{ "mem_mlock", mem_mlock, "mlock, mlock2 on fault, locked and PROT_NONE", 0 },
	{ "mem_mlockall", mem_mlockall, "MCL_FUTURE", 0 },
	{ "mem_thp", mem_thp, "huge pages", 0 },
	{ "mem_named", mem_named, "PR_SET_VMA_ANON_NAME", 0 },
	{ "mem_sealed", mem_sealed, "mseal", 0 },
	{ "mem_droppable", mem_droppable, "MAP_DROPPABLE", 0 },
	{ "mem_thp_disabled", mem_thp_disabled, "PR_SET_THP_DISABLE", 0 },
	{ "mem_thp_advised", mem_thp_advised, "PR_THP_DISABLE_EXCEPT_ADVISED", 0 },
	{ NULL, NULL, NULL, 0 },
};
