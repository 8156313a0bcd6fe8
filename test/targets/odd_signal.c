/* Signals that are pending in ways few programs see, and timers that were set again meanwhile. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Raw calls: glibc keeps 32 and 33 for itself. */
static void block(uint64_t signals)
{
	must(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, 8));
}

/* 0: none is pending. */
static int take(int signo, siginfo_t *info)
{
	uint64_t set = 1ull << (signo - 1);
	struct timespec now = { 0, 0 };
	int got = (int)syscall(SYS_rt_sigtimedwait, &set, info, &now, 8);

	return got < 0 ? 0 : got;
}

static void queue(int signo, int code, int value, bool thread)
{
	siginfo_t info = { .si_signo = signo, .si_code = code };

	info.si_value.sival_int = value;
	if (thread)
		must(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signo, &info));
	else
		must(syscall(SYS_rt_sigqueueinfo, getpid(), signo, &info));
}

static void taken(int signo, int code, int value)
{
	siginfo_t info;

	expect(take(signo, &info) == signo, "signal %d is not pending", signo);
	expect(info.si_code == code && info.si_value.sival_int == value, "signal %d: %d, %d", signo,
		info.si_code, info.si_value.sival_int);
}

/* Signals of faults with codes of the kernel, and those of the libc, for thread and process. */
static const int faults[] = { SIGILL, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, 32, 33 };
enum { NR_FAULTS = sizeof faults / sizeof faults[0] };

static void faults_queue(void)
{
	for (int i = 0; i < NR_FAULTS; i++) {
		queue(faults[i], 1, 100 + i, true);
		queue(faults[i], 2, 200 + i, false);
	}
}

static void faults_taken(void)
{
	for (int i = 0; i < NR_FAULTS; i++) {
		taken(faults[i], 1, 100 + i);
		taken(faults[i], 2, 200 + i);
		expect(!take(faults[i], NULL), "signal %d is there twice", faults[i]);
	}
}

/* Ignored, but blocked, it waits; and it is ignored all the same. */
static void trap_queue(void)
{
	must(signal(SIGTRAP, SIG_IGN) == SIG_ERR ? -1 : 0);
	queue(SIGTRAP, 1, 5, true);
	must(kill(getpid(), SIGTRAP));
}

static void trap_taken(void)
{
	struct sigaction action;

	must(sigaction(SIGTRAP, NULL, &action));
	expect(action.sa_handler == SIG_IGN, "SIGTRAP is not ignored any more");
	taken(SIGTRAP, 1, 5);
	taken(SIGTRAP, SI_USER, 0);
}

/* kill(2) beyond the limit: pending, though there was no room in the queue. */
static void unqueued_send(struct rlimit *limit)
{
	must(getrlimit(RLIMIT_SIGPENDING, limit));
	must(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 3, limit->rlim_max }));
	expect(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ 0 }) == -1, "there is room");
	must(kill(getpid(), SIGRTMIN + 5));
}

static void unqueued_taken(const struct rlimit *limit)
{
	siginfo_t info;

	expect(take(SIGRTMIN + 5, &info), "what was not queued is lost");
	expect(info.si_code == SI_USER && !info.si_pid, "si_code %d, si_pid %d", info.si_code,
		info.si_pid);
	must(setrlimit(RLIMIT_SIGPENDING, limit));
}

/* The signal of a lease tells by which number it was taken. */
static int lease_take(void)
{
	int fd = file_make("lease", 1, 1, O_RDONLY);

	must(fcntl(fd, F_SETSIG, SIGRTMIN));
	must(fcntl(fd, F_SETLEASE, F_RDLCK));
	return fd;
}

static void lease_broken(int fd)
{
	siginfo_t info;

	expect(open("lease", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK, "no lease");
	expect(take(SIGRTMIN, &info), "nobody was told of the lease");
	expect(info.si_fd == fd, "si_fd %d", info.si_fd);
}

static void odd_signal(void)
{
	struct rlimit limit;
	int fd;

	block(UINT64_MAX);
	faults_queue();
	trap_queue();
	fd = lease_take();
	unqueued_send(&limit);
	target_wait();
	unqueued_taken(&limit);
	lease_broken(fd);
	trap_taken();
	faults_taken();
}

static timer_t timer_of(int signo)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signo };
	timer_t timer;

	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	return timer;
}

/*
 * A timer that has fired and was set to another time before its signal was taken: the kernel drops
 * that signal (6.13), and the timer goes on.
 */
static void odd_signal_timer(void)
{
	timer_t timer = timer_of(SIGRTMIN);
	struct itimerspec soon = { .it_value = { 0, 1 } }, late = { .it_value = { 1000, 0 } }, left;
	sigset_t pending;

	block(1ull << (SIGRTMIN - 1));
	must(timer_settime(timer, 0, &soon, NULL));
	do
		must(sigpending(&pending));
	while (!sigismember(&pending, SIGRTMIN));
	must(timer_settime(timer, 0, &late, NULL));
	target_wait();
	must(timer_gettime(timer, &left));
	expect(left.it_value.tv_sec > 900, "%ld s are left of 1000", (long)left.it_value.tv_sec);
	expect(!take(SIGRTMIN, NULL), "a signal of the time before");
}

const struct target targets_odd_signal[] = {
	{ "odd_signal", odd_signal, "pending in odd ways; a lease", 0 },
	{ "odd_signal_timer", odd_signal_timer, "a timer set again", TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
