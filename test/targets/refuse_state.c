/*
 * More states that cannot be dumped (see refuse.c): memory that others share, things on their way,
 * namespaces for children, clocks of others. What is on its way is still there afterwards.
 */
#include "target.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* linux/sched.h, 5.6 */
#endif

/* A process that is no child of ours does something, and lives until we end. */
static void outside(void (*act)(void *), void *arg)
{
	pid_t self = getpid(), child;
	int said[2];
	char byte;

	must(pipe2(said, O_CLOEXEC));
	child = (pid_t)must(fork());
	if (child == 0) {
		struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, self, 0),
			.events = POLLIN };

		if (fork() != 0)
			_exit(0);
		act(arg);
		if (ended.fd < 0 || write(said[1], "y", 1) != 1)
			_exit(1);
		close(said[1]);
		_exit(poll(&ended, 1, -1) != 1);
	}
	close(said[1]);
	must(waitpid(child, NULL, 0));
	expect(read(said[0], &byte, 1) == 1, "the process outside has failed");
	close(said[0]);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void sysv_attach(void *arg)
{
	if (shmat(*(int *)arg, NULL, 0) == (void *)-1)
		_exit(1);
}

static void refuse_sysv_outside(void)
{
	int id = (int)must(shmget(IPC_PRIVATE, 2 * PAGE, 0600));
	char *mine = shmat(id, NULL, 0);

	outside(sysv_attach, &id);
	must(shmctl(id, IPC_RMID, NULL)); /* gone with the last who has it */
	mine[PAGE] = 7;
	target_wait();
	expect(mine[PAGE] == 7, "contents");
}

/* There need not be any huge page in the machine for that. */
static void refuse_hugetlb(void)
{
	void *huge;
	int fd;

	must(mkdir("huge", 0755));
	if (mount("none", "huge", "hugetlbfs", 0, NULL) < 0)
		target_skip("a mount of hugetlbfs");
	fd = (int)must(open("huge/file", O_RDWR | O_CREAT, 0600));
	must(ftruncate(fd, 4 << 20));
	huge = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	unlink("huge/file");
	must(umount2("huge", MNT_DETACH));
	if (huge == MAP_FAILED)
		target_skip("hugetlbfs");
	close(fd);
	target_wait();
	must(munmap(huge, 4 << 20));
}

static void refuse_secretmem(void)
{
	int fd = (int)syscall(447 /* memfd_secret */, O_CLOEXEC);
	char *secret;

	if (fd < 0)
		target_skip("memfd_secret");
	must(ftruncate(fd, PAGE));
	secret = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	secret[0] = 's';
	target_wait();
	expect(secret[0] == 's', "contents");
}

/* ---- files ----------------------------------------------------------------------------------- */

static void refuse_namespace_fd(void)
{
	pid_t child = (pid_t)must(fork());
	char path[64];
	int fd, status;

	if (child == 0) {
		raise(unshare(CLONE_NEWUTS) == 0 ? SIGSTOP : SIGKILL);
		_exit(0);
	}
	must(waitpid(child, &status, WUNTRACED));
	if (!WIFSTOPPED(status))
		target_skip("unshare");
	snprintf(path, sizeof path, "/proc/%d/ns/uts", child);
	fd = (int)must(open(path, O_RDONLY));
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
	target_wait();
	must(fcntl(fd, F_GETFD));
}

/* ---- on their way ---------------------------------------------------------------------------- */

static int tcp_listener(struct sockaddr_in *addr)
{
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof *addr;

	*addr = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(bind(fd, (struct sockaddr *)addr, len));
	must(listen(fd, 4));
	must(getsockname(fd, (struct sockaddr *)addr, &len));
	return fd;
}

static void tcp_connect(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, arg, sizeof(struct sockaddr_in)) < 0)
		_exit(1);
}

static void refuse_tcp_waiting(void)
{
	struct sockaddr_in addr;
	int fd = tcp_listener(&addr);

	outside(tcp_connect, &addr);
	target_wait();
	must(accept(fd, NULL, NULL));
}

static void unix_connect(void *arg)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, arg, sizeof(struct sockaddr_un)) < 0)
		_exit(1);
}

static void refuse_unix_waiting(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "waiting" };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(listen(fd, 4));
	outside(unix_connect, &addr);
	target_wait();
	must(accept(fd, NULL, NULL));
}

/* ---- processes ------------------------------------------------------------------------------- */

static void refuse_pid_for_children(void)
{
	if (unshare(CLONE_NEWPID) != 0)
		target_skip("unshare(CLONE_NEWPID)");
	target_wait();
}

static void refuse_time_for_children(void)
{
	if (unshare(CLONE_NEWTIME) != 0)
		target_skip("unshare(CLONE_NEWTIME)");
	target_wait();
}

static void refuse_timer_outside(void)
{
	struct sigevent quiet = { .sigev_notify = SIGEV_NONE };
	struct itimerspec left;
	timer_t timer;
	clockid_t clock;

	must(clock_getcpuclockid(getppid(), &clock));
	must(timer_create(clock, &quiet, &timer));
	target_wait();
	must(timer_gettime(timer, &left));
}

static void refuse_speculation(void)
{
	enum { STORE_BYPASS = 0, DISABLE = 4 }; /* linux/prctl.h */

	if (prctl(PR_SET_SPECULATION_CTRL, STORE_BYPASS, DISABLE, 0, 0) != 0)
		target_skip("PR_SET_SPECULATION_CTRL");
	target_wait();
	expect(prctl(PR_GET_SPECULATION_CTRL, STORE_BYPASS, 0, 0, 0) & DISABLE,
		"no longer in force");
}

/* To look into the file would break the lease: SIGIO, which ends us. */
static void refuse_lease_mapped(void)
{
	int fd = file_make("leased", PAGE, 1, O_RDWR);
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		target_skip("F_SETLEASE");
	target_wait();
	expect(pattern_is(at, PAGE, 1) && fcntl(fd, F_GETLEASE) == F_WRLCK, "the lease is broken");
}

static void refuse_lease_removed(void)
{
	int fd = file_make("leased", PAGE, 1, O_RDWR);

	if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		target_skip("F_SETLEASE");
	must(unlink("leased"));
	target_wait();
	expect(fcntl(fd, F_GETLEASE) == F_WRLCK, "the lease is broken");
}

/* ---- files of /proc ------------------------------------------------------------------------- */

static void refuse_pressure(void)
{
	static const char trigger[] = "some 500000 2000000";
	int fd = open("/proc/pressure/cpu", O_RDWR);
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	if (fd < 0 || write(fd, trigger, sizeof trigger) < 0)
		target_skip("/proc/pressure");
	target_wait();
	expect(poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR), "no longer watched");
}

/* A message with a descriptor that can be made only after the message. */
static void send_away(int pair[2], int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof fd)];
	} control = { .head = { CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { "x", 1 };
	struct msghdr msg = { .msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	must(sendmsg(pair[0], &msg, 0));
	close(fd);
}

static void refuse_maps_in_flight(void)
{
	int pair[2];

	send_away(pair, (int)must(open("/proc/self/maps", O_RDONLY)));
	target_wait();
}

static void refuse_pidfd_in_flight(void)
{
	pid_t pid = (pid_t)must(fork());
	int pair[2];

	if (pid == 0)
		for (;;)
			pause();
	send_away(pair, (int)must(syscall(SYS_pidfd_open, pid, 0)));
	target_wait();
	must(kill(pid, SIGKILL));
}

/* The caller's session leader is known by its id, but it is not in the dump. */
static void refuse_proc_outside(void)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/stat", getppid());
	must(open(path, O_RDONLY));
	target_wait();
}

const struct target targets_refuse_state[] = {
	{ "refuse_sysv_outside", refuse_sysv_outside, "a SysV segment that others have, too",
		TARGET_REFUSED },
	{ "refuse_hugetlb", refuse_hugetlb, "a file of hugetlbfs", TARGET_REFUSED },
	{ "refuse_secretmem", refuse_secretmem, "secret memory", TARGET_REFUSED },
	{ "refuse_namespace_fd", refuse_namespace_fd, "a namespace", TARGET_REFUSED },
	{ "refuse_tcp_waiting", refuse_tcp_waiting, "a TCP connection that nobody accepted yet",
		TARGET_REFUSED },
	{ "refuse_unix_waiting", refuse_unix_waiting, "a unix connection that nobody accepted yet",
		TARGET_REFUSED },
	{ "refuse_pid_for_children", refuse_pid_for_children, "a PID namespace for children",
		TARGET_REFUSED },
	{ "refuse_time_for_children", refuse_time_for_children, "a time namespace for children",
		TARGET_REFUSED },
	{ "refuse_timer_outside", refuse_timer_outside, "a timer on another process' CPU clock",
		TARGET_REFUSED },
	{ "refuse_speculation", refuse_speculation, "speculation control", TARGET_REFUSED },
	{ "refuse_lease_mapped", refuse_lease_mapped, "a lease on a mapped file", TARGET_REFUSED },
	{ "refuse_lease_removed", refuse_lease_removed, "a lease on a removed file",
		TARGET_REFUSED },
	{ "refuse_pressure", refuse_pressure, "a trigger of /proc/pressure", TARGET_REFUSED },
	{ "refuse_maps_in_flight", refuse_maps_in_flight, "a file of /proc in a message",
		TARGET_REFUSED },
	{ "refuse_pidfd_in_flight", refuse_pidfd_in_flight, "a child's pidfd in a message",
		TARGET_REFUSED },
	{ "refuse_proc_outside", refuse_proc_outside, "a file of /proc of the caller",
		TARGET_REFUSED },
	{ 0 },
};
