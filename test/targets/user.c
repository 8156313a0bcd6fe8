/* States that only an ordinary user can get stuck in: root may open and read everything. */
#include "target.h"

#include "tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* gunicorn's workers do that: removed, and its mode is a sign of life. */
static void user_unreadable(void)
{
	int a = file_make("gone", 5000, 7, O_RDWR), b = (int)must(open("gone", O_RDONLY));
	struct stat st;
	char contents[4999], byte;

	must(unlink("gone"));
	must(lseek(a, 4321, SEEK_SET));
	must(fchmod(a, 0));
	target_wait();
	must(fstat(a, &st));
	expect((st.st_mode & 07777) == 0 && st.st_size == 5000, "mode %o", st.st_mode);
	expect(lseek(a, 0, SEEK_CUR) == 4321 && lseek(b, 0, SEEK_CUR) == 0, "positions");
	must(pwrite(a, "x", 1, 4999));
	expect(pread(b, &byte, 1, 4999) == 1 && byte == 'x', "one file");
	must(pread(b, contents, sizeof contents, 0));
	expect(pattern_is(contents, sizeof contents, 7), "contents");
}

static void user_write_only(void)
{
	int fd = file_make("gone", 5000, 7, O_WRONLY);

	must(unlink("gone"));
	must(fchmod(fd, 0));
	target_wait();
	must(pwrite(fd, "x", 1, 0));
}

/* Of those that have a name, too: what open(2) makes with mode 0400 is open for writing all the
 * same. */
static void user_closed(void)
{
	int file = (int)must(open("ro", O_RDWR | O_CREAT | O_EXCL, 0400)), fifo, memfd, again;
	int mapped = file_make("mapped", PAGE, 3, O_RDWR), dir;
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0), self[40];
	char got[8];

	expect(at != MAP_FAILED, "mmap");
	must(fchmod(mapped, 0));
	must(close(mapped));
	must(mkfifo("fifo", 0600));
	fifo = (int)must(open("fifo", O_RDWR | O_NONBLOCK));
	must(write(fifo, "held", 4));
	must(chmod("fifo", 0));
	memfd = (int)must(memfd_create("closed", 0));
	must(write(memfd, "memory", 6));
	snprintf(self, sizeof self, "/proc/self/fd/%d", memfd);
	again = (int)must(open(self, O_RDONLY));
	must(fchmod(memfd, 0));
	must(mkdir("closed", 0700));
	dir = (int)must(open("closed", O_RDONLY | O_DIRECTORY));
	must(fchmod(dir, 0));
	target_wait();
	must(write(file, "more", 4));
	expect(pread(file, got, 4, 0) == 4 && !memcmp(got, "more", 4), "the file");
	at[0] = 'x';
	must(chmod("mapped", 0400));
	mapped = (int)must(open("mapped", O_RDONLY));
	expect(pread(mapped, got, 1, 0) == 1 && got[0] == 'x', "the mapped file");
	expect(read(fifo, got, 8) == 4 && !memcmp(got, "held", 4), "the FIFO");
	must(lseek(again, 0, SEEK_SET));
	must(pwrite(memfd, "M", 1, 0));
	expect(read(again, got, 8) == 6 && !memcmp(got, "Memory", 6), "the memfd");
	must(fchmod(dir, 0700));
}

struct parts {
	char *at;
};

static void kid_last(void *arg)
{
	struct parts *parts = arg;

	must(munmap(parts->at, 2 * PAGE));
	kid_wait();
	expect(parts->at[3 * PAGE] == 4 && parts->at[2 * PAGE] == 5, "the last half");
}

/* Shared memory that nobody may open can only be read where it is mapped: here by two in parts. */
static void user_parts(void)
{
	struct parts parts = { mmap(
		NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) };

	expect(parts.at != MAP_FAILED, "mmap");
	parts.at[0] = 1;
	parts.at[3 * PAGE] = 4;
	kid(kid_last, &parts);
	must(munmap(parts.at + 3 * PAGE, PAGE));
	target_wait();
	expect(parts.at[0] == 1, "the first half");
	parts.at[2 * PAGE] = 5;
	kids_check();
}

const struct target targets_user[] = {
	{ "user_closed", user_closed, "files of modes that keep their owner out", 0 },
	{ "user_parts", user_parts, "shared memory, mapped in parts by two", 0 },
	{ "user_unreadable", user_unreadable, "a removed file that its owner may not open", 0 },
	{ "user_write_only", user_write_only, "the same, open for writing only", 0 },
	{ NULL, NULL, NULL, 0 },
};
