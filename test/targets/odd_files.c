/* Files in states that few programs leave them in: of /proc, without a name, of other owners. */
#include "target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void link_of(int fd, char path[40])
{
	snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* ---- /proc --------------------------------------------------------------------------------- */

static bool reads_anew(int fd, const char *first)
{
	char text[4096];
	ssize_t len = pread(fd, text, sizeof text - 1, 0);

	if (len <= 0)
		return false;
	text[len] = '\0';
	return strstr(text, first) != NULL;
}

static void odd_files_proc(void)
{
	int maps = (int)must(open("/proc/self/maps", O_RDONLY));
	int mem = (int)must(open("/proc/self/mem", O_RDWR)), again = (int)must(dup2(mem, 77));
	int auxv = (int)must(open("/proc/self/auxv", O_RDONLY));
	int net = (int)must(open("/proc/self/net/dev", O_RDONLY));
	volatile int value = 42, got = 0;
	char byte[16];

	must(read(maps, byte, sizeof byte));
	must(read(auxv, byte, sizeof byte));
	must(lseek(mem, (off_t)(uintptr_t)&value, SEEK_SET));
	target_wait();
	expect(reads_anew(maps, "-"), "maps");
	expect(lseek(auxv, 0, SEEK_CUR) == sizeof byte, "place in auxv");
	expect(read(again, (void *)&got, sizeof got) == sizeof got && got == 42, "mem");
	expect(reads_anew(net, "lo:"), "net/dev");
}

/* What is behind the position must be about this process, not about the one that restored it. */
static void odd_files_half_read(void)
{
	int status = (int)must(open("/proc/self/status", O_RDONLY));
	char rest[4096] = "", want[80];

	must(prctl(PR_SET_NAME, "half-read"));
	must(read(status, rest, 3));
	must(umask(0027));
	target_wait();
	must(read(status, rest, sizeof rest - 1));
	snprintf(want, sizeof want, "e:\thalf-read\nUmask:\t0027\n");
	expect(!strncmp(rest, want, strlen(want)), "%.40s", rest);
}

/* It has ended, and nobody has waited for it. */
static void odd_files_zombie(void)
{
	pid_t pid = (pid_t)must(fork());
	char path[40], text[512] = "";
	int stat, dir;

	if (pid == 0)
		_exit(3);
	must(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	stat = (int)must(open(path, O_RDONLY));
	snprintf(path, sizeof path, "/proc/%d", pid);
	dir = (int)must(open(path, O_PATH));
	target_wait();
	must(read(stat, text, sizeof text - 1));
	expect(atoi(text) == pid && strstr(text, ") Z "), "%s", text);
	must(faccessat(dir, "stat", R_OK, 0));
	must(waitpid(pid, NULL, 0));
	expect(faccessat(dir, "stat", R_OK, 0) == -1, "a directory of another process");
}

static void odd_files_ns(void)
{
	static const char *const names[] = { "net", "pid", "mnt", "uts", "ipc", "user" };
	struct stat then, now;
	char path[64];
	int fds[6];

	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		fds[i] = (int)must(open(path, i % 2 ? O_PATH : O_RDONLY));
	}
	target_wait();
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		must(stat(path, &now));
		must(fstat(fds[i], &then));
		expect(then.st_ino == now.st_ino, "%s is another namespace", names[i]);
	}
}

/* ---- without a name ------------------------------------------------------------------------- */

static void odd_files_two_names(void)
{
	int a = file_make("one", 0, 0, O_RDWR), b;
	char text[8];

	must(link("one", "two"));
	b = (int)must(open("two", O_RDONLY));
	must(unlink("one"));
	must(unlink("two"));
	must(write(a, "abc", 3));
	target_wait();
	must(write(a, "d", 1));
	expect(read(b, text, sizeof text) == 4 && !memcmp(text, "abcd", 4), "they are two files");
}

/* What O_TMPFILE has made can be given a name. */
static void odd_files_tmpfile(void)
{
	int fd = (int)must(open(".", O_TMPFILE | O_RDWR, 0640));
	int flags = (int)must(fcntl(fd, F_GETFL));
	char path[40];
	struct stat st;

	must(write(fd, "abc", 3));
	target_wait();
	expect(fcntl(fd, F_GETFL) == flags, "flags");
	link_of(fd, path);
	must(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	must(stat("named", &st));
	expect(st.st_size == 3 && (st.st_mode & 0777) == 0640, "size or mode");
}

static void odd_files_nofollow(void)
{
	int a = (int)must(open("/dev/shm", O_PATH)), fd;
	char name[40];
	char *map;

	snprintf(name, sizeof name, "odd-%d", getpid());
	fd = (int)must(openat(a, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
	must(unlinkat(a, name, 0));
	must(ftruncate(fd, PAGE));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[5] = 7;
	target_wait();
	expect(fcntl(fd, F_GETFL) & O_NOFOLLOW, "O_NOFOLLOW");
	map[6] = 8;
	expect(pread(fd, name, 8, 0) == 8 && name[5] == 7 && name[6] == 8, "contents");
}

static void odd_files_removed_directory(void)
{
	char link[256], path[40], text[4];
	int fd;

	must(mkdir("gone", 0755));
	must(mkdir("gone/too", 0755));
	fd = file_make("gone/too/file", 0, 0, O_RDWR);
	must(write(fd, "abc", 3));
	must(unlink("gone/too/file"));
	must(rmdir("gone/too"));
	must(rmdir("gone"));
	target_wait();
	link_of(fd, path);
	link[must(readlink(path, link, sizeof link - 1))] = '\0';
	expect(strstr(link, "/gone/too/file (deleted)"), "it is %s", link);
	expect(pread(fd, text, 4, 0) == 3 && access("gone", F_OK) < 0, "contents or directory");
}

/* ---- owners --------------------------------------------------------------------------------- */

static void odd_files_modes(void)
{
	int ends[2], pair[2], mem = (int)must(memfd_create("odd", 0));
	struct stat st;

	must(pipe(ends));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(fchmod(ends[0], 0640));
	must(fchmod(pair[1], 0600));
	if (geteuid() == 0) {
		must(fchown(ends[1], 12, 34));
		must(fchown(mem, 12, 34));
	}
	target_wait();
	must(fstat(ends[1], &st));
	expect((st.st_mode & 0777) == 0640, "mode of the pipe %o", st.st_mode);
	expect(geteuid() || (st.st_uid == 12 && st.st_gid == 34), "owner of the pipe");
	must(fstat(pair[1], &st));
	expect((st.st_mode & 0777) == 0600, "mode of the socket %o", st.st_mode);
	must(fstat(mem, &st));
	expect(geteuid() || (st.st_uid == 12 && st.st_gid == 34), "owner of the memfd");
}

static volatile int signalled;

static void on_signal(int sig)
{
	(void)sig;
	signalled = (int)syscall(SYS_gettid);
}

static volatile int owner_tid, owner_leaves;

static void *owner_run(void *arg)
{
	owner_tid = (int)syscall(SYS_gettid);
	thread_arrived();
	while (!owner_leaves)
		syscall(SYS_futex, &owner_leaves, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
	return arg;
}

/* F_SETOWN_EX of a thread, and O_ASYNC given to open(2). */
static void odd_files_thread_owner(void)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID }, now;
	int ends[2], plain = file_make("plain", 0, 0, O_RDWR | O_ASYNC);
	pthread_t thread;

	must(pipe(ends));
	signal(SIGIO, on_signal);
	thread = thread_start(owner_run, NULL);
	owner.pid = owner_tid;
	must(fcntl(ends[0], F_SETOWN_EX, &owner));
	must(fcntl(ends[0], F_SETFL, O_ASYNC));
	target_wait();
	expect(fcntl(plain, F_GETFL) & O_ASYNC, "O_ASYNC");
	must(fcntl(ends[0], F_GETOWN_EX, &now));
	expect(now.type == F_OWNER_TID && now.pid && now.pid != getpid(), "owner %d", now.pid);
	must(write(ends[1], "x", 1));
	for (int64_t end = now_ms() + 5000; !signalled && now_ms() < end;)
		usleep(100);
	expect(signalled == now.pid, "thread %d got the signal", signalled);
	owner_leaves = 1;
	syscall(SYS_futex, &owner_leaves, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
	thread_join(thread);
}

/* chattr +i, +a after it was opened */
static void odd_files_protected(void)
{
	int a = file_make("fixed", 3, 0, O_RDWR), b = file_make("grows", 3, 0, O_RDWR);
	int none, fixed, grows, got_a = 0, got_b = 0;

	if (ioctl(a, FS_IOC_GETFLAGS, &none) < 0)
		target_skip("FS_IOC_GETFLAGS");
	fixed = none | FS_IMMUTABLE_FL;
	grows = none | FS_APPEND_FL;
	if (ioctl(a, FS_IOC_SETFLAGS, &fixed) < 0)
		target_skip("FS_IMMUTABLE_FL");
	must(ioctl(b, FS_IOC_SETFLAGS, &grows));
	target_wait();
	must(ioctl(a, FS_IOC_GETFLAGS, &got_a));
	must(ioctl(b, FS_IOC_GETFLAGS, &got_b));
	must(ioctl(a, FS_IOC_SETFLAGS, &none));
	must(ioctl(b, FS_IOC_SETFLAGS, &none));
	expect(got_a == fixed && got_b == grows, "flags");
	must(pwrite(a, "x", 1, 0));
}

const struct target targets_odd_files[] = {
	{ "odd_files_proc", odd_files_proc, "files bound to the memory of the process", 0 },
	{ "odd_files_half_read", odd_files_half_read, "a file of /proc, read by half", 0 },
	{ "odd_files_zombie", odd_files_zombie, "files of a process that has ended", 0 },
	{ "odd_files_ns", odd_files_ns, "namespaces that it is in", 0 },
	{ "odd_files_two_names", odd_files_two_names, "one removed file by two names", 0 },
	{ "odd_files_tmpfile", odd_files_tmpfile, "O_TMPFILE, named later", 0 },
	{ "odd_files_nofollow", odd_files_nofollow, "shm_open and shm_unlink", 0 },
	{ "odd_files_removed_directory", odd_files_removed_directory,
		"removed with its directories", 0 },
	{ "odd_files_modes", odd_files_modes, "fchmod and fchown of pipes and sockets", 0 },
	{ "odd_files_thread_owner", odd_files_thread_owner, "F_SETOWN_EX of a thread", 0 },
	{ "odd_files_protected", odd_files_protected, "immutable and append-only files", 0 },
	{ NULL, NULL, NULL, 0 },
};
