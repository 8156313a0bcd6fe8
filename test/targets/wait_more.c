/* The rarer system calls that wait; see wait.h. */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* linux/futex.h of 5.14, 6.7 */
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
enum { NR_FUTEX_WAIT = 455, MY_FUTEX2_SIZE_U32 = 2 };

/* ---- what they wait for
 * ------------------------------------------------------------------------------ */

static void prepare_pipe(struct call *c)
{
	must(pipe2(c->fds, O_CLOEXEC));
}

static void prepare_full_pipe(struct call *c)
{
	must(pipe2(c->fds, O_CLOEXEC | O_NONBLOCK));
	while (write(c->fds[1], "0123456789abcdef", 16) == 16)
		;
	must(fcntl(c->fds[1], F_SETFL, 0));
}

static void prepare_stream(struct call *c)
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, c->fds));
}

static void prepare_packets(struct call *c)
{
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, c->fds));
}

static struct sockaddr_un address(const struct call *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", c->name);
	return addr;
}

static void prepare_listener(struct call *c)
{
	struct sockaddr_un addr = address(c);

	c->fds[0] = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(c->fds[0], (struct sockaddr *)&addr, sizeof addr));
	must(listen(c->fds[0], 1));
}

/* The record is locked by another open file description. */
static void prepare_record(struct call *c)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	c->fds[0] = file_make(c->name, 1, 1, O_RDWR);
	c->fds[1] = (int)must(open(c->name, O_RDWR));
	must(fcntl(c->fds[1], F_OFD_SETLK, &lock));
}

static void prepare_timerfd(struct call *c)
{
	c->fds[0] = (int)must(timerfd_create(CLOCK_MONOTONIC, 0));
}

static void prepare_signalfd(struct call *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	c->fds[0] = (int)must(signalfd(-1, &set, 0));
}

static void prepare_inotify(struct call *c)
{
	c->fds[0] = (int)must(inotify_init1(0));
	must(mkdir("watched", 0700));
	must(inotify_add_watch(c->fds[0], "watched", IN_CREATE));
}

/* A PI futex that another thread has locked; it unlocks it when a byte comes. */
static int pi_gate[2];

static void *pi_owner(void *arg)
{
	struct call *c = arg;
	char byte;

	must(syscall(SYS_futex, &c->word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	thread_arrived();
	must(read(pi_gate[0], &byte, 1));
	must(syscall(SYS_futex, &c->word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	return arg;
}

static void prepare_pi(struct call *c)
{
	if (!pi_gate[0])
		must(pipe(pi_gate));
	thread_start(pi_owner, c);
}

/* ---- waking
 * ------------------------------------------------------------------------------------------- */

static void wake_write(struct call *c)
{
	must(write(c->fds[1], "12345678", 8));
}

static void wake_drain(struct call *c)
{
	char data[65536];

	must(read(c->fds[0], data, sizeof data));
}

static void wake_close(struct call *c)
{
	close(c->fds[1]);
}

static void wake_connect(struct call *c)
{
	struct sockaddr_un addr = address(c);

	must(connect(
		(int)must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&addr, sizeof addr));
}

static void wake_unlock(struct call *c)
{
	must(fcntl(c->fds[1], F_OFD_SETLK, &(struct flock){ .l_type = F_UNLCK, .l_len = 1 }));
}

static void wake_futex(struct call *c)
{
	c->word = 1;
	must(syscall(SYS_futex, &c->word, FUTEX_WAKE, 1, NULL, NULL, 0));
	must(syscall(SYS_futex, &c->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
}

static void wake_pi(struct call *c)
{
	(void)c;
	must(write(pi_gate[1], "12", 2)); /* either owner may be the first to read */
}

static void wake_signal(struct call *c)
{
	must(tgkill(getpid(), c->tid, SIGUSR1));
}

static void wake_signal_value(struct call *c)
{
	(void)c;
	must(kill(getpid(), SIGUSR1));
}

static void wake_timer(struct call *c)
{
	must(timerfd_settime(c->fds[0], 0, &(struct itimerspec){ .it_value.tv_nsec = 1 }, NULL));
}

static void wake_create(struct call *c)
{
	(void)c;
	close(file_make("watched/created", 1, 1, O_RDWR));
}

/* ---- the calls
 * ------------------------------------------------------------------------------------------ */

static long block_readv(struct call *c, int ms)
{
	char data[8];
	struct iovec iov[2] = { { data, 4 }, { data + 4, 4 } };

	(void)ms;
	return wait_result(readv(c->fds[0], iov, 2));
}

static long block_write(struct call *c, int ms)
{
	(void)ms;
	return wait_result(write(c->fds[1], "12345678", 8));
}

static long block_splice(struct call *c, int ms)
{
	int to[2];

	(void)ms;
	must(pipe(to));
	return wait_result(splice(c->fds[0], NULL, to[1], NULL, 8, 0));
}

static long block_tee(struct call *c, int ms)
{
	int to[2];

	(void)ms;
	must(pipe(to));
	return wait_result(tee(c->fds[0], to[1], 8, 0));
}

static long block_read_event(struct call *c, int ms)
{
	char data[512];
	ssize_t len = read(c->fds[0], data, sizeof data);

	(void)ms;
	return len > 0 ? 1 : wait_result(len);
}

static long block_poll_nothing(struct call *c, int ms)
{
	(void)c;
	return wait_result(poll(NULL, 0, ms));
}

static long block_ppoll_nothing(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms);

	(void)c;
	return wait_result(ppoll(NULL, 0, &ts, NULL));
}

static long block_select_nothing(struct call *c, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	(void)c;
	return wait_result(syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
}

static long block_epoll_nothing(struct call *c, int ms)
{
	struct epoll_event event;
	int fd = (int)must(epoll_create1(0));
	long result = wait_result(epoll_wait(fd, &event, 1, ms));

	(void)c;
	close(fd);
	return result;
}

static long futex_until(struct call *c, int op, clockid_t clock, int ms, int value)
{
	struct timespec ts = wait_moment(clock, ms < 0 ? 0 : ms);

	return wait_result(syscall(SYS_futex, &c->word, op, value, ms < 0 ? NULL : &ts, NULL, ~0u));
}

static long block_futex_real(struct call *c, int ms)
{
	return futex_until(c, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME, ms, 0);
}

static long block_futex_private(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);

	return wait_result(syscall(SYS_futex, &c->word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0,
		ms < 0 ? NULL : &ts, NULL, 0));
}

static long block_futex_new(struct call *c, int ms)
{
	struct timespec ts = wait_moment(CLOCK_MONOTONIC, ms < 0 ? 0 : ms);

	return wait_result(syscall(NR_FUTEX_WAIT, &c->word, 0, ~0u, MY_FUTEX2_SIZE_U32,
		ms < 0 ? NULL : &ts, CLOCK_MONOTONIC));
}

static long block_pi(struct call *c, int ms)
{
	return futex_until(c, FUTEX_LOCK_PI, CLOCK_REALTIME, ms, 0);
}

static long block_pi2(struct call *c, int ms)
{
	return futex_until(c, FUTEX_LOCK_PI2, CLOCK_MONOTONIC, ms, 0);
}

static long block_ofd_lock(struct call *c, int ms)
{
	(void)ms;
	return wait_result(
		fcntl(c->fds[0], F_OFD_SETLKW, &(struct flock){ .l_type = F_WRLCK, .l_len = 1 }));
}

static long block_posix_lock(struct call *c, int ms)
{
	(void)ms;
	return wait_result(
		fcntl(c->fds[0], F_SETLKW, &(struct flock){ .l_type = F_RDLCK, .l_len = 1 }));
}

static long block_accept(struct call *c, int ms)
{
	long fd;

	(void)ms;
	fd = wait_result(syscall(SYS_accept, c->fds[0], NULL, NULL));
	return fd < 0 ? fd : 0;
}

static void timeout_of(int fd, int name, int ms)
{
	must(setsockopt(fd, SOL_SOCKET, name, &(struct timeval){ ms / 1000, ms % 1000 * 1000 },
		sizeof(struct timeval)));
}

static long block_accept_timeout(struct call *c, int ms)
{
	if (ms >= 0)
		timeout_of(c->fds[0], SO_RCVTIMEO, ms);
	return block_accept(c, ms);
}

static long block_read_socket(struct call *c, int ms)
{
	char data[8];

	if (ms >= 0)
		timeout_of(c->fds[0], SO_RCVTIMEO, ms);
	return wait_result(read(c->fds[0], data, 8));
}

static long block_recvmmsg(struct call *c, int ms)
{
	char data[8];
	struct iovec iov = { data, 8 };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	struct timespec ts = wait_span(ms);

	return wait_result(recvmmsg(c->fds[0], &msg, 1, 0, ms < 0 ? NULL : &ts));
}

static long block_waitall(struct call *c, int ms)
{
	char data[8];

	(void)ms;
	return wait_result(recv(c->fds[0], data, 8, MSG_WAITALL));
}

static long block_recv_peek(struct call *c, int ms)
{
	char data[8];

	(void)ms;
	return wait_result(recv(c->fds[0], data, 8, MSG_PEEK));
}

static long block_sigwait(struct call *c, int ms)
{
	sigset_t set;
	siginfo_t info;

	(void)c;
	(void)ms;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return wait_result(sigwaitinfo(&set, &info));
}

static long sleep_on(clockid_t clock, int flags, int ms)
{
	struct timespec ts = flags ? wait_moment(clock, ms) : wait_span(ms);

	return wait_result(syscall(SYS_clock_nanosleep, clock, flags, &ts, NULL));
}

static long block_sleep_real(struct call *c, int ms)
{
	(void)c;
	return sleep_on(CLOCK_REALTIME, 0, ms);
}

static long block_sleep_boot(struct call *c, int ms)
{
	(void)c;
	return sleep_on(CLOCK_BOOTTIME, 0, ms);
}

static long block_sleep_real_until(struct call *c, int ms)
{
	(void)c;
	return sleep_on(CLOCK_REALTIME, TIMER_ABSTIME, ms);
}

static long block_sleep_boot_until(struct call *c, int ms)
{
	(void)c;
	return sleep_on(CLOCK_BOOTTIME, TIMER_ABSTIME, ms);
}

static long block_sleep_tai_until(struct call *c, int ms)
{
	(void)c;
	return sleep_on(CLOCK_TAI, TIMER_ABSTIME, ms);
}

static long block_sleep_rest(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms), rest = { 99, 99 };

	(void)c;
	return wait_result(syscall(SYS_nanosleep, &ts, &rest));
}

static struct call calls[] = {
	{ "readv", SYS_readv, prepare_pipe, block_readv, wake_write, 8, NO_TIMEOUT, .epoll = -1 },
	{ "write to a full pipe", SYS_write, prepare_full_pipe, block_write, wake_drain, 8,
		NO_TIMEOUT, .epoll = -1 },
	{ "splice", SYS_splice, prepare_pipe, block_splice, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "tee", SYS_tee, prepare_pipe, block_tee, wake_write, 8, NO_TIMEOUT, .epoll = -1 },
	{ "end of file", SYS_readv, prepare_pipe, block_readv, wake_close, 0, NO_TIMEOUT,
		.epoll = -1 },
	{ "read a timerfd", SYS_read, prepare_timerfd, block_read_event, wake_timer, 1, NO_TIMEOUT,
		.epoll = -1 },
	{ "read a signalfd", SYS_read, prepare_signalfd, block_read_event, wake_signal, 1,
		NO_TIMEOUT, .epoll = -1 },
	{ "read an inotify", SYS_read, prepare_inotify, block_read_event, wake_create, 1,
		NO_TIMEOUT, .epoll = -1 },
	{ "futex until a time of day", SYS_futex, NULL, block_futex_real, wake_futex, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "futex, private", SYS_futex, NULL, block_futex_private, wake_futex, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "futex_wait", NR_FUTEX_WAIT, NULL, block_futex_new, wake_futex, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "PI futex", SYS_futex, prepare_pi, block_pi, wake_pi, 0, -ETIMEDOUT, .epoll = -1 },
	{ "PI futex, monotonic", SYS_futex, prepare_pi, block_pi2, wake_pi, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "F_OFD_SETLKW", SYS_fcntl, prepare_record, block_ofd_lock, wake_unlock, 0, NO_TIMEOUT,
		.epoll = -1 },
	{ "F_SETLKW", SYS_fcntl, prepare_record, block_posix_lock, wake_unlock, 0, NO_TIMEOUT,
		.epoll = -1 },
	{ "accept", SYS_accept, prepare_listener, block_accept, wake_connect, 0, NO_TIMEOUT,
		.epoll = -1 },
	{ "accept with a timeout", SYS_accept, prepare_listener, block_accept_timeout, wake_connect,
		0, -EAGAIN, .epoll = -1 },
	{ "read a socket", SYS_read, prepare_stream, block_read_socket, wake_write, 8, -EAGAIN,
		.epoll = -1 },
	{ "recvmmsg", SYS_recvmmsg, prepare_packets, block_recvmmsg, wake_write, 1, NO_TIMEOUT,
		.epoll = -1 },
	{ "recv all", SYS_recvfrom, prepare_stream, block_waitall, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "recv peek", SYS_recvfrom, prepare_stream, block_recv_peek, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "sigwaitinfo", SYS_rt_sigtimedwait, NULL, block_sigwait, wake_signal, SIGUSR1, NO_TIMEOUT,
		.epoll = -1 },
	{ "poll of nothing", SYS_poll, NULL, block_poll_nothing, NULL, 0, 0, .epoll = -1 },
	{ "ppoll of nothing", SYS_ppoll, NULL, block_ppoll_nothing, NULL, 0, 0, .epoll = -1 },
	{ "select of nothing", SYS_select, NULL, block_select_nothing, NULL, 0, 0, .epoll = -1 },
	{ "epoll of nothing", SYS_epoll_wait, NULL, block_epoll_nothing, NULL, 0, 0, .epoll = -1 },
	{ "sleep, time of day", SYS_clock_nanosleep, NULL, block_sleep_real, NULL, 0, 0,
		.epoll = -1 },
	{ "sleep, boot time", SYS_clock_nanosleep, NULL, block_sleep_boot, NULL, 0, 0,
		.epoll = -1 },
	{ "sleep until a time of day", SYS_clock_nanosleep, NULL, block_sleep_real_until, NULL, 0,
		0, .epoll = -1 },
	{ "sleep until boot time", SYS_clock_nanosleep, NULL, block_sleep_boot_until, NULL, 0, 0,
		.epoll = -1 },
	{ "sleep until atomic time", SYS_clock_nanosleep, NULL, block_sleep_tai_until, NULL, 0, 0,
		.epoll = -1 },
	{ "nanosleep with a rest", SYS_nanosleep, NULL, block_sleep_rest, NULL, 0, 0, .epoll = -1 },
};
enum { NR_CALLS = sizeof calls / sizeof *calls };

static void wait_more_forever(void)
{
	wait_all_once(calls, NR_CALLS, -1);
}

static void wait_more_long(void)
{
	wait_all_once(calls, NR_CALLS, 3600 * 1000);
}

static void wait_more_timed(void)
{
	wait_all_short(calls, NR_CALLS);
}

/* ---- connect to somebody whose queue is full
 * ------------------------------------------------------- */

static struct call full = { "full", SYS_connect, prepare_listener, NULL, NULL, 0, 0, .epoll = -1 };
static atomic_int connect_tid;

static void *connect_full(void *arg)
{
	struct sockaddr_un addr = address(&full);
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

	connect_tid = gettid();
	thread_arrived();
	expect(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0, "connect: %s",
		strerror(errno));
	return arg;
}

static void wait_connect(void)
{
	pthread_t thread;

	prepare_listener(&full);
	for (int i = 0; i < 2; i++)
		wake_connect(&full);
	thread = thread_start(connect_full, NULL);
	thread_waits_in(connect_tid, SYS_connect);
	target_wait();
	must(accept(full.fds[0], NULL, NULL));
	thread_join(thread);
}

/* ---- sigsuspend and ppoll with a signal let through
 * ----------------------------------------------- */

static volatile sig_atomic_t got;

static void on_signal(int sig)
{
	got = sig;
}

static void *ppoll_masked(void *arg)
{
	struct call *c = arg;
	struct timespec ts = { 3600, 0 };
	sigset_t none;

	c->tid = gettid();
	sigemptyset(&none);
	thread_arrived();
	expect(ppoll(NULL, 0, &ts, &none) == -1 && errno == EINTR && got == SIGUSR1,
		"ppoll: %s, signal %d", strerror(errno), got);
	return arg;
}

static void wait_ppoll_mask(void)
{
	static struct call c;
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL));
	thread = thread_start(ppoll_masked, &c);
	thread_waits_in(c.tid, SYS_ppoll);
	target_wait();
	wake_signal(&c);
	thread_join(thread);
	wake_signal_value(&c); /* blocked again outside of ppoll */
}

const struct target targets_wait_more[] = {
	{ "wait_more_forever", wait_more_forever, "22 more system calls without a timeout", 0 },
	{ "wait_more_long", wait_more_long, "7 more with a long timeout", 0 },
	{ "wait_more_timed", wait_more_timed, "17 more with short timeouts", 0 },
	{ "wait_connect", wait_connect, "connect to a full queue", TARGET_EITHER },
	{ "wait_ppoll_mask", wait_ppoll_mask, "ppoll with a signal mask", 0 },
	{ NULL, NULL, NULL, 0 },
};
