/* Dispositions and queued signals as steps; see signals.h. */
#include "restore/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "restore/job.h"
#include "restore/timers.h"

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

void signals_plan_pending(struct job *job, size_t thread)
{
	const struct snap_proc *proc = job->proc;
	const struct snap_task *task = &proc->tasks[thread];

	for (size_t i = 0; i < task->nr_pending; i++)
		if (!timers_fire(proc, &task->pending[i]) &&
			!happens_again(task, &task->pending[i]))
			plan_queue(job, thread, &task->pending[i], false);
	for (size_t i = 0; thread == 0 && i < proc->nr_pending; i++)
		if (!timers_fire(proc, &proc->pending[i]))
			plan_queue(job, thread, &proc->pending[i], true);
}
