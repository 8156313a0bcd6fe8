/* Descriptors of files, directories and character devices. */
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool same_ofd(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, a, b) == 0;
}

static void file_modes(void)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND,
		O_RDWR | O_NONBLOCK | O_CLOEXEC, O_RDWR | O_SYNC, O_RDWR | O_DSYNC,
		O_RDONLY | O_NOATIME, O_RDWR | O_NOFOLLOW };
	enum { NR = sizeof flags / sizeof *flags };
	int fds[NR], before[NR];
	char byte = 'w';

	close(file_make("data", 1000, 1, O_RDONLY));
	for (int i = 0; i < NR; i++) {
		fds[i] = (int)must(open("data", flags[i]));
		must(lseek(fds[i], 10 * i + 1, SEEK_SET));
		before[i] = fcntl(fds[i], F_GETFL);
	}
	target_wait();
	for (int i = 0; i < NR; i++) {
		expect(lseek(fds[i], 0, SEEK_CUR) == 10 * i + 1, "offset of file %d", i);
		expect(fcntl(fds[i], F_GETFL) == before[i], "flags of file %d: %o, were %o", i,
			fcntl(fds[i], F_GETFL), before[i]);
		expect(fcntl(fds[i], F_GETFD) == (flags[i] & O_CLOEXEC ? FD_CLOEXEC : 0),
			"FD_CLOEXEC of file %d", i);
		expect((write(fds[i], &byte, 1) == 1) == ((flags[i] & O_ACCMODE) != O_RDONLY),
			"writing file %d", i);
	}
	expect(lseek(fds[3], 0, SEEK_CUR) == 1001, "O_APPEND does not append");
}

static void file_dup(void)
{
	int a = file_make("data", 1000, 2, O_RDONLY), b = (int)must(dup(a));
	int c = (int)must(open("data", O_RDONLY)), d = (int)must(fcntl(a, F_DUPFD_CLOEXEC, 100));

	must(lseek(a, 123, SEEK_SET));
	must(lseek(c, 7, SEEK_SET));
	target_wait();
	expect(same_ofd(a, b) && same_ofd(a, d), "duplicates are descriptions of their own");
	expect(!same_ofd(a, c), "two descriptions are one");
	must(lseek(b, 50, SEEK_SET));
	expect(lseek(d, 0, SEEK_CUR) == 50 && lseek(c, 0, SEEK_CUR) == 7, "offsets");
	expect(fcntl(d, F_GETFD) == FD_CLOEXEC && fcntl(a, F_GETFD) == 0, "FD_CLOEXEC");
}

static void file_high(void)
{
	struct rlimit limit;
	int a, b;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	a = (int)must(dup2(file_make("data", 10, 3, O_RDONLY), (int)limit.rlim_cur - 1));
	b = (int)must(dup2(a, 500));
	target_wait();
	expect(lseek(a, 0, SEEK_CUR) == 0 && same_ofd(a, b), "high descriptors");
	expect(fcntl(0, F_DUPFD, 0) < 500, "lower slots are taken");
}

static void file_path(void)
{
	int file, dir, link;
	struct stat st;

	close(file_make("data", 10, 4, O_RDONLY));
	must(symlink("data", "link"));
	file = (int)must(open("data", O_PATH | O_CLOEXEC));
	dir = (int)must(open(".", O_PATH | O_DIRECTORY));
	link = (int)must(open("link", O_PATH | O_NOFOLLOW));
	target_wait();
	expect(read(file, &st, 1) == -1 && errno == EBADF, "O_PATH can be read");
	expect(fstatat(dir, "data", &st, 0) == 0 && st.st_size == 10, "fstatat");
	expect(fstat(link, &st) == 0 && S_ISLNK(st.st_mode), "O_PATH of a symbolic link");
}

static void file_dir(void)
{
	int fd;
	char name[16], buf[256], seen[40] = "", *at;
	long len, nr = 0;

	must(mkdir("dir", 0755));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "dir/%d", i);
		close(file_make(name, 1, 1, O_RDONLY));
	}
	fd = (int)must(open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	len = must(syscall(SYS_getdents64, fd, buf, sizeof buf));
	for (at = buf; at < buf + len; at += ((struct dirent *)at)->d_reclen)
		if (((struct dirent *)at)->d_name[0] != '.')
			nr++, seen[atoi(((struct dirent *)at)->d_name)]++;
	expect(nr < 20, "the buffer is too large");
	target_wait();
	while ((len = must(syscall(SYS_getdents64, fd, buf, sizeof buf))) > 0)
		for (at = buf; at < buf + len; at += ((struct dirent *)at)->d_reclen)
			if (((struct dirent *)at)->d_name[0] != '.')
				seen[atoi(((struct dirent *)at)->d_name)]++;
	for (int i = 0; i < 20; i++)
		expect(seen[i] == 1, "entry %d was seen %d times", i, seen[i]);
}

static void file_deleted(void)
{
	int a = file_make("data", 5000, 5, O_RDWR), b = (int)must(open("data", O_RDONLY)),
	    dup_of_a = (int)must(dup(a));
	char all[5000];
	struct stat st;

	must(lseek(a, 100, SEEK_SET));
	must(lseek(b, 200, SEEK_SET));
	must(fchmod(a, 0604));
	must(unlink("data"));
	target_wait();
	expect(pread(b, all, sizeof all, 0) == 5000 && pattern_is(all, 5000, 5), "contents");
	expect(lseek(dup_of_a, 0, SEEK_CUR) == 100 && lseek(b, 0, SEEK_CUR) == 200, "offsets");
	must(pwrite(a, "new", 3, 0));
	expect(pread(b, all, 3, 0) == 3 && memcmp(all, "new", 3) == 0,
		"two descriptors of one file are two files now");
	must(fstat(a, &st));
	expect(st.st_nlink == 0 && (st.st_mode & 0777) == 0604 && st.st_size == 5000,
		"links, mode, size");
	expect(access("data", F_OK) == -1, "the deleted file has its name again");
}

static void file_deleted_link(void)
{
	int fd = file_make("data", 5000, 6, O_RDWR);
	char all[5000], byte = 'x';

	must(link("data", "other name"));
	must(unlink("data"));
	target_wait();
	expect(pread(fd, all, sizeof all, 0) == 5000 && pattern_is(all, 5000, 6), "contents");
	must(pwrite(fd, &byte, 1, 0));
	fd = (int)must(open("other name", O_RDONLY));
	expect(read(fd, all, 1) == 1 && all[0] == 'x', "not the file that still has another name");
}

static void file_tmpfile(void)
{
	int fd = (int)must(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	char all[20];

	must(write(fd, "temporary", 9));
	target_wait();
	expect(pread(fd, all, 20, 0) == 9 && memcmp(all, "temporary", 9) == 0, "contents");
	expect(lseek(fd, 0, SEEK_CUR) == 9, "offset");
}

static void file_hole(void)
{
	int fd = file_make("data", 100, 7, O_RDWR);
	struct stat st;

	must(ftruncate(fd, 8l << 30));
	must(pwrite(fd, "middle", 6, 4l << 30));
	must(unlink("data"));
	target_wait();
	must(fstat(fd, &st));
	expect(st.st_size == 8l << 30, "size");
	expect(lseek(fd, 0, SEEK_DATA) == 0 && lseek(fd, 1 << 20, SEEK_DATA) == 4l << 30,
		"the holes are filled");
}

/* Read to its end: of some file systems, a position as far out as no removed directory lets one go.
 */
static off_t read_through(int dir)
{
	char entries[1024];

	while (must(getdents64(dir, entries, sizeof entries)) > 0)
		;
	return (off_t)must(lseek(dir, 0, SEEK_CUR));
}

/* Of one directory, of one in another that is gone as well, and of a file in there. */
static void file_dir_removed(void)
{
	int dir, again, path, nested, file;
	off_t end;
	struct stat st;

	must(mkdir("gone", 0710));
	must(mkdir("outer", 0700));
	must(mkdir("outer/inner", 0700));
	dir = (int)must(open("gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	end = read_through(dir);
	again = (int)must(open("gone", O_RDONLY | O_DIRECTORY));
	path = (int)must(open("gone", O_PATH));
	nested = (int)must(open("outer/inner", O_RDONLY | O_DIRECTORY));
	file = file_make("outer/inner/file", 3 * PAGE, 5, O_RDWR);
	must(unlink("outer/inner/file"));
	must(rmdir("outer/inner"));
	must(rmdir("outer"));
	must(rmdir("gone"));
	target_wait();
	expect(fstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0710, "mode");
	expect(st.st_nlink == 0, "it has a name");
	expect(lseek(dir, 0, SEEK_CUR) == end && lseek(again, 0, SEEK_CUR) == 0, "position");
	expect(fcntl(dir, F_GETFD) == FD_CLOEXEC && fcntl(again, F_GETFD) == 0, "FD_CLOEXEC");
	expect(openat(dir, "x", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT, "a file in it");
	expect(fcntl(path, F_GETFL) & O_PATH && fstat(path, &st) == 0 && S_ISDIR(st.st_mode),
		"O_PATH");
	expect(fstat(nested, &st) == 0 && S_ISDIR(st.st_mode), "in another");
	expect(fstat(file, &st) == 0 && st.st_size == 3 * PAGE, "size");
	expect(access("outer", F_OK) == -1 && access("gone", F_OK) == -1, "they are back");
}

static void file_devices(void)
{
	static const char *const paths[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		"/dev/urandom" };
	int fds[5];
	char buf[8] = "xxxxxxxx";
	struct stat st, want;

	for (int i = 0; i < 5; i++)
		fds[i] = (int)must(open(paths[i], O_RDWR | (i ? O_CLOEXEC : O_NONBLOCK)));
	target_wait();
	for (int i = 0; i < 5; i++) {
		must(fstat(fds[i], &st));
		must(stat(paths[i], &want));
		expect(st.st_rdev == want.st_rdev, "%s is another device", paths[i]);
	}
	expect(read(fds[0], buf, 8) == 0 && read(fds[1], buf, 8) == 8 && is_zero(buf, 8),
		"null and zero");
	expect(write(fds[2], buf, 8) == -1 && errno == ENOSPC, "full");
	expect(read(fds[4], buf, 8) == 8, "urandom");
}

/* Who gets which signal when input arrives: F_SETOWN, F_SETOWN_EX, F_SETSIG. */
static void file_owner(void)
{
	struct f_owner_ex thread = { F_OWNER_TID, gettid() }, now;
	siginfo_t info;
	sigset_t set;
	int a[2], b[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(fcntl(a[0], F_SETOWN, getpid()));
	must(fcntl(b[0], F_SETOWN_EX, &thread));
	must(fcntl(b[0], F_SETSIG, SIGRTMIN));
	must(fcntl(a[0], F_SETFL, O_ASYNC));
	must(fcntl(b[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	target_wait();
	expect(fcntl(a[0], F_GETOWN) == getpid(), "F_GETOWN %d", fcntl(a[0], F_GETOWN));
	must(fcntl(b[0], F_GETOWN_EX, &now));
	expect(now.type == F_OWNER_TID && now.pid == gettid(), "F_GETOWN_EX %d %d", now.type,
		now.pid);
	expect(fcntl(b[0], F_GETSIG) == SIGRTMIN, "F_GETSIG %d", fcntl(b[0], F_GETSIG));
	expect(fcntl(b[0], F_GETFL) & O_ASYNC, "O_ASYNC");
	must(write(b[1], "x", 1));
	expect(sigtimedwait(&set, &info, &(struct timespec){ 2, 0 }) == SIGRTMIN &&
			info.si_fd == b[0],
		"no signal for input");
	must(write(a[1], "x", 1));
	expect(sigtimedwait(&set, &info, &(struct timespec){ 2, 0 }) == SIGIO,
		"no SIGIO for input");
}

/* Descriptors of /proc: many monitoring programs keep them open. */
static void file_proc(void)
{
	int own = (int)must(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
	int system = (int)must(open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
	char buf[64];

	target_wait();
	expect(pread(own, buf, sizeof buf, 0) > 0 && atoi(buf) == getpid(), "/proc/self/stat of %d",
		atoi(buf));
	expect(pread(system, buf, 8, 0) == 8 && memcmp(buf, "MemTotal", 8) == 0, "/proc/meminfo");
}

/* Standard descriptors closed. */
static void file_no_stdio(void)
{
	close(0);
	close(1);
	close(2);
	target_wait();
	for (int i = 0; i < 3; i++)
		expect(fcntl(i, F_GETFD) == -1, "descriptor %d is open", i);
}

const struct target targets_fd_file[] = {
	{ "file_modes", file_modes, "offsets, flags, append", 0 },
	{ "file_dup", file_dup, "duplicates share an offset", 0 },
	{ "file_high", file_high, "high numbers", 0 },
	{ "file_path", file_path, "O_PATH", 0 },
	{ "file_dir", file_dir, "reading a directory goes on", 0 },
	{ "file_dir_removed", file_dir_removed, "directories that were removed", 0 },
	{ "file_deleted", file_deleted, "a deleted file", 0 },
	{ "file_deleted_link", file_deleted_link, "deleted, but with another name", TARGET_EITHER },
	{ "file_tmpfile", file_tmpfile, "O_TMPFILE", 0 },
	{ "file_hole", file_hole, "a deleted file of 8 GiB with holes", 0 },
	{ "file_devices", file_devices, "null, zero, full, random, urandom", 0 },
	{ "file_owner", file_owner, "F_SETOWN, F_SETSIG, O_ASYNC", 0 },
	{ "file_proc", file_proc, "files of /proc", 0 },
	{ "file_no_stdio", file_no_stdio, "0, 1 and 2 closed", 0 },
	{ NULL, NULL, NULL, 0 },
};
