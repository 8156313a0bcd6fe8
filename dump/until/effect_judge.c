/* Calls whose effect depends on their arguments; see effect_call.h. */
#include "dump/until/effect_call.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/text.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

/* asm-generic/ioctls.h: _IOR('T', 0x2A, struct termios2), which does not go together with
 * termios.h. */
#define ABI_TCGETS2 0x802c542aU

/* ---- what a file is --------------------------------------------------------------------- */

/* Documentation/admin-guide/devices.txt, major 1. */
enum { MEM_MAJOR = 1, MEM_NULL = 3, MEM_ZERO = 5, MEM_FULL = 7, MEM_RANDOM = 8, MEM_URANDOM = 9 };

static bool is_random_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == MEM_MAJOR &&
	       (minor(st->st_rdev) == MEM_RANDOM || minor(st->st_rdev) == MEM_URANDOM);
}

static bool is_silent_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == MEM_MAJOR &&
	       (minor(st->st_rdev) == MEM_NULL || minor(st->st_rdev) == MEM_ZERO ||
		       minor(st->st_rdev) == MEM_FULL);
}

static bool is_outside(const struct effect_look *look, const struct stat *st)
{
	for (size_t i = 0; i < look->nr_outside; i++)
		if (look->outside[i].st_dev == st->st_dev && look->outside[i].st_ino == st->st_ino)
			return true;
	return false;
}

static bool fd_stat(const struct effect_look *look, uint64_t fd, struct stat *st)
{
	char name[32];

	snprintf(name, sizeof name, "fd/%d", (int)fd);
	return fstatat(look->t->procfd, name, st, 0) == 0;
}

/* "pipe:[12]" has no name; "/run/fifo" has one, by which others may have opened it. */
static bool fd_has_name(const struct effect_look *look, uint64_t fd)
{
	char name[32], link[2];

	snprintf(name, sizeof name, "fd/%d", (int)fd);
	return readlinkat(look->t->procfd, name, link, sizeof link) > 0 && link[0] == '/';
}

/* A file of /proc/PID of its own is a way to set its own attributes (coredump_filter, comm). */
static bool is_own_attribute(const struct effect_look *look, uint64_t fd, const struct stat *st)
{
	char name[32], link[PATH_MAX], own[32];
	struct stat proc;
	ssize_t len;

	if (fstat(look->t->procfd, &proc) < 0 || st->st_dev != proc.st_dev)
		return false;
	snprintf(name, sizeof name, "fd/%d", (int)fd);
	len = readlinkat(look->t->procfd, name, link, sizeof link - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	snprintf(own, sizeof own, "/proc/%d/", look->t->pid);
	return text_starts(link, own);
}

/* Pipes and sockets that the process has made for itself have their other end in it. */
static bool is_shared(const struct effect_look *look, uint64_t fd, const struct stat *st)
{
	return is_outside(look, st) || (S_ISFIFO(st->st_mode) && fd_has_name(look, fd));
}

static enum effect fd_written(const struct effect_look *look, uint64_t fd)
{
	struct stat st;

	if (!fd_stat(look, fd, &st))
		return EFFECT_NONE; /* it fails */
	switch (st.st_mode & S_IFMT) {
	case S_IFREG: /* memfd, deleted: nobody else can see it, unless it came from outside */
		if (st.st_nlink == 0 && !is_outside(look, &st))
			return EFFECT_NONE;
		return is_own_attribute(look, fd, &st) ? EFFECT_NONE : EFFECT_FILES;
	case S_IFCHR:
		return is_silent_device(&st) ? EFFECT_NONE : EFFECT_OUTPUT;
	case S_IFIFO:
	case S_IFSOCK:
		return is_shared(look, fd, &st) ? EFFECT_OUTPUT : EFFECT_NONE;
	case S_IFBLK:
		return EFFECT_FILES;
	default: /* directories cannot be written; anon inodes (eventfd) have no type */
		return EFFECT_NONE;
	}
}

static enum effect fd_read(const struct effect_look *look, uint64_t fd)
{
	struct stat st;

	if (!fd_stat(look, fd, &st))
		return EFFECT_NONE;
	switch (st.st_mode & S_IFMT) {
	case S_IFCHR:
		if (is_random_device(&st))
			return EFFECT_RANDOM;
		return is_silent_device(&st) ? EFFECT_NONE : EFFECT_INPUT;
	case S_IFIFO:
	case S_IFSOCK:
		return is_shared(look, fd, &st) ? EFFECT_INPUT : EFFECT_NONE;
	default:
		return EFFECT_NONE;
	}
}

/* Consoles and serial lines, /dev/tty, pseudo terminals: what is done with them comes later. */
static bool is_terminal(const struct stat *st)
{
	unsigned number = major(st->st_rdev);

	return S_ISCHR(st->st_mode) &&
	       (number == 4 || number == 5 || (number >= 136 && number <= 143));
}

/* ---- opening ---------------------------------------------------------------------------- */

bool effect_text(struct tracee *t, uint64_t addr, char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		/* Up to the end of a page: the next one may not be there. */
		size_t part = 4096 - (addr + at) % 4096;

		part = part < len - at ? part : len - at;
		if (tracee_read(t, addr + at, text + at, part, NULL) < 0)
			return false;
		if (memchr(text + at, '\0', part))
			return true;
		at += part;
	}
	return false;
}

static bool named_stat(struct tracee *t, int dirfd, const char *path, struct stat *st)
{
	char full[PATH_MAX + 32];

	if (path[0] == '/')
		snprintf(full, sizeof full, "root%s", path);
	else if (dirfd == AT_FDCWD)
		snprintf(full, sizeof full, "cwd/%s", path);
	else
		snprintf(full, sizeof full, "fd/%d/%s", dirfd, path);
	return fstatat(t->procfd, full, st, 0) == 0;
}

/* The file that a path of the target's leads to; false where there is none (yet). */
static bool path_stat(struct tracee *t, int dirfd, uint64_t addr, struct stat *st)
{
	char path[PATH_MAX];

	return effect_text(t, addr, path, sizeof path) && named_stat(t, dirfd, path, st);
}

/* Another answer each time it is read. */
static bool is_random_file(struct tracee *t, const struct stat *st)
{
	struct stat uuid;

	return fstatat(t->procfd, "root/proc/sys/kernel/random/uuid", &uuid, 0) == 0 &&
	       uuid.st_dev == st->st_dev && uuid.st_ino == st->st_ino;
}

static enum effect opened(const struct effect_look *look, int dirfd, uint64_t path, uint64_t flags)
{
	struct stat st;

	bool there;

	if (flags & O_PATH)
		return EFFECT_NONE;
	there = path_stat(look->t, dirfd, path, &st);
	/* ">/dev/null" of a shell creates and empties nothing. */
	if (there && (is_silent_device(&st) || is_terminal(&st)))
		return EFFECT_NONE;
	if (flags & (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))
		return EFFECT_FILES;
	if (!there)
		return EFFECT_NONE;
	if (is_random_device(&st))
		return EFFECT_RANDOM;
	/* Opening a FIFO wakes its other end, opening a device may do anything. */
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return (flags & O_ACCMODE) == O_RDONLY ? EFFECT_INPUT : EFFECT_OUTPUT;
	if (is_random_file(look->t, &st))
		return EFFECT_RANDOM;
	return EFFECT_NONE; /* writing comes later */
}

enum effect judge_open(const struct effect_look *look, const uint64_t args[6])
{
	return opened(look, AT_FDCWD, args[0], args[1]);
}

enum effect judge_openat(const struct effect_look *look, const uint64_t args[6])
{
	return opened(look, (int)args[0], args[1], args[2]);
}

enum effect judge_openat2(const struct effect_look *look, const uint64_t args[6])
{
	struct open_how how;

	if (tracee_read(look->t, args[2], &how, sizeof how, NULL) < 0)
		return EFFECT_FILES;
	return opened(look, (int)args[0], args[1], how.flags);
}

enum effect judge_open_by_handle(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	return (args[2] & O_ACCMODE) == O_RDONLY ? EFFECT_NONE : EFFECT_FILES;
}

enum effect judge_mq_open(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	return args[1] & O_CREAT ? EFFECT_SYSTEM : EFFECT_NONE;
}

/* ---- reading and writing ---------------------------------------------------------------- */

enum effect judge_read(const struct effect_look *look, const uint64_t args[6])
{
	return fd_read(look, args[0]);
}

enum effect judge_write(const struct effect_look *look, const uint64_t args[6])
{
	return fd_written(look, args[0]);
}

enum effect judge_write_second(const struct effect_look *look, const uint64_t args[6])
{
	return fd_written(look, args[1]);
}

static enum effect moved(const struct effect_look *look, uint64_t from, uint64_t to)
{
	enum effect written = fd_written(look, to);

	return written != EFFECT_NONE ? written : fd_read(look, from);
}

/* sendfile(out, in, ...) */
enum effect judge_transfer(const struct effect_look *look, const uint64_t args[6])
{
	return moved(look, args[1], args[0]);
}

/* splice(in, off, out, ...), copy_file_range(in, off, out, ...) */
enum effect judge_splice(const struct effect_look *look, const uint64_t args[6])
{
	return moved(look, args[0], args[2]);
}

enum effect judge_send_to(const struct effect_look *look, const uint64_t args[6])
{
	return args[4] ? EFFECT_NET : fd_written(look, args[0]);
}

/* sendmsg(fd, msg, ...), sendmmsg(fd, msgs, ...): of the latter the first tells. */
enum effect judge_send_message(const struct effect_look *look, const uint64_t args[6])
{
	struct msghdr msg;

	if (tracee_read(look->t, args[1], &msg, sizeof msg, NULL) < 0)
		return EFFECT_NONE; /* EFAULT */
	return msg.msg_name ? EFFECT_NET : fd_written(look, args[0]);
}

/*
 * Services that look up a user or host for a C library, and are left again with the answer: as good
 * as reading /etc/passwd. sssd and the system log are not: those connections stay, and an image
 * cannot hold them.
 */
static bool is_lookup(const char *path)
{
	return !strcmp(path, "/var/run/nscd/socket") || !strcmp(path, "/run/nscd/socket") ||
	       text_starts(path, "/run/systemd/userdb/");
}

/* The socket of a service that is not there (syslog): it fails. */
enum effect judge_connect(const struct effect_look *look, const uint64_t args[6])
{
	struct sockaddr_un sa = { 0 };
	size_t len = args[2] < sizeof sa ? (size_t)args[2] : sizeof sa;
	struct stat st;

	if (tracee_read(look->t, args[1], &sa, len, NULL) < 0)
		return EFFECT_NONE; /* EFAULT */
	if (sa.sun_family != AF_UNIX || !sa.sun_path[0] ||
		!memchr(sa.sun_path, '\0', sizeof sa.sun_path))
		return EFFECT_NET;
	if (is_lookup(sa.sun_path) || !named_stat(look->t, AT_FDCWD, sa.sun_path, &st))
		return EFFECT_NONE;
	return EFFECT_NET;
}

/* Joining a group is said to the network. */
enum effect judge_setsockopt(const struct effect_look *look, const uint64_t args[6])
{
	static const int ip[] = { IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_GROUP,
		MCAST_JOIN_SOURCE_GROUP };

	(void)look;
	if ((int)args[1] == IPPROTO_IPV6 && (int)args[2] == IPV6_ADD_MEMBERSHIP)
		return EFFECT_NET;
	if ((int)args[1] != IPPROTO_IP && (int)args[1] != IPPROTO_IPV6)
		return EFFECT_NONE;
	for (size_t i = 0; i < sizeof ip / sizeof *ip; i++)
		if ((int)args[2] == ip[i])
			return EFFECT_NET;
	return EFFECT_NONE;
}

enum effect judge_ioctl(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	switch (args[1]) {
	case TCGETS:
	case ABI_TCGETS2:
	case TIOCGWINSZ:
	case TIOCGPGRP:
	case TIOCGSID:
	case FIONREAD:
	case FIONBIO:
	case FIOASYNC:
	case FIOCLEX:
	case FIONCLEX:
	case FIOQSIZE:
		return EFFECT_NONE;
	default:
		return EFFECT_SYSTEM;
	}
}

enum effect judge_fcntl(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	switch (args[1]) {
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
	case F_SETLEASE:
		return EFFECT_FILES;
	case F_NOTIFY:
	case F_SETOWN:
	case F_SETOWN_EX:
		return EFFECT_PROCESS;
	default:
		return EFFECT_NONE;
	}
}

/* ---- memory ----------------------------------------------------------------------------- */

static bool fd_is_writable(const struct effect_look *look, uint64_t fd)
{
	struct arena *a = arena_create();
	char name[32], *text;
	uint64_t flags = O_RDWR;

	snprintf(name, sizeof name, "fdinfo/%d", (int)fd);
	if (proc_text(look->t->procfd, name, a, &text, NULL, NULL) == 0)
		text_field_oct(text, "flags", &flags);
	arena_destroy(a);
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* What is written there later is no system call: so the mapping is where it stops, also one that
 * mprotect can make writable. */
enum effect judge_mmap(const struct effect_look *look, const uint64_t args[6])
{
	if (args[3] & MAP_ANONYMOUS || (args[3] & MAP_TYPE) == MAP_PRIVATE)
		return EFFECT_NONE;
	return fd_is_writable(look, args[4]) ? fd_written(look, args[4]) : EFFECT_NONE;
}

/* ---- processes -------------------------------------------------------------------------- */

enum effect judge_clone(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	return args[0] & CLONE_THREAD ? EFFECT_NONE : EFFECT_PROCESS;
}

enum effect judge_clone3(const struct effect_look *look, const uint64_t args[6])
{
	uint64_t flags;

	if (tracee_read(look->t, args[0], &flags, sizeof flags, NULL) < 0)
		return EFFECT_NONE; /* EFAULT */
	return flags & CLONE_THREAD ? EFFECT_NONE : EFFECT_PROCESS;
}

/* exit(2) ends a thread; the last one ends the process. */
enum effect judge_exit(const struct effect_look *look, const uint64_t args[6])
{
	size_t nr = 0;

	(void)args;
	for (size_t i = 0; i < look->t->nr_threads; i++)
		nr += look->t->threads[i].state != TRACEE_EXITED;
	return nr > 1 ? EFFECT_NONE : EFFECT_PROCESS;
}

/* A process or thread of its own, by the number that it knows. */
static bool is_own(const struct effect_look *look, int64_t id)
{
	pid_t vpid;

	for (size_t i = 0; i < look->t->nr_threads; i++)
		if (look->t->threads[i].state != TRACEE_EXITED &&
			tracee_vpid(look->t, look->t->threads[i].tid, &vpid, NULL) == 0 &&
			vpid == id)
			return true;
	return false;
}

/* kill, tkill, tgkill, rt_sigqueueinfo: 0 is the process group. */
enum effect judge_kill(const struct effect_look *look, const uint64_t args[6])
{
	return is_own(look, (int)args[0]) ? EFFECT_NONE : EFFECT_PROCESS;
}

/* Those that change a process named by its first argument, 0 being the caller. */
enum effect judge_pid(const struct effect_look *look, const uint64_t args[6])
{
	return (int)args[0] == 0 || is_own(look, (int)args[0]) ? EFFECT_NONE : EFFECT_PROCESS;
}

/* setpriority, ioprio_set (IOPRIO_WHO_PROCESS is 1). */
enum effect judge_priority(const struct effect_look *look, const uint64_t args[6])
{
	if (args[0] != PRIO_PROCESS && args[0] != 1)
		return EFFECT_PROCESS;
	return judge_pid(look, args + 1);
}

/*
 * malloc of glibc 2.34 and newer asks for these eight bytes before main() does anything
 * (tcache_key_initialize): they only help to find double frees, and to stop there is of no use.
 */
enum effect judge_getrandom(const struct effect_look *look, const uint64_t args[6])
{
	(void)look;
	return args[1] == 8 && args[2] == GRND_NONBLOCK ? EFFECT_NONE : EFFECT_RANDOM;
}
