/* Dispositions and queued signals as steps; see signals.h. */
#include "restore/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "restore/job.h"
#include "restore/stops.h"
#include "restore/timers.h"
#include "tracee/tracee.h"

enum { IGNORED = 1 }; /* SIG_IGN */

void signals_plan_actions(struct job *job)
{
	for (uint64_t sig = 1; sig <= SNAP_NSIG; sig++) {
		const struct snap_sigaction *act = &job->proc->actions[sig - 1];
		uint64_t at;

		if (!act->handler && !act->flags && !act->mask)
			continue;
		at = plan_data(&job->plan, act, sizeof *act);
		if (sig == SIGTRAP && act->handler == IGNORED)
			job->sigtrap_at = at; /* handover.c sets it at the end */
		else
			plan_syscall(&job->plan, 0, SYS_rt_sigaction,
				(struct plan_args){ { sig, at, 0, sizeof act->mask } });
	}
}

static uint64_t info_signo(const struct snap_siginfo *info)
{
	int signo;

	memcpy(&signo, info->raw, sizeof signo);
	return (uint64_t)signo;
}

/*
 * What the thread did is done again when it goes on, since it stands at the instruction: the signal
 * comes by itself. Queued, it would come too early: the kernel takes faults out of the queue before
 * all else, blocked or not (dequeue_synchronous_signal, kernel/signal.c).
 */
static bool happens_again(const struct snap_task *task, const struct snap_siginfo *info)
{
	siginfo_t si;

	memcpy(&si, info->raw, sizeof si);
	if (si.si_code <= 0 || task->sigmask >> (si.si_signo - 1) & 1)
		return false;
	return si.si_signo == SIGSEGV || si.si_signo == SIGILL || si.si_signo == SIGFPE ||
	       (si.si_signo == SIGBUS && si.si_code != BUS_MCEERR_AO);
}

static void plan_queue(struct job *job, size_t thread, const struct snap_siginfo *info, bool shared)
{
	uint64_t at = plan_data(&job->plan, info->raw, sizeof info->raw);
	struct blob_step *step;

	if (shared)
		step = plan_syscall(&job->plan, thread, SYS_rt_sigqueueinfo,
			(struct plan_args){ { 0, info_signo(info), at } });
	else
		step = plan_syscall(&job->plan, thread, SYS_rt_tgsigqueueinfo,
			(struct plan_args){ { 0, thread, info_signo(info), at } });
	step->tid_args = shared ? 1 : 3;
}

/* SYNCHRONOUS_MASK in include/linux/signal.h of Linux, as far as it is not SIGTRAP. */
static bool is_fault(const siginfo_t *si)
{
	return si->si_code > 0 &&
	       (si->si_signo == SIGSEGV || si->si_signo == SIGBUS || si->si_signo == SIGILL ||
		       si->si_signo == SIGFPE || si->si_signo == SIGSYS);
}

/*
 * A SIGTRAP: the blob's own stops are SIGTRAPs, and the next of them would be this one; so would
 * faults be, which the kernel takes out of the queue before all else, blocked or not, as soon as
 * one of them can be delivered. A SIGCHLD: while children are stopped again its action is set
 * (tree.c), and where that is to ignore it, what is queued goes (sigaction(2)). Of a process that
 * is stopped and continued again, what either takes out of the queue (signal(7)).
 */
static bool is_late(const struct job *job, const struct snap_siginfo *info)
{
	siginfo_t si;

	memcpy(&si, info->raw, sizeof si);
	return si.si_signo == SIGTRAP || si.si_signo == SIGCHLD || is_fault(&si) ||
	       (job->proc->continued && (si.si_signo == SIGCONT || si.si_signo == SIGTSTP ||
						si.si_signo == SIGTTIN || si.si_signo == SIGTTOU));
}

/* Nothing keeps it from stopping a thread on its next way out of the kernel. */
static bool is_last(const struct snap_siginfo *info)
{
	return info_signo(info) == SIGSTOP;
}

static void plan_pending(
	struct job *job, size_t thread, const struct snap_siginfo *info, bool shared)
{
	if (is_last(info))
		return;
	if (!is_late(job, info))
		plan_queue(job, thread, info, shared);
	else if (!job->late_info_at)
		job->late_info_at = plan_data(&job->plan, info->raw, sizeof info->raw);
}

void signals_plan_pending(struct job *job, size_t thread)
{
	const struct snap_proc *proc = job->proc;
	const struct snap_task *task = &proc->tasks[thread];

	for (size_t i = 0; i < task->nr_pending; i++)
		if (!timers_fire(proc, &task->pending[i]) &&
			!happens_again(task, &task->pending[i]))
			plan_pending(job, thread, &task->pending[i], false);
	for (size_t i = 0; thread == 0 && i < proc->nr_pending; i++)
		if (!timers_fire(proc, &proc->pending[i]))
			plan_pending(job, thread, &proc->pending[i], true);
}

/* Blocked, until the thread gets its mask: stops of system calls are not signals to be blocked. */
static int late_queue(struct job *job, size_t thread, const struct snap_siginfo *info, bool shared,
	struct err *err)
{
	const struct snap_proc *proc = job->proc;
	struct job with = *job;
	/* Ids as the process sees them: those of the image, but for new ones. */
	bool renamed = job->pids == PIDS_NEW;
	uint64_t pid = (uint64_t)(renamed ? job->pid : proc->pid), at = job->late_info_at;
	uint64_t tid = (uint64_t)(renamed ? job->plan.threads[thread].tid
					  : proc->tasks[thread].tid);
	uint64_t signo = info_signo(info);
	struct remote call = { SYS_rt_sigqueueinfo, { pid, signo, at } };

	if (!shared)
		call = (struct remote){ SYS_rt_tgsigqueueinfo, { pid, tid, signo, at } };
	with.pid = job->plan.threads[thread].tid;
	if (thread_set_sigmask(with.pid, UINT64_MAX, err) < 0 ||
		stops_write(job, at, info->raw, sizeof info->raw, err) < 0)
		return -err->code;
	return stops_blob_syscall(&with, &call, "queue a signal", NULL, err);
}

static int late_queue_all(struct job *job, size_t thread, const struct snap_siginfo *infos,
	size_t nr, bool shared, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (is_late(job, &infos[i]) && !timers_fire(job->proc, &infos[i]) &&
			late_queue(job, thread, &infos[i], shared, err) < 0)
			return -err->code;
	return 0;
}

int signals_queue_late(struct job *job, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	if (!job->late_info_at)
		return 0;
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (late_queue_all(job, i, proc->tasks[i].pending, proc->tasks[i].nr_pending, false,
			    err) < 0)
			return -err->code;
	return late_queue_all(job, 0, proc->pending, proc->nr_pending, true, err);
}

int signals_queue_last(const struct job *job, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	for (size_t i = 0; i < proc->nr_pending; i++)
		if (is_last(&proc->pending[i]) && kill(job->pid, SIGSTOP) < 0)
			return err_sys(err, "stop the new process");
	for (size_t t = 0; t < proc->nr_tasks; t++)
		for (size_t i = 0; i < proc->tasks[t].nr_pending; i++)
			if (is_last(&proc->tasks[t].pending[i]) &&
				syscall(SYS_tgkill, job->pid, job->plan.threads[t].tid, SIGSTOP) <
					0)
				return err_sys(err, "stop thread %d", job->plan.threads[t].tid);
	return 0;
}
