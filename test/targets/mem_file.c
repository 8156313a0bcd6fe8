/* Mappings of files: private ones clean and written, shared ones, deleted ones, text with
 * breakpoints. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const int RW = PROT_READ | PROT_WRITE;

static char *map_file(int fd, size_t len, int prot, int flags, off_t offset)
{
	return (char *)must((long)mmap(NULL, len, prot, flags, fd, offset));
}

/* True if the 16 pages of pattern made with seed are at p, except those named by the mask. */
static bool pages_are(const char *p, uint32_t seed, uint32_t except)
{
	char all[16 * PAGE];

	pattern_fill(all, sizeof all, seed);
	for (int i = 0; i < 16; i++)
		if (!(except >> i & 1) && memcmp(p + i * PAGE, all + i * PAGE, PAGE) != 0)
			return false;
	return true;
}

static void memfile_private(void)
{
	int fd = file_make("data", 16 * PAGE, 1, O_RDONLY);
	char *p = map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0);
	char *q = map_file(fd, 8 * PAGE, RW, MAP_PRIVATE, 8 * PAGE);

	close(fd);
	memset(p + 3 * PAGE, 'x', PAGE);
	memset(q + 7 * PAGE, 'y', PAGE);
	memset(p + 5 * PAGE, 0, PAGE); /* a private zero page over file contents */
	target_wait();
	expect(pages_are(p, 1, 1 << 3 | 1 << 5), "clean pages");
	expect(p[3 * PAGE] == 'x' && p[4 * PAGE - 1] == 'x', "written page");
	expect(is_zero(p + 5 * PAGE, PAGE), "page written with zeroes");
	expect(q[7 * PAGE] == 'y', "written page of the second mapping");
	must(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED));
	expect(pages_are(p, 1, 1 << 5), "MADV_DONTNEED does not show the file again");
}

static void memfile_private_ro(void)
{
	int fd = file_make("data", 16 * PAGE, 2, O_RDONLY);
	char *p = map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0),
	     *none = map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0);

	close(fd);
	memset(p + PAGE, 'x', PAGE);
	memset(none + PAGE, 'z', PAGE);
	must(mprotect(p, 16 * PAGE, PROT_READ));
	must(mprotect(none, 16 * PAGE, PROT_NONE));
	target_wait();
	expect(pages_are(p, 2, 1 << 1) && p[PAGE] == 'x', "contents");
	expect(write_faults(p) == SIGSEGV, "writable");
	must(mprotect(none, 16 * PAGE, PROT_READ));
	expect(pages_are(none, 2, 1 << 1) && none[PAGE] == 'z', "contents under PROT_NONE");
}

static void memfile_shared(void)
{
	int fd = file_make("data", 16 * PAGE, 3, O_RDWR);
	char *p = map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0), byte = 0;

	close(fd);
	p[PAGE] = 'x';
	target_wait();
	expect(pages_are(p, 3, 1 << 1) && p[PAGE] == 'x', "contents");
	p[2 * PAGE] = 'y';
	fd = (int)must(open("data", O_RDONLY));
	must(pread(fd, &byte, 1, 2 * PAGE));
	expect(byte == 'y', "a write to the mapping does not show in the file");
}

static void memfile_shared_ro(void)
{
	int fd = file_make("data", 16 * PAGE, 4, O_RDONLY);
	char *p = map_file(fd, 16 * PAGE, PROT_READ, MAP_SHARED, 0);

	close(fd);
	target_wait();
	expect(pages_are(p, 4, 0), "contents");
	expect(mprotect(p, PAGE, RW) == -1 && errno == EACCES,
		"opened read-only, but can be made writable");
}

static void memfile_shared_rw_ro(void)
{
	int fd = file_make("data", 16 * PAGE, 5, O_RDWR);
	char *p = map_file(fd, 16 * PAGE, PROT_READ, MAP_SHARED, 0);

	close(fd);
	target_wait();
	expect(pages_are(p, 5, 0), "contents");
	must(mprotect(p, PAGE, RW));
	p[0] = 'x';
}

static void memfile_deleted(void)
{
	int fd = file_make("data", 16 * PAGE, 6, O_RDWR);
	char *p = map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0),
	     *q = map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0);
	char *priv = map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0);

	close(fd);
	must(unlink("data"));
	p[PAGE] = 'x';
	priv[2 * PAGE] = 'y';
	target_wait();
	expect(pages_are(p, 6, 1 << 1) && p[PAGE] == 'x', "contents");
	expect(pages_are(priv, 6, 1 << 1 | 1 << 2) && priv[2 * PAGE] == 'y', "private contents");
	q[3 * PAGE] = 'z';
	expect(p[3 * PAGE] == 'z', "two mappings of one deleted file are not one any more");
	expect(access("data", F_OK) == -1, "the deleted file has its name again");
}

/* Another file stands where the mapped one was: what package upgrades do. */
static void memfile_replaced(void)
{
	int fd = file_make("data", 16 * PAGE, 7, O_RDONLY);
	char *p = map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0);

	close(fd);
	close(file_make("new", 16 * PAGE, 8, O_RDONLY));
	must(rename("new", "data"));
	p[PAGE] = 'x';
	target_wait();
	expect(pages_are(p, 7, 1 << 1) && p[PAGE] == 'x', "contents");
	fd = (int)must(open("data", O_RDONLY));
	expect(pages_are(map_file(fd, 16 * PAGE, PROT_READ, MAP_PRIVATE, 0), 8, 0),
		"the new file was changed");
}

static void memfile_hole(void)
{
	int fd = file_make("data", PAGE, 9, O_RDWR);
	char *p;

	must(ftruncate(fd, 1l << 32));
	p = map_file(fd, 1l << 32, RW, MAP_SHARED, 0);
	close(fd);
	must(unlink("data"));
	p[1l << 31] = 'x';
	target_wait();
	expect(pattern_is(p, PAGE, 9) && p[1l << 31] == 'x' && is_zero(p + PAGE, 16 * PAGE),
		"contents");
	expect(p[(1l << 32) - 1] == 0, "size");
}

static void memfile_beyond_eof(void)
{
	int fd = file_make("data", 4 * PAGE + 100, 10, O_RDWR);
	char *shared = map_file(fd, 8 * PAGE, RW, MAP_SHARED, 0),
	     *priv = map_file(fd, 8 * PAGE, RW, MAP_PRIVATE, 0);

	priv[0] = 'p';
	target_wait();
	expect(pattern_is(shared, 4 * PAGE + 100, 10), "contents");
	expect(is_zero(shared + 4 * PAGE + 100, PAGE - 100), "rest of the last page");
	expect(read_faults(shared + 5 * PAGE) == SIGBUS && read_faults(priv + 6 * PAGE) == SIGBUS,
		"no SIGBUS beyond");
	must(ftruncate(fd, 8 * PAGE));
	expect(is_zero(shared + 5 * PAGE, 3 * PAGE) && is_zero(priv + 5 * PAGE, 3 * PAGE),
		"a longer file is not seen");
}

static void memfile_shm(void)
{
	int fd = (int)must(shm_open("/snapctl-test", O_RDWR | O_CREAT | O_EXCL, 0600));
	char *p;

	must(ftruncate(fd, 16 * PAGE));
	p = map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0);
	must(shm_unlink("/snapctl-test"));
	pattern_fill(p, 16 * PAGE, 11);
	target_wait();
	expect(pattern_is(p, 16 * PAGE, 11), "contents");
	expect(pattern_is(map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0), 16 * PAGE, 11),
		"descriptor and mapping differ");
}

/* A POSIX shared memory object that keeps its name stays where it is; no descriptor is open. */
static void memfile_shm_named(void)
{
	char name[64], *p;
	int fd;

	snprintf(name, sizeof name, "/snapctl-test-%d", getpid());
	fd = (int)must(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	must(ftruncate(fd, 16 * PAGE));
	p = map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0);
	close(fd);
	pattern_fill(p, 16 * PAGE, 12);
	target_wait();
	expect(pattern_is(p, 16 * PAGE, 12), "contents");
	fd = (int)must(shm_open(name, O_RDWR, 0));
	must(shm_unlink(name));
	p[0] = 'x';
	expect(map_file(fd, PAGE, PROT_READ, MAP_SHARED, 0)[0] == 'x', "it is another object now");
}

/* A breakpoint as a debugger writes it, here one that returns at once. */
__attribute__((noinline, noclone, aligned(16))) static int patched(void)
{
	__asm__ volatile("");
	return 1;
}

static void memfile_text(void)
{
	int (*volatile call)(void) = patched;
	char *page = (char *)((uintptr_t)call & -(uintptr_t)PAGE);
	static const unsigned char code[] = { 0xb8, 77, 0, 0, 0, 0xc3 }; /* mov $77, %eax; ret */

	must(mprotect(page, 2 * PAGE, RW | PROT_EXEC));
	memcpy((void *)(uintptr_t)call, code, sizeof code);
	must(mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
	expect(call() == 77, "patched code gives %d", call());
	target_wait();
	expect(call() == 77, "patched code gives %d", call());
}

static int initialised[5000] = { 1, 2, 3 }, zeroed[5000];
static const char *volatile relocated = "text";

static void memfile_data(void)
{
	initialised[4999] = zeroed[4999] = 5;
	target_wait();
	expect(initialised[2] == 3 && initialised[4999] == 5, "data segment");
	expect(zeroed[0] == 0 && zeroed[4999] == 5, "bss");
	expect(strcmp(relocated, "text") == 0, "relocated pointer");
}

/* Two mappings of one file side by side, offsets in order and not: they must not melt into one. */
static void memfile_neighbours(void)
{
	int fd = file_make("data", 16 * PAGE, 13, O_RDONLY);
	char *p = map_anon(3 * PAGE, PROT_NONE, 0);

	for (int i = 0; i < 3; i++)
		must((long)mmap(
			p + i * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, (2 - i) * PAGE));
	p[PAGE] = 'x';
	target_wait();
	expect(p[PAGE] == 'x', "written page");
	for (int i = 0; i < 3; i++) {
		char page[PAGE];

		must(pread(fd, page, PAGE, (2 - i) * PAGE));
		expect(memcmp(p + i * PAGE + 1, page + 1, PAGE - 1) == 0, "page %d", i);
	}
}

static void memfile_dev_zero(void)
{
	int fd = (int)must(open("/dev/zero", O_RDWR | O_CLOEXEC));
	char *priv = map_file(fd, 8 * PAGE, RW, MAP_PRIVATE, 0),
	     *shared = map_file(fd, 8 * PAGE, RW, MAP_SHARED, 0);

	close(fd);
	pattern_fill(priv, 4 * PAGE, 14);
	pattern_fill(shared, 4 * PAGE, 15);
	target_wait();
	expect(pattern_is(priv, 4 * PAGE, 14) && is_zero(priv + 4 * PAGE, 4 * PAGE), "private");
	expect(pattern_is(shared, 4 * PAGE, 15) && is_zero(shared + 4 * PAGE, 4 * PAGE), "shared");
}

enum { MY_MADV_GUARD_INSTALL = 102, MY_MADV_GUARD_REMOVE = 103 };

/*
 * Guards over what others hold: a file, shared memory, memory that is wiped (Linux 6.15; before,
 * only private memory takes them). What is under a guard of a file or of shared memory stays.
 */
static void memfile_guards(void)
{
	int fd = file_make("guarded", 16 * PAGE, 5, O_RDWR);
	char *kinds[] = { map_file(fd, 16 * PAGE, RW, MAP_PRIVATE, 0),
		map_file(fd, 16 * PAGE, RW, MAP_SHARED, 0), map_anon(16 * PAGE, RW, MAP_SHARED),
		map_anon(16 * PAGE, RW, 0) };
	bool guarded[4];

	pattern_fill(kinds[2], 16 * PAGE, 6);
	must(madvise(kinds[3], 16 * PAGE, MADV_WIPEONFORK));
	for (int i = 0; i < 4; i++)
		guarded[i] = madvise(kinds[i] + 4 * PAGE, 2 * PAGE, MY_MADV_GUARD_INSTALL) == 0;
	target_wait();
	for (int i = 0; i < 4; i++) {
		expect(read_faults(kinds[i] + 3 * PAGE) == 0, "%d: below the guard", i);
		expect(read_faults(kinds[i] + 4 * PAGE) == (guarded[i] ? SIGSEGV : 0), "%d: guard",
			i);
		expect(read_faults(kinds[i] + 6 * PAGE) == 0, "%d: above the guard", i);
		if (guarded[i])
			must(madvise(kinds[i] + 4 * PAGE, 2 * PAGE, MY_MADV_GUARD_REMOVE));
	}
	for (int i = 0; i < 2; i++)
		expect(pattern_is(kinds[i], 16 * PAGE, 5), "%d: the file under the guard", i);
	expect(pattern_is(kinds[2], 16 * PAGE, 6), "the shared memory under the guard");
}

const struct target targets_mem_file[] = {
	{ "memfile_private", memfile_private, "clean and written pages, offsets", 0 },
	{ "memfile_private_ro", memfile_private_ro, "written, then read-only or PROT_NONE", 0 },
	{ "memfile_shared", memfile_shared, "writes reach the file", 0 },
	{ "memfile_shared_ro", memfile_shared_ro, "opened read-only: cannot be made writable", 0 },
	{ "memfile_shared_rw_ro", memfile_shared_rw_ro, "opened for writing, mapped read-only", 0 },
	{ "memfile_deleted", memfile_deleted, "a deleted file mapped three times", 0 },
	{ "memfile_replaced", memfile_replaced, "another file has its name", 0 },
	{ "memfile_hole", memfile_hole, "deleted sparse file of 4 GiB", 0 },
	{ "memfile_beyond_eof", memfile_beyond_eof, "SIGBUS beyond the end, until the file grows",
		0 },
	{ "memfile_shm", memfile_shm, "POSIX shared memory, unlinked", 0 },
	{ "memfile_shm_named", memfile_shm_named, "POSIX shared memory with a name", 0 },
	{ "memfile_text", memfile_text, "code with a patch in it", 0 },
	{ "memfile_data", memfile_data, "data, bss, relocated data", 0 },
	{ "memfile_neighbours", memfile_neighbours, "adjacent mappings in reverse order", 0 },
	{ "memfile_guards", memfile_guards, "guards over files, shared and wiped memory", 0 },
	{ "memfile_dev_zero", memfile_dev_zero, "/dev/zero private and shared", 0 },
	{ NULL, NULL, NULL, 0 },
};
