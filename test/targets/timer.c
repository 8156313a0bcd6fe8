/* Interval timers and POSIX timers. */
#include "target.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* ---- interval timers
 * ------------------------------------------------------------------------------------------ */

static void timer_itimers(void)
{
	static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
	struct itimerval value;

	for (int i = 0; i < 3; i++) {
		value = (struct itimerval){ { 7 + i, 500 }, { 3600 * (i + 1), 0 } };
		must(setitimer(which[i], &value, NULL));
	}
	target_wait();
	for (int i = 0; i < 3; i++) {
		must(getitimer(which[i], &value));
		expect(value.it_interval.tv_sec == 7 + i, "interval of timer %d", i);
		/* CPU timers count in ticks of the kernel, so microseconds are rounded up. */
		expect(value.it_interval.tv_usec / 10000 == 0, "interval of timer %d: %ld us", i,
			(long)value.it_interval.tv_usec);
		expect(value.it_value.tv_sec <= 3600 * (i + 1) &&
				value.it_value.tv_sec > 3600 * (i + 1) - 120,
			"timer %d has %ld s left", i, (long)value.it_value.tv_sec);
	}
}

static void wait_for(int sig, siginfo_t *info)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	expect(sigtimedwait(&set, info, &(struct timespec){ 10, 0 }) == sig,
		"signal %d did not come: %s", sig, strerror(errno));
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
}

/* Before READY, wait until a signal is pending: the state then changes no more. */
static void await_pending(int tid, const char *key, int sig)
{
	char file[64];

	snprintf(file, sizeof file, "task/%d/status", tid);
	while (!(proc_number(file, key, 16) & 1ull << (sig - 1)))
		;
}

static void timer_itimer_fires(void)
{
	siginfo_t info;

	block(SIGALRM);
	must(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 200000 }, { 0, 200000 } }, NULL));
	await_pending(gettid(), "ShdPnd:", SIGALRM);
	target_wait();
	for (int i = 0; i < 4; i++)
		wait_for(SIGALRM, &info);
}

/* ---- POSIX timers
 * -------------------------------------------------------------------------------------------------
 */

static timer_t make(clockid_t clock, struct sigevent *event, time_t value, time_t interval)
{
	timer_t timer;

	must(timer_create(clock, event, &timer));
	must(timer_settime(timer, 0, &(struct itimerspec){ { interval, 5 }, { value, 0 } }, NULL));
	return timer;
}

static void has_left(timer_t timer, time_t value, time_t interval, const char *what)
{
	struct itimerspec now;

	must(timer_gettime(timer, &now));
	expect(now.it_interval.tv_sec == interval, "%s: interval %ld", what,
		(long)now.it_interval.tv_sec);
	expect(now.it_value.tv_sec <= value && now.it_value.tv_sec >= value - 120, "%s: %ld s left",
		what, (long)now.it_value.tv_sec);
}

static void timer_clocks(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
		CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timers[6];

	for (int i = 0; i < 6; i++)
		timers[i] = make(clocks[i], &event, 1000 + i, 10 + i);
	target_wait();
	for (int i = 0; i < 6; i++)
		has_left(timers[i], 1000 + i, 10 + i, "clock");
}

/* Ids must be the same although some are free in between. */
static void timer_ids(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timers[8];

	for (int i = 0; i < 8; i++)
		timers[i] = make(CLOCK_MONOTONIC, &event, 1000 + i, 0);
	must(timer_delete(timers[0]));
	must(timer_delete(timers[3]));
	must(timer_delete(timers[7]));
	target_wait();
	for (int i = 0; i < 8; i++) {
		struct itimerspec now;

		if (i == 0 || i == 3 || i == 7)
			expect(timer_gettime(timers[i], &now) == -1 && errno == EINVAL,
				"deleted timer %d", i);
		else
			has_left(timers[i], 1000 + i, 0, "timer");
	}
	make(CLOCK_MONOTONIC, &event, 10, 0); /* new ones can still be made */
}

static void timer_signal(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGRTMIN + 2,
		.sigev_value.sival_ptr = &event };
	siginfo_t info;
	timer_t timer;

	block(SIGRTMIN + 2);
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(
		timer, 0, &(struct itimerspec){ { 0, 250000000 }, { 0, 250000000 } }, NULL));
	await_pending(gettid(), "ShdPnd:", SIGRTMIN + 2);
	target_wait();
	for (int i = 0; i < 4; i++) {
		wait_for(SIGRTMIN + 2, &info);
		expect(info.si_value.sival_ptr == &event && info.si_code == SI_TIMER, "siginfo");
		expect(info.si_timerid == (int)(intptr_t)timer, "timer id %d", info.si_timerid);
	}
}

/* Signals to one thread: SIGEV_THREAD_ID names its tid. */
static int gate[2];
static atomic_int timer_tid;

static void *notified(void *arg)
{
	siginfo_t info;
	char byte;

	timer_tid = gettid();
	thread_arrived();
	must(read(gate[0], &byte, 1));
	for (int i = 0; i < 3; i++)
		wait_for(SIGRTMIN + 3, &info);
	return arg;
}

static void timer_thread_id(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3 };
	pthread_t thread;
	timer_t timer;

	block(SIGRTMIN + 3);
	must(pipe(gate));
	thread = thread_start(notified, NULL);
	event._sigev_un._tid = timer_tid;
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(
		timer, 0, &(struct itimerspec){ { 0, 100000000 }, { 0, 100000000 } }, NULL));
	await_pending(timer_tid, "SigPnd:", SIGRTMIN + 3);
	target_wait();
	must(write(gate[1], "x", 1));
	thread_join(thread);
}

/* CPU clock of another thread: the clock id embeds its tid. */
static void *idle(void *arg)
{
	char byte;

	thread_arrived();
	must(read(gate[0], &byte, 1));
	return arg;
}

static void timer_thread_clock(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	pthread_t thread;
	clockid_t clock;
	timer_t timer;

	must(pipe(gate));
	thread = thread_start(idle, NULL);
	expect(pthread_getcpuclockid(thread, &clock) == 0, "pthread_getcpuclockid");
	timer = make(clock, &event, 500, 0);
	target_wait();
	has_left(timer, 500, 0, "clock of a thread");
	must(write(gate[1], "x", 1));
	thread_join(thread);
}

/* glibc's helper thread for SIGEV_THREAD. */
static atomic_int nr_calls;

static void call(union sigval value)
{
	nr_calls += value.sival_int;
}

static void timer_thread(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD,
		.sigev_notify_function = call,
		.sigev_value.sival_int = 1 };
	timer_t timer;
	int before;

	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(
		timer, 0, &(struct itimerspec){ { 0, 300000000 }, { 0, 300000000 } }, NULL));
	target_wait();
	before = nr_calls;
	for (int64_t end = now_ms() + 10000; nr_calls < before + 3;) {
		expect(now_ms() < end, "the function is not called any more");
		usleep(20000);
	}
}

static void timer_absolute(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct timespec now;
	timer_t mono, real;

	must(timer_create(CLOCK_MONOTONIC, &event, &mono));
	must(timer_create(CLOCK_REALTIME, &event, &real));
	must(clock_gettime(CLOCK_MONOTONIC, &now));
	must(timer_settime(mono, TIMER_ABSTIME,
		&(struct itimerspec){ { 0, 0 }, { now.tv_sec + 800, 0 } }, NULL));
	must(clock_gettime(CLOCK_REALTIME, &now));
	must(timer_settime(real, TIMER_ABSTIME,
		&(struct itimerspec){ { 0, 0 }, { now.tv_sec + 900, 0 } }, NULL));
	target_wait();
	has_left(mono, 800, 0, "CLOCK_MONOTONIC");
	has_left(real, 900, 0, "CLOCK_REALTIME");
}

/* Fired, its signal blocked and pending, overruns counting. */
static void timer_overrun(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGRTMIN + 4,
		.sigev_value.sival_int = 77 };
	siginfo_t info;
	timer_t timer;

	block(SIGRTMIN + 4);
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 1000000 }, { 0, 1000000 } }, NULL));
	await_pending(gettid(), "ShdPnd:", SIGRTMIN + 4);
	target_wait();
	for (int i = 0; i < 3; i++) {
		wait_for(SIGRTMIN + 4, &info);
		expect(info.si_value.sival_int == 77 && info.si_code == SI_TIMER, "siginfo");
	}
	must(timer_delete(timer));
}

static void timer_alarm(void)
{
	alarm(3000);
	target_wait();
	unsigned left = alarm(0);
	expect(left > 2880 && left <= 3000, "alarm has %u s left", left);
}

/* ---- always at the moment of some
 * ----------------------------------------------------------------------------------------
 */

enum { AT_A_TIME = 48, APART_NS = 1000 * 1000 };

/* What comes to a thread alone, or to the process. */
struct expiring {
	int sig;
	bool alone;
	timer_t timers[AT_A_TIME];
};

static void expiring_create(struct expiring *e)
{
	for (int i = 0; i < AT_A_TIME; i++) {
		struct sigevent event = { .sigev_signo = e->sig, .sigev_value.sival_int = i };

		event.sigev_notify = e->alone ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
		event._sigev_un._tid = gettid();
		must(timer_create(CLOCK_MONOTONIC, &event, &e->timers[i]));
	}
}

/* Each timer gives one signal, no more and no less. */
static void expiring_round(const struct expiring *e)
{
	unsigned seen[AT_A_TIME] = { 0 };
	sigset_t set;
	siginfo_t info;

	for (int i = 0; i < AT_A_TIME; i++)
		must(timer_settime(e->timers[i], 0,
			&(struct itimerspec){ { 0, 0 }, { 0, APART_NS * (i + 1) } }, NULL));
	for (int i = 0; i < AT_A_TIME; i++) {
		wait_for(e->sig, &info);
		seen[info.si_value.sival_int % AT_A_TIME]++;
	}
	for (int i = 0; i < AT_A_TIME; i++)
		expect(seen[i] == 1, "timer %d of signal %d came %u times", i, e->sig, seen[i]);
	sigemptyset(&set);
	sigaddset(&set, e->sig);
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) < 0, "one signal more");
}

static atomic_bool expiring_enough;

static void *expiring_run(void *arg)
{
	struct expiring *e = arg;

	expiring_create(e);
	thread_arrived();
	while (!expiring_enough)
		expiring_round(e);
	return NULL;
}

static void timer_expiring(void)
{
	struct expiring alone = { .sig = SIGRTMIN + 1, .alone = true },
			shared = { .sig = SIGRTMIN + 2 };
	pthread_t threads[2];

	block(SIGRTMIN + 1);
	block(SIGRTMIN + 2);
	threads[0] = thread_start(expiring_run, &alone);
	threads[1] = thread_start(expiring_run, &shared);
	target_wait();
	expiring_enough = true;
	thread_join(threads[0]);
	thread_join(threads[1]);
}

const struct target targets_timer[] = {
	{ "timer_itimers", timer_itimers, "three interval timers", 0 },
	{ "timer_itimer_fires", timer_itimer_fires, "an interval timer goes on", 0 },
	{ "timer_clocks", timer_clocks, "POSIX timers of six clocks", 0 },
	{ "timer_ids", timer_ids, "ids with holes", 0 },
	{ "timer_signal", timer_signal, "SIGEV_SIGNAL with payload", 0 },
	{ "timer_thread_id", timer_thread_id, "SIGEV_THREAD_ID", 0 },
	{ "timer_thread_clock", timer_thread_clock, "CPU clock of another thread", 0 },
	{ "timer_thread", timer_thread, "SIGEV_THREAD", TARGET_UNSTEADY },
	{ "timer_absolute", timer_absolute, "TIMER_ABSTIME", 0 },
	{ "timer_overrun", timer_overrun, "fired and pending, overruns", 0 },
	{ "timer_alarm", timer_alarm, "alarm", 0 },
	{ "timer_expiring", timer_expiring, "some expire at the moment of the dump",
		TARGET_BUSY | TARGET_UNSTEADY },
	{ NULL, NULL, NULL, 0 },
};
