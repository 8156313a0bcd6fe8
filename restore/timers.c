/* Interval and POSIX timers as steps; see timers.h. */
#include "restore/timers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "restore/job.h"
#include "restore/tasks.h"

/* linux/prctl.h of 6.15 and later. */
enum { PR_TIMER_CREATE_RESTORE_IDS_NR = 77 };

static const uint64_t NS = 1000000000ull;

static void itimers_plan(struct job *job)
{
	for (uint64_t which = 0; which < 3; which++) {
		const struct snap_itimer *t = &job->proc->itimers[which];
		struct itimerval value = {
			.it_interval = { (time_t)(t->interval / NS),
				(suseconds_t)(t->interval % NS / 1000) },
			.it_value = { (time_t)(t->value / NS),
				(suseconds_t)(t->value % NS / 1000) },
		};

		if (!t->value && !t->interval)
			continue;
		if (t->value && !value.it_value.tv_sec && !value.it_value.tv_usec)
			value.it_value.tv_usec = 1; /* 0 would disarm it */
		/*
		 * A real timer that has expired is started again only when its signal is taken from
		 * the queue (posixtimer_rearm_itimer); that one is queued, so another adds nothing
		 * to it.
		 */
		if (!t->value && which == ITIMER_REAL)
			value.it_value = value.it_interval;
		plan_syscall(&job->plan, 0, SYS_setitimer,
			(struct plan_args){
				{ which, plan_data(&job->plan, &value, sizeof value) } });
	}
}

/* CPU clocks of a process or thread are numbers made of its id
 * (include/linux/posix-timers_types.h). */
static int timer_clock(
	const struct job *job, const struct snap_posix_timer *t, int32_t *clock, struct err *err)
{
	int32_t now = t->clock_tid ? tasks_tid_now(job, t->clock_tid) : 0;

	*clock = t->clock;
	if (!t->clock_tid)
		return 0;
	if (!now) {
		err_set(err, ENOTSUP,
			"POSIX timer %d runs on the CPU clock of thread %d, whose id cannot "
			"be kept with --pids=new",
			t->id, t->clock_tid);
		return err_hint(err, "use --pids=ns or --pids=keep");
	}
	*clock = (int32_t)((uint32_t)~now << 3) | (t->clock & 7);
	return 0;
}

static bool is_of_timer(const struct snap_siginfo *raw, const struct snap_posix_timer *t)
{
	siginfo_t info;

	memcpy(&info, raw->raw, sizeof info);
	return info.si_code == SI_TIMER && info.si_timerid == t->id && info.si_signo == t->signo;
}

bool timers_fire(const struct snap_proc *proc, const struct snap_siginfo *info)
{
	for (size_t i = 0; i < proc->nr_timers; i++)
		if (proc->timers[i].clock >= 0 && proc->timers[i].signo != SIGTRAP &&
			is_of_timer(info, &proc->timers[i]))
			return true;
	return false;
}

static bool has_fired(const struct snap_siginfo *infos, size_t nr, const struct snap_proc *proc,
	const struct snap_posix_timer *t)
{
	for (size_t i = 0; i < nr; i++)
		if (is_of_timer(&infos[i], t) && timers_fire(proc, &infos[i]))
			return true;
	return false;
}

/*
 * Is its signal waiting to be taken? One that was set to another time since has a signal in the
 * queue that the kernel will not deliver (posixtimer_deliver_signal() in
 * kernel/time/posix-timers.c, since 6.13); it shows by more time left than a timer has that has
 * fired.
 */
static bool timer_waits(const struct snap_proc *proc, const struct snap_posix_timer *t)
{
	bool waits;

	if (t->value > t->interval)
		return false;
	waits = has_fired(proc->pending, proc->nr_pending, proc, t);

	for (size_t i = 0; !waits && i < proc->nr_tasks; i++)
		waits = has_fired(proc->tasks[i].pending, proc->tasks[i].nr_pending, proc, t);
	return waits;
}

static void timer_plan_arm(struct job *job, const struct snap_posix_timer *t)
{
	struct itimerspec value = {
		.it_interval = { (time_t)(t->interval / NS), (long)(t->interval % NS) },
		.it_value = { (time_t)(t->value / NS), (long)(t->value % NS) },
	};

	if (timer_waits(job->proc, t))
		value.it_value = (struct timespec){ 0, 1 };
	if (value.it_value.tv_sec || value.it_value.tv_nsec)
		plan_syscall(&job->plan, 0, SYS_timer_settime,
			(struct plan_args){ { (uint64_t)t->id, 0,
				plan_data(&job->plan, &value, sizeof value) } });
}

static int timer_plan(struct job *job, size_t i, struct err *err)
{
	const struct snap_posix_timer *t = &job->proc->timers[i];
	struct sigevent event = { .sigev_notify = t->notify, .sigev_signo = t->signo };
	int32_t clock, id = t->id;
	uint64_t at;

	if (timer_clock(job, t, &clock, err) < 0)
		return -err->code;
	memcpy(&event.sigev_value, &t->sigval, sizeof t->sigval);
	at = plan_data(&job->plan, &event, sizeof event);
	if (t->notify & SIGEV_THREAD_ID) {
		long index = tasks_index(job, t->notify_tid);
		struct blob_step *step;

		if (index < 0)
			return err_set(err, EBADMSG, "POSIX timer %d notifies unknown thread %d",
				t->id, t->notify_tid);
		step = plan_step(&job->plan, 0, BLOB_LOAD_TID);
		step->args[0] = at + offsetof(struct sigevent, _sigev_un);
		step->args[1] = (uint64_t)index;
	}
	job->timer_ids[i] = plan_data(&job->plan, &id, sizeof id);
	plan_syscall(&job->plan, 0, SYS_timer_create,
		(struct plan_args){ { (uint64_t)(int64_t)clock, at, job->timer_ids[i] } });
	timer_plan_arm(job, t);
	return 0;
}

/* The kernel takes the wanted id from where it puts the new one (6.15+); else ids count from 0. */
static void plan_restore_ids(struct job *job, uint64_t on)
{
	plan_syscall(&job->plan, 0, SYS_prctl,
		(struct plan_args){ { PR_TIMER_CREATE_RESTORE_IDS_NR, on } })
		->tolerate = EINVAL;
}

int timers_plan(struct job *job, struct err *err)
{
	size_t nr = job->proc->nr_timers;

	job->timer_ids = arena_array(job->snap->arena, nr, sizeof *job->timer_ids);
	if (nr || job->proc->timer_ids_chosen)
		plan_restore_ids(job, 1);
	for (size_t i = 0; i < nr; i++)
		if (timer_plan(job, i, err) < 0)
			return -err->code;
	if (nr && !job->proc->timer_ids_chosen)
		plan_restore_ids(job, 0);
	itimers_plan(job);
	return 0;
}

int timers_check(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->proc->nr_timers; i++) {
		int32_t id = -1;
		struct iovec here = { &id, sizeof id };
		struct iovec there = { (void *)(uintptr_t)job->timer_ids[i], sizeof id };

		if (process_vm_readv(job->pid, &here, 1, &there, 1, 0) != sizeof id)
			return err_sys(err, "id of POSIX timer %d", job->proc->timers[i].id);
		if (id != job->proc->timers[i].id) {
			err_set(err, ENOTSUP, "POSIX timer %d: this kernel gives it the id %d",
				job->proc->timers[i].id, id);
			return err_hint(err, "choosing timer ids needs Linux 6.15");
		}
	}
	return 0;
}
