/*
 * System calls that wait. After the round trip each must go on as if nothing had happened (DESIGN
 * D8): no EINTR that no signal explains, no end before its time, and it wakes when what it waits
 * for happens.
 */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long wait_result(long result)
{
	return result == -1 ? -errno : result;
}

struct timespec wait_span(int ms)
{
	return (struct timespec){ ms / 1000, ms % 1000 * 1000000l };
}

struct timespec wait_moment(clockid_t clock, int ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000l;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* ---- what they wait for
 * ------------------------------------------------------------------------------------- */

static void prepare_pipe(struct call *c)
{
	must(pipe2(c->fds, O_CLOEXEC));
}

static void prepare_epoll(struct call *c)
{
	prepare_pipe(c);
	c->epoll = (int)must(epoll_create1(0));
	must(epoll_ctl(
		c->epoll, EPOLL_CTL_ADD, c->fds[0], &(struct epoll_event){ EPOLLIN, { .fd = 1 } }));
}

static void prepare_event(struct call *c)
{
	c->fds[0] = c->fds[1] = (int)must(eventfd(0, 0));
}

static void prepare_packets(struct call *c)
{
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, c->fds));
}

static void prepare_full(struct call *c)
{
	prepare_packets(c);
	while (send(c->fds[1], "x", 1, MSG_DONTWAIT) == 1)
		;
}

static void prepare_listener(struct call *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", c->name);
	c->fds[0] = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(c->fds[0], (struct sockaddr *)&addr, sizeof addr));
	must(listen(c->fds[0], 5));
}

static void prepare_lock(struct call *c)
{
	c->fds[0] = file_make(c->name, 1, 1, O_RDWR);
	c->fds[1] = (int)must(open(c->name, O_RDWR));
	must(flock(c->fds[1], LOCK_EX));
}

static void wake_write(struct call *c)
{
	must(write(c->fds[1], "12345678", 8));
}

static void wake_read(struct call *c)
{
	char byte;

	while (recv(c->fds[0], &byte, 1, MSG_DONTWAIT) == 1)
		; /* a sender wakes only when a good part of its buffer is free */
}

static void wake_futex(struct call *c)
{
	c->word = 1;
	must(syscall(SYS_futex, &c->word, FUTEX_WAKE, 1, NULL, NULL, 0));
}

static void wake_signal(struct call *c)
{
	must(tgkill(getpid(), c->tid, SIGUSR1));
}

static void wake_connect(struct call *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", c->name);
	must(connect(
		(int)must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&addr, sizeof addr));
}

static void wake_unlock(struct call *c)
{
	must(flock(c->fds[1], LOCK_UN));
}

/* ---- the calls
 * ------------------------------------------------------------------------------------------------
 */

static long block_read(struct call *c, int ms)
{
	char data[8];

	(void)ms;
	return wait_result(read(c->fds[0], data, 8));
}

static long block_poll(struct call *c, int ms)
{
	struct pollfd poll_fd = { .fd = c->fds[0], .events = POLLIN };

	return wait_result(poll(&poll_fd, 1, ms));
}

static long block_ppoll(struct call *c, int ms)
{
	struct pollfd poll_fd = { .fd = c->fds[0], .events = POLLIN };
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);
	sigset_t mask;

	sigemptyset(&mask);
	return wait_result(ppoll(&poll_fd, 1, ms < 0 ? NULL : &ts, &mask));
}

static long block_select(struct call *c, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(c->fds[0], &set);
	/* glibc's select is pselect6 underneath */
	return wait_result(
		syscall(SYS_select, c->fds[0] + 1, &set, NULL, NULL, ms < 0 ? NULL : &tv));
}

static long block_pselect(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);
	fd_set set;

	FD_ZERO(&set);
	FD_SET(c->fds[0], &set);
	return wait_result(pselect(c->fds[0] + 1, &set, NULL, NULL, ms < 0 ? NULL : &ts, NULL));
}

static long block_epoll_wait(struct call *c, int ms)
{
	struct epoll_event event;

	return wait_result(epoll_wait(c->epoll, &event, 1, ms));
}

static long block_epoll_pwait(struct call *c, int ms)
{
	struct epoll_event event;
	sigset_t mask;

	sigemptyset(&mask);
	return wait_result(epoll_pwait(c->epoll, &event, 1, ms, &mask));
}

static long block_epoll_pwait2(struct call *c, int ms)
{
	struct epoll_event event;
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);

	return wait_result(
		syscall(SYS_epoll_pwait2, c->epoll, &event, 1, ms < 0 ? NULL : &ts, NULL, 8));
}

static long block_futex(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);

	return wait_result(
		syscall(SYS_futex, &c->word, FUTEX_WAIT, 0, ms < 0 ? NULL : &ts, NULL, 0));
}

static long block_futex_bitset(struct call *c, int ms)
{
	struct timespec ts = wait_moment(CLOCK_MONOTONIC, ms < 0 ? 0 : ms);

	return wait_result(
		syscall(SYS_futex, &c->word, FUTEX_WAIT_BITSET, 0, ms < 0 ? NULL : &ts, NULL, ~0u));
}

static long block_futex_waitv(struct call *c, int ms)
{
	struct futex_waitv wait = { .uaddr = (uintptr_t)&c->word, .flags = FUTEX_32 };
	struct timespec ts = wait_moment(CLOCK_MONOTONIC, ms < 0 ? 0 : ms);

	return wait_result(
		syscall(SYS_futex_waitv, &wait, 1, 0, ms < 0 ? NULL : &ts, CLOCK_MONOTONIC));
}

static long block_sigtimedwait(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms < 0 ? 0 : ms);
	sigset_t set;

	(void)c;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return wait_result(sigtimedwait(&set, NULL, ms < 0 ? NULL : &ts));
}

static long block_recvfrom(struct call *c, int ms)
{
	char data[8];

	if (ms >= 0)
		must(setsockopt(c->fds[0], SOL_SOCKET, SO_RCVTIMEO,
			&(struct timeval){ ms / 1000, ms % 1000 * 1000 }, sizeof(struct timeval)));
	return wait_result(recvfrom(c->fds[0], data, 8, 0, NULL, NULL));
}

static long block_recvmsg(struct call *c, int ms)
{
	char data[8];
	struct iovec iov = { data, 8 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)ms;
	return wait_result(recvmsg(c->fds[0], &msg, 0));
}

static long block_sendto(struct call *c, int ms)
{
	(void)ms;
	return wait_result(sendto(c->fds[1], "x", 1, 0, NULL, 0));
}

static long block_accept(struct call *c, int ms)
{
	long fd;

	(void)ms;
	fd = wait_result(accept4(c->fds[0], NULL, NULL, SOCK_CLOEXEC));
	return fd < 0 ? fd : 0;
}

static long block_flock(struct call *c, int ms)
{
	(void)ms;
	return wait_result(flock(c->fds[0], LOCK_EX));
}

static long block_nanosleep(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms);

	(void)c;
	return wait_result(syscall(SYS_nanosleep, &ts, NULL));
}

static long block_clock_nanosleep(struct call *c, int ms)
{
	struct timespec ts = wait_span(ms);

	(void)c;
	return wait_result(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL));
}

static long block_clock_absolute(struct call *c, int ms)
{
	struct timespec ts = wait_moment(CLOCK_MONOTONIC, ms);

	(void)c;
	return wait_result(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
}

static struct call calls[] = {
	{ "read a pipe", SYS_read, prepare_pipe, block_read, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "read an eventfd", SYS_read, prepare_event, block_read, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "poll", SYS_poll, prepare_pipe, block_poll, wake_write, 1, 0, .epoll = -1 },
	{ "ppoll", SYS_ppoll, prepare_pipe, block_ppoll, wake_write, 1, 0, .epoll = -1 },
	{ "select", SYS_select, prepare_pipe, block_select, wake_write, 1, 0, .epoll = -1 },
	{ "pselect", SYS_pselect6, prepare_pipe, block_pselect, wake_write, 1, 0, .epoll = -1 },
	{ "epoll_wait", SYS_epoll_wait, prepare_epoll, block_epoll_wait, wake_write, 1, 0,
		.epoll = -1 },
	{ "epoll_pwait", SYS_epoll_pwait, prepare_epoll, block_epoll_pwait, wake_write, 1, 0,
		.epoll = -1 },
	{ "epoll_pwait2", SYS_epoll_pwait2, prepare_epoll, block_epoll_pwait2, wake_write, 1, 0,
		.epoll = -1 },
	{ "futex", SYS_futex, NULL, block_futex, wake_futex, 0, -ETIMEDOUT, .epoll = -1 },
	{ "futex bitset", SYS_futex, NULL, block_futex_bitset, wake_futex, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "futex_waitv", SYS_futex_waitv, NULL, block_futex_waitv, wake_futex, 0, -ETIMEDOUT,
		.epoll = -1 },
	{ "sigtimedwait", SYS_rt_sigtimedwait, NULL, block_sigtimedwait, wake_signal, SIGUSR1,
		-EAGAIN, .epoll = -1 },
	{ "recvfrom", SYS_recvfrom, prepare_packets, block_recvfrom, wake_write, 8, -EAGAIN,
		.epoll = -1 },
	{ "recvmsg", SYS_recvmsg, prepare_packets, block_recvmsg, wake_write, 8, NO_TIMEOUT,
		.epoll = -1 },
	{ "sendto", SYS_sendto, prepare_full, block_sendto, wake_read, 1, NO_TIMEOUT, .epoll = -1 },
	{ "accept", SYS_accept4, prepare_listener, block_accept, wake_connect, 0, NO_TIMEOUT,
		.epoll = -1 },
	{ "flock", SYS_flock, prepare_lock, block_flock, wake_unlock, 0, NO_TIMEOUT, .epoll = -1 },
	{ "nanosleep", SYS_nanosleep, NULL, block_nanosleep, NULL, 0, 0, .epoll = -1 },
	{ "clock_nanosleep", SYS_clock_nanosleep, NULL, block_clock_nanosleep, NULL, 0, 0,
		.epoll = -1 },
	{ "clock_nanosleep absolute", SYS_clock_nanosleep, NULL, block_clock_absolute, NULL, 0, 0,
		.epoll = -1 },
};
enum { NR_CALLS = sizeof calls / sizeof *calls };

/* ---- waiting once, to be woken
 * ---------------------------------------------------------------------------------- */

static void *wait_once(void *arg)
{
	struct call *c = arg;
	long result;

	c->tid = gettid();
	thread_arrived();
	result = c->block(c, c->timeout);
	/* FUTEX_WAIT says EAGAIN if the word had changed when it was called again: the waker was
	 * faster. */
	if (c->wake == wake_futex && result == -EAGAIN && c->word)
		result = 0;
	expect(result == c->woken, "%s: %ld (%s), not %ld", c->name, result,
		result < 0 ? strerror((int)-result) : "", c->woken);
	return NULL;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
}

void wait_all_once(struct call *all, size_t nr, int timeout)
{
	block_signals();
	for (struct call *c = all; c < all + nr; c++) {
		if (!c->wake || (timeout >= 0 && c->lapsed == NO_TIMEOUT))
			continue;
		if (c->prepare)
			c->prepare(c);
		c->timeout = timeout;
		c->thread = thread_start(wait_once, c);
		thread_waits_in(c->tid, c->nr);
	}
	target_wait();
	for (struct call *c = all; c < all + nr; c++) {
		if (!c->wake || (timeout >= 0 && c->lapsed == NO_TIMEOUT))
			continue;
		c->wake(c);
		thread_join(c->thread);
	}
}

static void wait_forever(void)
{
	wait_all_once(calls, NR_CALLS, -1);
}

static void wait_long(void)
{
	wait_all_once(calls, NR_CALLS, 3600 * 1000);
}

/* ---- waiting again and again for a short time
 * ------------------------------------------------------------------------ */

enum { SHORT_MS = 150 };

static void *wait_short(void *arg)
{
	struct call *c = arg;
	int64_t start;
	long result;

	c->tid = gettid();
	thread_arrived();
	while (!c->stop) {
		start = now_ms();
		result = c->block(c, SHORT_MS);
		expect(result == c->lapsed, "%s: %ld (%s), not %ld", c->name, result,
			result < 0 ? strerror((int)-result) : "", c->lapsed);
		expect(now_ms() - start >= SHORT_MS - 1, "%s came back after %d ms", c->name,
			(int)(now_ms() - start));
		c->nr_lapsed++;
	}
	return NULL;
}

void wait_all_short(struct call *all, size_t nr)
{
	block_signals();
	for (struct call *c = all; c < all + nr; c++) {
		if (c->lapsed == NO_TIMEOUT)
			continue;
		if (c->prepare)
			c->prepare(c);
		c->thread = thread_start(wait_short, c);
	}
	target_wait();
	for (struct call *c = all; c < all + nr; c++)
		c->stop = 1;
	for (struct call *c = all; c < all + nr; c++)
		if (c->lapsed != NO_TIMEOUT)
			thread_join(c->thread);
}

static void wait_timed(void)
{
	wait_all_short(calls, NR_CALLS);
}

/* ---- a sleep that was interrupted before: the thread is in restart_syscall
 * ------------------------------------------- */

static struct call *const sleeps[] = { &calls[2], &calls[9], &calls[18],
	&calls[19] }; /* poll, futex, two sleeps */

static void *sleep_long(void *arg)
{
	struct call *c = arg;
	int64_t start;
	long result;

	c->tid = gettid();
	thread_arrived();
	start = now_ms();
	result = c->block(c, 2500);
	expect(result == c->lapsed, "%s: %ld (%s), not %ld", c->name, result,
		result < 0 ? strerror((int)-result) : "", c->lapsed);
	expect(now_ms() - start >= 2499, "%s came back after %d ms", c->name,
		(int)(now_ms() - start));
	return NULL;
}

/* Stops and continues the whole process from outside of it. */
static void stop_and_go(void)
{
	pid_t self = getpid(), child = (pid_t)must(fork());
	int status;

	if (child == 0) {
		char path[64], text[512] = "", *state;
		FILE *in;

		snprintf(path, sizeof path, "/proc/%d/stat", self);
		kill(self, SIGSTOP);
		do {
			in = fopen(path, "re");
			if (!in || !fgets(text, sizeof text, in))
				_exit(1);
			fclose(in);
			state = strrchr(text, ')');
		} while (state[2] != 'T');
		_exit(kill(self, SIGCONT) ? 1 : 0);
	}
	must(waitpid(child, &status, 0));
	expect(status == 0, "stop and continue");
}

static void wait_restarted(void)
{
	for (int i = 0; i < 4; i++) {
		if (sleeps[i]->prepare)
			sleeps[i]->prepare(sleeps[i]);
		sleeps[i]->thread = thread_start(sleep_long, sleeps[i]);
		thread_waits_in(sleeps[i]->tid, sleeps[i]->nr);
	}
	stop_and_go();
	target_wait();
	for (int i = 0; i < 4; i++)
		thread_join(sleeps[i]->thread);
}

/* ---- half done
 * ---------------------------------------------------------------------------------------------------------
 */

static int half_pipe[2];
static atomic_int half_tid;

static void *write_much(void *arg)
{
	char data[200000];
	ssize_t done;

	pattern_fill(data, sizeof data, 5);
	half_tid = gettid();
	thread_arrived();
	done = write(half_pipe[1], data, sizeof data);
	/* Interrupted after a part, write(2) says how much it was; the rest is up to the program.
	 */
	while (done > 0 && done < (ssize_t)sizeof data) {
		ssize_t more = write(half_pipe[1], data + done, sizeof data - (size_t)done);

		done = more < 0 ? -1 : done + more;
	}
	expect(done == (ssize_t)sizeof data, "write: %zd (%s)", done, strerror(errno));
	return arg;
}

static void wait_half_written(void)
{
	pthread_t thread;
	char data[200000];
	size_t got = 0;
	ssize_t len;

	must(pipe(half_pipe));
	thread = thread_start(write_much, NULL);
	thread_waits_in(half_tid, SYS_write);
	target_wait();
	while (got < sizeof data &&
		(len = must(read(half_pipe[0], data + got, sizeof data - got))) > 0)
		got += (size_t)len;
	thread_join(thread);
	expect(got == sizeof data && pattern_is(data, sizeof data, 5),
		"bytes were lost or came twice");
}

static void *open_fifo(void *arg)
{
	half_tid = gettid();
	thread_arrived();
	expect(open("fifo", O_RDONLY) >= 0, "open: %s", strerror(errno));
	return arg;
}

static void wait_open(void)
{
	pthread_t thread;

	must(mkfifo("fifo", 0600));
	thread = thread_start(open_fifo, NULL);
	thread_waits_in(half_tid, SYS_openat);
	target_wait();
	must(open("fifo", O_WRONLY));
	thread_join(thread);
}

static void *pause_thread(void *arg)
{
	half_tid = gettid();
	thread_arrived();
	expect(pause() == -1 && errno == EINTR, "pause");
	return arg;
}

static atomic_int nr_signals;

static void on_signal(int sig)
{
	(void)sig;
	nr_signals++;
}

static void wait_pause(void)
{
	pthread_t thread;

	signal(SIGUSR2, on_signal);
	thread = thread_start(pause_thread, NULL);
	thread_waits_in(half_tid, SYS_pause);
	target_wait();
	expect(nr_signals == 0, "a handler ran");
	expect(pthread_kill(thread, SIGUSR2) == 0, "pthread_kill");
	thread_join(thread);
	expect(nr_signals == 1, "the handler ran %d times", nr_signals);
}

/* A call that a signal has to interrupt: EINTR must still come when there is a reason. */
static void *eintr_thread(void *arg)
{
	char byte;

	half_tid = gettid();
	thread_arrived();
	expect(read(half_pipe[0], &byte, 1) == -1 && errno == EINTR, "read was not interrupted");
	expect(poll(NULL, 0, 3600000) == -1 && errno == EINTR, "poll was not interrupted");
	return arg;
}

static void wait_eintr(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;

	must(sigaction(SIGUSR2, &action, NULL));
	must(pipe(half_pipe));
	thread = thread_start(eintr_thread, NULL);
	thread_waits_in(half_tid, SYS_read);
	target_wait();
	expect(pthread_kill(thread, SIGUSR2) == 0, "pthread_kill");
	thread_waits_in(half_tid, SYS_poll);
	expect(pthread_kill(thread, SIGUSR2) == 0, "pthread_kill");
	thread_join(thread);
}

const struct target targets_wait[] = {
	{ "wait_forever", wait_forever, "18 system calls without a timeout", 0 },
	{ "wait_long", wait_long, "11 system calls with a long timeout", 0 },
	{ "wait_timed", wait_timed, "14 system calls with short timeouts", 0 },
	{ "wait_restarted", wait_restarted, "interrupted by a stop before (restart_syscall)", 0 },
	{ "wait_half_written", wait_half_written, "a write that is half done", 0 },
	{ "wait_open", wait_open, "open of a FIFO", 0 },
	{ "wait_pause", wait_pause, "pause", 0 },
	{ "wait_eintr", wait_eintr, "signals still interrupt", 0 },
	{ NULL, NULL, NULL, 0 },
};
