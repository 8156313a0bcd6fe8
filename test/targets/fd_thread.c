/* Descriptors of threads: pidfds (PIDFD_THREAD) and files below /proc/PID/task; how ended ones
 * ended. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIDFD_OF_THREAD = O_EXCL };

struct named {
	atomic_int tid;
	atomic_bool enough;
	pthread_t thread;
};

static void *named_run(void *arg)
{
	struct named *n = arg;

	prctl(PR_SET_NAME, "named");
	n->tid = gettid();
	thread_arrived();
	while (!n->enough)
		syscall(SYS_futex, &n->enough, 0 /* FUTEX_WAIT */, 0, NULL);
	return NULL;
}

static void named_start(struct named *n)
{
	n->thread = thread_start(named_run, n);
	thread_waits_in(n->tid, SYS_futex);
}

static void named_end(struct named *n)
{
	n->enough = true;
	must(syscall(SYS_futex, &n->enough, 1 /* FUTEX_WAKE */, 1));
	thread_join(n->thread);
}

static int thread_pidfd(int tid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD | flags);

	if (fd < 0 && errno == EINVAL)
		target_skip("PIDFD_THREAD");
	return (int)must(fd);
}

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return must(poll(&p, 1, 0)) == 1;
}

static void kid_has_it(void *arg)
{
	int fd = *(int *)arg;

	kid_wait();
	expect(fcntl(fd, F_GETFL) & PIDFD_OF_THREAD && !has_ended(fd), "the child's");
}

static void thread_pidfds(void)
{
	struct named n = { 0 }, ended = { 0 };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 };
	int fd, copy, other, gone, epoll = (int)must(epoll_create1(0));

	named_start(&n);
	named_start(&ended);
	fd = thread_pidfd(n.tid, O_NONBLOCK);
	copy = (int)must(dup(fd));
	other = thread_pidfd(n.tid, 0);
	gone = thread_pidfd(ended.tid, 0);
	named_end(&ended);
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	kid(kid_has_it, &fd);
	target_wait();
	expect(fcntl(fd, F_GETFL) & PIDFD_OF_THREAD && fcntl(fd, F_GETFL) & O_NONBLOCK, "flags");
	expect(!(fcntl(other, F_GETFL) & O_NONBLOCK), "other flags");
	expect(!(fcntl(copy, F_GETFD) & FD_CLOEXEC) && fcntl(fd, F_GETFD) & FD_CLOEXEC, "cloexec");
	expect(!has_ended(fd) && !has_ended(other) && has_ended(gone), "pidfds");
	expect(epoll_wait(epoll, &event, 1, 0) == 0, "epoll");
	kids_check();
	named_end(&n);
	expect(has_ended(fd) && has_ended(copy) && has_ended(other), "not of that thread");
	expect(epoll_wait(epoll, &event, 1, 0) == 1 && event.data.u32 == 7, "epoll at the end");
}

static int thread_file(int tid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d%s", tid, name);
	return (int)must(open(path, flags));
}

static void thread_files(void)
{
	struct named n = { 0 };
	char text[32] = "";
	int comm, half, dir, status;

	named_start(&n);
	comm = thread_file(n.tid, "/comm", O_RDWR);
	half = thread_file(n.tid, "/comm", O_RDONLY | O_CLOEXEC);
	dir = thread_file(n.tid, "", O_RDONLY | O_DIRECTORY);
	status = thread_file(n.tid, "/status", O_PATH);
	must(read(half, text, 3));
	target_wait();
	expect(pread(comm, text, sizeof text, 0) == 6 && !memcmp(text, "named\n", 6), "%s", text);
	expect(read(half, text, sizeof text) == 3 && !memcmp(text, "ed\n", 3), "%s", text);
	expect(faccessat(dir, "status", F_OK, 0) == 0, "directory");
	expect(fcntl(status, F_GETFL) & O_PATH, "O_PATH");
	named_end(&n);
	expect(pread(comm, text, sizeof text, 0) == -1 && errno == ESRCH, "not of that thread");
}

/* struct pidfd_info of Linux 6.13; PIDFD_INFO_EXIT is of 6.15. */
struct info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
enum { INFO_EXIT = 1 << 3 };

static int how_it_ended(int pidfd)
{
	struct info info = { .mask = INFO_EXIT };

	if (ioctl(pidfd, _IOWR(0xFF, 11, struct info), &info) < 0 || !(info.mask & INFO_EXIT))
		target_skip("PIDFD_INFO_EXIT");
	return info.exit_code;
}

/* What is known of a child that has been waited for. */
static int reaped(int code, int signal)
{
	pid_t pid = (pid_t)must(fork());
	int fd;

	if (!pid) {
		if (signal)
			raise(signal);
		_exit(code);
	}
	fd = (int)must(syscall(SYS_pidfd_open, pid, 0));
	must(waitpid(pid, NULL, 0));
	return fd;
}

static void pidfd_reaped(void)
{
	int exited = reaped(42, 0), killed = reaped(0, SIGKILL), ended = reaped(0, SIGTERM);

	how_it_ended(exited);
	target_wait();
	expect(how_it_ended(exited) == 42 << 8, "exited: %x", how_it_ended(exited));
	expect(how_it_ended(killed) == SIGKILL, "killed: %x", how_it_ended(killed));
	expect(how_it_ended(ended) == SIGTERM, "ended: %x", how_it_ended(ended));
}

const struct target targets_fd_thread[] = {
	{ "thread_pidfds", thread_pidfds, "pidfds of threads", 0 },
	{ "thread_files", thread_files, "files of threads below /proc", 0 },
	{ "pidfd_reaped", pidfd_reaped, "how a child ended that was waited for", 0 },
	{ NULL, NULL, NULL, 0 },
};
