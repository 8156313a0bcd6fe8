/* eventfd, timerfd, signalfd. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* ---- eventfd
 * -----------------------------------------------------------------------------------------------
 */

static uint64_t take(int fd)
{
	uint64_t value = 0;

	expect(read(fd, &value, sizeof value) == sizeof value, "read: %s", strerror(errno));
	return value;
}

static void event_counts(void)
{
	uint64_t max = UINT64_MAX - 1;
	int zero = (int)must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
	    some = (int)must(eventfd(12345, 0));
	int full = (int)must(eventfd(0, EFD_NONBLOCK));
	uint64_t one = 1;

	must(write(full, &max, sizeof max));
	target_wait();
	expect(read(zero, &one, sizeof one) == -1 && errno == EAGAIN, "count of the empty one");
	expect(take(some) == 12345, "count");
	expect(write(full, &one, sizeof one) == -1 && errno == EAGAIN, "the full one has room");
	expect(take(full) == max, "largest count");
	expect(fcntl(zero, F_GETFD) == FD_CLOEXEC && (fcntl(zero, F_GETFL) & O_NONBLOCK), "flags");
}

static void event_semaphore(void)
{
	int fd = (int)must(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK)), other = (int)must(dup(fd));
	uint64_t value;

	target_wait();
	for (int i = 0; i < 3; i++)
		expect(take(i % 2 ? fd : other) == 1, "not a semaphore");
	expect(read(fd, &value, sizeof value) == -1 && errno == EAGAIN, "count");
}

/* ---- timerfd
 * ---------------------------------------------------------------------------------------------------
 */

static int timer_make(clockid_t clock, int flags, long sec, long nsec, long interval_nsec)
{
	int fd = (int)must(timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC));
	struct itimerspec value = { { 0, interval_nsec }, { sec, nsec } };

	if (sec || nsec)
		must(timerfd_settime(fd, flags, &value, NULL));
	return fd;
}

static void timerfd_armed(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };
	struct itimerspec left;
	int fds[3], idle, absolute;
	struct timespec now;
	uint64_t ticks;

	for (int i = 0; i < 3; i++)
		fds[i] = timer_make(clocks[i], 0, 1000 + i, 0, 77000);
	idle = timer_make(CLOCK_MONOTONIC, 0, 0, 0, 0);
	must(clock_gettime(CLOCK_REALTIME, &now));
	absolute = timer_make(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
		now.tv_sec + 500, 0, 0);
	target_wait();
	for (int i = 0; i < 3; i++) {
		must(timerfd_gettime(fds[i], &left));
		expect(left.it_interval.tv_nsec == 77000, "interval %ld", left.it_interval.tv_nsec);
		expect(left.it_value.tv_sec <= 1000 + i && left.it_value.tv_sec > 880, "left %ld",
			left.it_value.tv_sec);
		expect(read(fds[i], &ticks, sizeof ticks) == -1 && errno == EAGAIN, "it has fired");
	}
	must(timerfd_gettime(idle, &left));
	expect(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0, "the idle one runs");
	must(timerfd_gettime(absolute, &left));
	expect(left.it_value.tv_sec <= 500 && left.it_value.tv_sec > 380, "absolute: left %ld",
		left.it_value.tv_sec);
}

/* Waits in poll until the descriptor has input. */
static void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	expect(poll(&poll_fd, 1, 10000) == 1, "descriptor %d never becomes ready", fd);
}

static void timerfd_expired(void)
{
	int once = timer_make(CLOCK_MONOTONIC, 0, 0, 1, 0),
	    often = timer_make(CLOCK_MONOTONIC, 0, 0, 1, 10000000);
	struct itimerspec left;

	await(once);
	await(often);
	target_wait();
	expect(take(once) == 1, "ticks of the one that fired once");
	expect(take(often) >= 1, "ticks");
	await(often);
	must(timerfd_gettime(once, &left));
	expect(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0, "it runs again");
}

/* Not yet at the dump. */
static void timerfd_fires(void)
{
	int fd = timer_make(CLOCK_MONOTONIC, 0, 4, 0, 0);

	target_wait();
	await(fd);
	expect(take(fd) == 1, "ticks");
}

/* ---- signalfd
 * ------------------------------------------------------------------------------------------------------
 */

static void signalfd_mask(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 5);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = (int)must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	must(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ .sival_int = 99 }));
	target_wait();
	expect(read(fd, &info, sizeof info) == sizeof info &&
			info.ssi_signo == (uint32_t)SIGRTMIN + 5 && info.ssi_int == 99,
		"pending signal");
	expect(read(fd, &info, sizeof info) == -1 && errno == EAGAIN, "another signal");
	must(kill(getpid(), SIGUSR1));
	expect(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1,
		"new signal");
	sigdelset(&set, SIGUSR1);
	must(signalfd(fd, &set, 0));
}

const struct target targets_fd_event[] = {
	{ "event_counts", event_counts, "eventfd: zero, some, largest", 0 },
	{ "event_semaphore", event_semaphore, "eventfd: semaphore", 0 },
	{ "timerfd_armed", timerfd_armed, "timerfd: clocks, idle, absolute", 0 },
	{ "timerfd_expired", timerfd_expired, "timerfd: fired and not read", 0 },
	{ "timerfd_fires", timerfd_fires, "timerfd: expires later", 0 },
	{ "signalfd_mask", signalfd_mask, "signalfd", 0 },
	{ NULL, NULL, NULL, 0 },
};
