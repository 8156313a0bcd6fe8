/* Huge pages of hugetlb: the test sees to it that there are some. */
#include "target.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HUGE = 2 << 20 };

static const int RW = PROT_READ | PROT_WRITE;

static char *map_huge(size_t nr, int flags)
{
	char *p = mmap(NULL, nr * HUGE, RW, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);

	if (p == MAP_FAILED)
		target_skip("huge pages (vm.nr_hugepages)");
	return p;
}

static bool resident(char *at)
{
	unsigned char there;

	must(mincore(at, PAGE, &there));
	return there & 1;
}

static bool half_is(const char *at, uint32_t seed)
{
	return pattern_is(at, HUGE / 2, seed) && is_zero(at + HUGE / 2, HUGE / 2);
}

/* In pieces of several protections; all zeroes is not the same as never touched. */
static void huge_private(void)
{
	char *p = map_huge(4, MAP_PRIVATE), *locked = map_huge(1, MAP_PRIVATE | MAP_NORESERVE);

	pattern_fill(p, HUGE / 2, 1);
	memset(p + HUGE, 0, 1);
	pattern_fill(p + 3 * HUGE, HUGE / 2, 2);
	must(mprotect(p + 3 * HUGE, HUGE, PROT_READ));
	must(mprotect(p + 2 * HUGE, HUGE, PROT_NONE));
	pattern_fill(locked, HUGE / 2, 3);
	must(mlock(locked, HUGE));
	target_wait();
	expect(half_is(p, 1) && half_is(p + 3 * HUGE, 2) && half_is(locked, 3), "contents");
	expect(resident(p + HUGE) && is_zero(p + HUGE, HUGE), "a page of zeroes");
	expect(!resident(p + 2 * HUGE), "a page that was never touched");
	must(mprotect(p, 4 * HUGE, RW));
	p[2 * HUGE] = p[3 * HUGE] = 1;
	must(madvise(p, HUGE, MADV_DONTNEED));
	expect(is_zero(p, HUGE), "MADV_DONTNEED does not bring back zeroes");
}

/* What the child says with its exit status: it has seen what is written here, and answers. */
static void huge_fork(void)
{
	char *shared = map_huge(2, MAP_SHARED), *own = map_huge(2, MAP_PRIVATE);
	int go[2], status;
	pid_t child;
	char byte;

	must(pipe(go));
	pattern_fill(shared, HUGE / 2, 4);
	pattern_fill(own, HUGE / 2, 5);
	pattern_fill(own + HUGE, HUGE / 2, 6);
	child = (pid_t)must(fork());
	if (child == 0) {
		close(go[1]);
		own[PAGE] = 'c';
		if (read(go[0], &byte, 1) != 0 || own[PAGE] != 'c' || shared[0] != 'p')
			_exit(1);
		shared[HUGE] = 'a';
		_exit(half_is(own + HUGE, 6) ? 7 : 2);
	}
	close(go[0]);
	target_wait();
	expect(half_is(shared, 4) && half_is(own, 5), "contents");
	shared[0] = 'p';
	close(go[1]);
	must(waitpid(child, &status, 0));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child: %x", status);
	expect(shared[HUGE] == 'a', "memory is not shared any more");
}

static void huge_memfd(void)
{
	int fd = (int)syscall(319 /* memfd_create */, "huge", 4 | 2 /* HUGETLB, ALLOW_SEALING */);
	char *p, *q, buf[PAGE];

	if (fd < 0)
		target_skip("MFD_HUGETLB");
	must(ftruncate(fd, 3 * HUGE));
	p = mmap(NULL, 2 * HUGE, RW, MAP_SHARED, fd, 0);
	q = mmap(NULL, HUGE, RW, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || q == MAP_FAILED)
		target_skip("huge pages (vm.nr_hugepages)");
	pattern_fill(p, HUGE / 2, 8);
	q[PAGE] = 'q';
	must(mprotect(q, HUGE, PROT_READ));
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	target_wait();
	expect(half_is(p, 8), "contents");
	expect(q[PAGE] == 'q' && !memcmp(p, q, PAGE), "private mapping");
	expect(write_faults(q), "it can be written to");
	must(pread(fd, buf, sizeof buf, 0));
	expect(!memcmp(buf, p, PAGE), "read");
	expect(fcntl(fd, F_GET_SEALS) == F_SEAL_GROW, "seals");
	expect(lseek(fd, 0, SEEK_END) == 3 * HUGE, "size");
	p[5] = 'x';
	must(pread(fd, buf, sizeof buf, 0));
	expect(buf[5] == 'x', "the mapping is not of that file");
}

const struct target targets_mem_huge[] = {
	{ "huge_private", huge_private, "private huge pages, in pieces", 0 },
	{ "huge_fork", huge_fork, "huge pages of a parent and its child", 0 },
	{ "huge_memfd", huge_memfd, "a memfd of huge pages", 0 },
	{ NULL, NULL, NULL, 0 },
};
