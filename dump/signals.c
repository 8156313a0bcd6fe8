/* Signals: actions and the shared queue of a process, the private queues of its threads. */
#include "dump/signals.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"

enum { KERNEL_SIGSET_LEN = 8, KERNEL_SIGRTMIN = 32 };

static uint64_t signal_bit(int signo)
{
	return (uint64_t)1 << (signo - 1);
}

static int siginfo_signo(const struct snap_siginfo *info)
{
	siginfo_t si;

	memcpy(&si, info->raw, sizeof si);
	return si.si_signo;
}

static int actions_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_sigaction *actions = dumping_snap_proc(p)->actions;
	struct tracee_call calls[SNAP_NSIG];
	uint64_t scratch;
	size_t nr = 0, room;
	int ret = tracee_scratch(p->t, &scratch, &room, err);

	if (ret < 0)
		return ret;
	assert(room >= SNAP_NSIG * sizeof *actions);
	for (uint64_t signo = 1; signo <= SNAP_NSIG; signo++)
		if (signo != SIGKILL && signo != SIGSTOP)
			calls[nr++] = (struct tracee_call){ SYS_rt_sigaction,
				{ signo, 0, scratch + (signo - 1) * sizeof *actions,
					KERNEL_SIGSET_LEN },
				0 };
	ret = tracee_syscalls(p->t, p->th, calls, nr, err);
	for (size_t i = 0; !ret && i < nr; i++)
		if (calls[i].ret < 0)
			ret = err_ret(err, calls[i].ret, "rt_sigaction");
	if (!ret)
		ret = tracee_read(p->t, scratch, actions, SNAP_NSIG * sizeof *actions, err);
	/* Nobody can change what these two do, and nobody has written there. */
	actions[SIGKILL - 1] = actions[SIGSTOP - 1] = (struct snap_sigaction){ 0 };
	return ret;
}

/* Queue of tid behind *queue, which has *nr entries already. */
static int pending_append(struct arena *a, pid_t tid, bool shared, struct snap_siginfo **queue,
	size_t *nr, struct err *err)
{
	struct snap_siginfo *all;
	siginfo_t *infos;
	size_t more;
	int ret = thread_get_pending(tid, shared, &infos, &more, err);

	_Static_assert(sizeof(siginfo_t) == sizeof all->raw, "siginfo_t as the kernel has it");
	if (ret < 0)
		return ret;
	all = arena_array(a, *nr + more, sizeof *all);
	if (*nr)
		memcpy(all, *queue, *nr * sizeof *all);
	if (more)
		memcpy(all + *nr, infos, more * sizeof *all);
	free(infos);
	*queue = all;
	*nr += more;
	return 0;
}

/*
 * A real-time signal that kill(2) sent when the queue was full (RLIMIT_SIGPENDING) is pending, but
 * not queued. The kernel makes up what is said of it when it is taken: collect_signal() in
 * kernel/signal.c.
 */
static void unqueued_append(
	struct arena *a, uint64_t pending, struct snap_siginfo **queue, size_t *nr)
{
	struct snap_siginfo *all;
	int signo;

	for (size_t i = 0; i < *nr; i++)
		if ((signo = siginfo_signo(&(*queue)[i])) >= 1 && signo <= SNAP_NSIG)
			pending &= ~signal_bit(signo);
	pending &= UINT64_MAX << (KERNEL_SIGRTMIN - 1);
	if (!pending)
		return;
	all = arena_array(a, *nr + SNAP_NSIG, sizeof *all);
	if (*nr)
		memcpy(all, *queue, *nr * sizeof *all);
	*queue = all;
	for (signo = KERNEL_SIGRTMIN; signo <= SNAP_NSIG; signo++)
		if (pending & signal_bit(signo))
			memcpy(all[(*nr)++].raw, &signo, sizeof signo);
}

void signals_collect_unqueued(
	struct dumping_proc *p, const struct proc_status *status, struct snap_task *task)
{
	unqueued_append(p->d->snap->arena, status->sig_pending, &task->pending, &task->nr_pending);
}

int signals_collect_private(struct dumping_proc *p, const struct tracee_thread *th,
	struct snap_task *task, struct err *err)
{
	struct arena *a = p->d->snap->arena;

	task->nr_pending = 0;
	if (th->held_signal) {
		task->pending = arena_copy(a, &th->held_info, sizeof th->held_info);
		task->nr_pending = 1;
	}
	return pending_append(a, th->tid, false, &task->pending, &task->nr_pending, err);
}

int signals_collect_shared(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	struct arena *a = p->d->snap->arena;
	int ret;

	proc->nr_pending = 0;
	ret = pending_append(a, p->th->tid, true, &proc->pending, &proc->nr_pending, err);
	if (!ret)
		unqueued_append(a, p->status.shd_pending, &proc->pending, &proc->nr_pending);
	return ret;
}

int signals_collect(struct dumping_proc *p, struct err *err)
{
	int ret = signals_collect_shared(p, err);

	return ret < 0 ? ret : actions_collect(p, err);
}

static void note_signal(const struct snap_proc *proc, int signo, struct restart_signal *next)
{
	const struct snap_sigaction *action = &proc->actions[signo - 1];

	if (next->handled || action->handler == (uint64_t)(uintptr_t)SIG_DFL ||
		action->handler == (uint64_t)(uintptr_t)SIG_IGN)
		return;
	next->handled = true;
	next->sa_restart = action->flags & SA_RESTART;
}

struct restart_signal signals_next(
	const struct snap_proc *proc, const struct snap_task *task, uint64_t *shared_taken)
{
	struct restart_signal next = { false, false };

	for (size_t i = 0; i < task->nr_pending; i++) {
		int signo = siginfo_signo(&task->pending[i]);

		if (signo >= 1 && signo <= SNAP_NSIG && !(task->sigmask & signal_bit(signo)))
			note_signal(proc, signo, &next);
	}
	for (size_t i = 0; i < proc->nr_pending; i++) {
		int signo = siginfo_signo(&proc->pending[i]);

		if (signo < 1 || signo > SNAP_NSIG ||
			(task->sigmask | *shared_taken) & signal_bit(signo))
			continue;
		*shared_taken |= signal_bit(signo);
		note_signal(proc, signo, &next);
	}
	return next;
}
