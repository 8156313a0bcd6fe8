/* Interval timers and POSIX timers of a process; see timers.h. */
#include "dump/timers.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "dump/remote.h"

enum { AT_ONCE = 64 };

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000000 + (uint64_t)tv->tv_usec * 1000;
}

static uint64_t timespec_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

static int itimers_collect(struct dumping_proc *p, struct err *err)
{
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		struct itimerval it;
		int ret = remote_get(p->t, p->th, SYS_getitimer, (uint64_t[6]){ (uint64_t)which },
			1, &it, sizeof it, "getitimer", err);

		if (ret < 0)
			return ret;
		dumping_snap_proc(p)->itimers[which] = (struct snap_itimer){
			.value = timeval_ns(&it.it_value),
			.interval = timeval_ns(&it.it_interval),
		};
	}
	return 0;
}

/*
 * Clock ids below zero are CPU clocks of processes and threads (kernel/time/posix-cpu-timers.c):
 * bits 0-1 say which time, 3 there is a clock behind a descriptor; bit 2 a thread; the rest is ~id.
 */
static int clock_refused(const struct proc_timer *timer, const char *whose, struct err *err)
{
	err_set(err, ENOTSUP, "timer %d runs on %s", timer->id, whose);
	return err_hint(err, "let the program delete the timer before the dump");
}

int timers_clock(
	const struct dumping_proc *p, const struct proc_timer *timer, int32_t *tid, struct err *err)
{
	int32_t id = ~(timer->clock >> 3);
	bool of_thread = timer->clock & 4;

	*tid = 0;
	if (timer->clock >= 0)
		return 0;
	if ((timer->clock & 3) == 3)
		return clock_refused(timer, "a clock device", err);
	if (of_thread && !id && p->status.threads > 1)
		return clock_refused(timer,
			"the CPU clock of a thread, and the kernel does not say "
			"of which",
			err);
	if (!of_thread && id && id != p->status.nspid)
		return clock_refused(timer, "the CPU clock of another process", err);
	/* 0 is the process itself, or the thread that made it: the id means the same after a
	 * restore. */
	*tid = id;
	return 0;
}

/* The kernel keeps a timer whose thread is gone, and gives its signals to nobody. */
static int timer_target_check(
	struct dumping_proc *p, const struct proc_timer *timer, struct err *err)
{
	const struct snap_proc *proc = dumping_snap_proc(p);

	if (!(timer->notify & SIGEV_THREAD_ID))
		return 0;
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (proc->tasks[i].tid == timer->notify_tid)
			return 0;
	err_set(err, ENOTSUP, "timer %d sends its signals to thread %d, which has ended", timer->id,
		timer->notify_tid);
	return err_hint(err, "let the program delete the timer (timer_delete) before the dump");
}

static int timer_collect(struct dumping_proc *p, const struct proc_timer *timer,
	const struct itimerspec *it, struct snap_posix_timer *out, struct err *err)
{
	int ret = timers_clock(p, timer, &out->clock_tid, err);

	if (!ret)
		ret = timer_target_check(p, timer, err);
	if (ret < 0)
		return ret;
	out->id = timer->id;
	out->clock = timer->clock;
	out->notify = timer->notify;
	out->signo = timer->signo;
	out->notify_tid = timer->notify_tid;
	out->sigval = timer->sigval;
	out->value = timespec_ns(&it->it_value);
	out->interval = timespec_ns(&it->it_interval);
	return 0;
}

/* What is left of nr timers, no more than AT_ONCE. */
static int timers_ask(struct dumping_proc *p, const struct proc_timer *timers, size_t nr,
	struct itimerspec *left, struct err *err)
{
	struct tracee_call calls[AT_ONCE];
	uint64_t scratch;
	size_t room;
	int ret = tracee_scratch(p->t, &scratch, &room, err);

	if (ret < 0)
		return ret;
	assert(room >= AT_ONCE * sizeof *left);
	for (size_t i = 0; i < nr; i++)
		calls[i] = (struct tracee_call){ SYS_timer_gettime,
			{ (uint64_t)timers[i].id, scratch + i * sizeof *left }, 0 };
	ret = tracee_syscalls(p->t, p->th, calls, nr, err);
	for (size_t i = 0; !ret && i < nr; i++)
		if (calls[i].ret < 0)
			ret = err_ret(err, calls[i].ret, "timer_gettime of %d", timers[i].id);
	return ret < 0 ? ret : tracee_read(p->t, scratch, left, nr * sizeof *left, err);
}

static int some_collect(
	struct dumping_proc *p, const struct proc_timer *timers, size_t nr, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	struct itimerspec left[AT_ONCE];
	int ret = timers_ask(p, timers, nr, left, err);

	for (size_t i = 0; !ret && i < nr; i++)
		ret = timer_collect(p, &timers[i], &left[i], &proc->timers[proc->nr_timers++], err);
	return ret;
}

static int timers_read(struct dumping_proc *p, struct err *err)
{
	struct proc_timer *timers;
	size_t nr;
	int ret = itimers_collect(p, err);

	if (!ret)
		ret = proc_timers(p->t->procfd, p->d->snap->arena, &timers, &nr, err);
	if (ret < 0)
		return ret;
	dumping_snap_proc(p)->nr_timers = 0;
	dumping_snap_proc(p)->timers = arena_array(
		p->d->snap->arena, nr, sizeof(struct snap_posix_timer));
	for (size_t i = 0; !ret && i < nr; i += AT_ONCE)
		ret = some_collect(p, timers + i, nr - i < AT_ONCE ? nr - i : AT_ONCE, err);
	return ret;
}

static bool timers_signal(const struct snap_proc *proc, int32_t tid)
{
	for (size_t i = 0; i < proc->nr_timers; i++)
		if ((proc->timers[i].notify & SIGEV_THREAD_ID) && proc->timers[i].notify_tid == tid)
			return true;
	return false;
}

static size_t nr_pending(const struct snap_proc *proc)
{
	size_t nr = proc->nr_pending;

	for (size_t i = 0; i < proc->nr_tasks; i++)
		nr += proc->tasks[i].nr_pending;
	return nr;
}

/*
 * Timers go on while their process stands still: one that expired after the signals were read is
 * found disarmed, and what it has sent would be in no queue; so both are read until they agree.
 */
int timers_collect(struct dumping_proc *p, struct err *err)
{
	size_t before;
	int ret;

	do {
		before = nr_pending(dumping_snap_proc(p));
		ret = timers_read(p, err);
		if (!ret)
			ret = signals_collect_shared(p, err);
		if (!ret)
			ret = tasks_collect_pending(p, timers_signal, err);
	} while (!ret && nr_pending(dumping_snap_proc(p)) != before);
	return ret;
}
