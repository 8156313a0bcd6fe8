/* The threads of a process: registers and everything else the kernel keeps per thread. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "dump/task_ask.h"
#include "dump/dumping.h"
#include "dump/left.h"
#include "dump/modes.h"
#include "dump/restart.h"
#include "tracee/kernel_abi.h"
#include "dump/seccomp.h"
#include "dump/signals.h"

/* All of x86's state components together, AMX tiles being the largest, are under 12 KiB. */
enum { XSTATE_ROOM = 64 * 1024 };

static void regs_to_snap(const struct user_regs_struct *from, struct snap_regs *to)
{
	_Static_assert(sizeof *from == sizeof *to, "struct user_regs_struct");
	memcpy(to, from, sizeof *to);
}

static int xstate_collect(struct arena *a, pid_t tid, struct snap_task *task, struct err *err)
{
	uint8_t room[XSTATE_ROOM];
	size_t len = sizeof room;
	int ret = thread_get_xstate(tid, room, &len, err);

	if (ret < 0)
		return ret;
	task->xstate = arena_copy(a, room, len);
	task->nr_xstate = len;
	return 0;
}

static int pointers_collect(struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	struct thread_rseq rseq;
	int ret = thread_get_rseq(th->tid, &rseq, err);

	if (ret < 0)
		return ret;
	task->rseq = (struct snap_rseq){ rseq.addr, rseq.len, rseq.sig, rseq.flags };
	return thread_get_robust_list(th->tid, &task->robust_list, &task->robust_len, err);
}

/* comm may hold any bytes, a newline too; the file ends with one more. */
static int comm_collect(struct dumping_proc *p, pid_t tid, struct snap_task *task, struct err *err)
{
	struct arena *a = arena_create();
	char name[48], *text;
	size_t len;
	int ret;

	snprintf(name, sizeof name, "task/%d/comm", tid);
	ret = proc_text(p->t->procfd, name, a, &text, &len, err);
	if (!ret) {
		len -= len > 0;
		memcpy(task->comm, text, len < sizeof task->comm ? len : sizeof task->comm - 1);
	}
	arena_destroy(a);
	return ret;
}

static int status_collect(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	struct arena *a = arena_create();
	struct proc_status status;
	char name[48];
	int ret;

	snprintf(name, sizeof name, "task/%d/status", th->tid);
	ret = proc_status(p->t->procfd, name, a, &status, err);
	if (!ret) {
		task->tid = status.nspid;
		creds_collect(p, &status, &task->creds);
		signals_collect_unqueued(p, &status, task);
	}
	if (!ret)
		ret = seccomp_collect(p, th->tid, &status, task, err);
	arena_destroy(a);
	return ret;
}

/* Which call restart_syscall(2) stands for; the number in regs becomes that of the original. */
static int resolve_restart_syscall(struct tracee *t, struct snap_regs *regs, struct err *err)
{
	uint8_t code[RESTART_CODE_LEN];
	int64_t nr;
	int ret;

	if (regs->orig_rax != SYS_restart_syscall || restart_waiting_in(regs) < 0)
		return 0;
	ret = tracee_read(t, regs->rip - SYSCALL_INSN_LEN - sizeof code, code, sizeof code, err);
	if (ret < 0)
		return err_wrap(err, "code before the system call");
	nr = restart_call_before(code, sizeof code);
	if (nr < 0)
		nr = restart_call_by_args(t, regs);
	if (nr >= 0)
		regs->orig_rax = (uint64_t)nr;
	return 0;
}

/*
 * Some calls (epoll_wait, sigtimedwait, sockets with a timeout) end with EINTR for our stop instead
 * of being restarted by the kernel. If the target is to run on, it must not see that either.
 */
static int eintr_take_back(struct tracee_thread *th, const struct user_regs_struct *live,
	const struct snap_regs *rewound, struct err *err)
{
	struct user_regs_struct regs = *live;

	if ((int64_t)live->rax != -EINTR || rewound->rip == live->rip)
		return 0;
	regs.rip = rewound->rip;
	regs.rax = rewound->rax;
	regs.r10 = rewound->r10;
	regs.orig_rax = (uint64_t)-1;
	return thread_set_regs(th->tid, &regs, err);
}

/* What the thread waits in, and registers to go on with. */
static int regs_collect(struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task,
	uint64_t *shared_taken, struct err *err)
{
	struct user_regs_struct live, settled;
	struct restart_signal next;
	uint64_t left;
	int ret = thread_get_regs(th->tid, &live, err);

	if (ret < 0)
		return ret;
	settled = live;
	syscall_settle_ia32(p->t, &settled);
	regs_to_snap(&settled, &task->regs);
	ret = resolve_restart_syscall(p->t, &task->regs, err);
	if (ret < 0)
		return ret;
	left = restart_waiting_in(&task->regs) < 0 ? 0 : left_of(p, th->tid, &task->regs);
	next = signals_next(dumping_snap_proc(p), task, shared_taken);
	task->waiting_nr = restart_waiting_in(&task->regs);
	task->waiting_in = arena_strdup(p->d->snap->arena,
		task->waiting_nr < 0 ? "computing" : syscall_name(task->waiting_nr));
	task->restart = restart_apply(&task->regs, &next);
	/* What its other mask lets in or keeps out, only the call itself knows. */
	if (syscall_swaps_mask(p->t, &live))
		task->restart = 0;
	if (task->regs.rip != live.rip)
		left_keep(task, left);
	return eintr_take_back(th, &live, &task->regs, err);
}

static int task_collect(struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task,
	uint64_t *shared_taken, struct err *err)
{
	int ret = thread_get_sigmask(th->tid, &task->sigmask, err);

	if (!ret)
		ret = signals_collect_private(p, th, task, err);
	if (!ret)
		ret = regs_collect(p, th, task, shared_taken, err);
	if (!ret)
		ret = xstate_collect(p->d->snap->arena, th->tid, task, err);
	if (!ret)
		ret = comm_collect(p, th->tid, task, err);
	if (!ret)
		ret = sched_collect(p, th->tid, &task->sched, err);
	if (!ret)
		ret = pointers_collect(th, task, err);
	if (!ret)
		ret = task_ask(p, th, task, err);
	if (!ret)
		ret = modes_collect(p, th, task, err);
	if (!ret)
		ret = status_collect(p, th, task, err);
	return ret < 0 ? err_wrap(err, "thread %d", th->tid) : 0;
}

/* It is made again as one of its threads, and ends again before it runs anything of its own. */
static void ended_leader(
	struct dumping_proc *p, struct snap_task *leader, const struct snap_task *thread)
{
	*leader = *thread;
	leader->exited = true;
	leader->tid = p->status.nspid;
	memset(leader->comm, 0, sizeof leader->comm);
	memcpy(leader->comm, p->stat.comm, strnlen(p->stat.comm, sizeof leader->comm - 1));
	leader->pending = NULL;
	leader->nr_pending = 0;
	leader->altstack_sp = leader->altstack_size = 0;
	leader->altstack_flags = SS_DISABLE;
	leader->rseq = (struct snap_rseq){ 0 };
	leader->robust_list = leader->robust_len = leader->clear_tid = 0;
	leader->pdeath_signal = 0;
	leader->waiting_nr = -1;
	leader->waiting_in = arena_strdup(p->d->snap->arena, "ended");
}

static int task_collect_pending(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	struct proc_status status;
	char name[48];
	int ret;

	snprintf(name, sizeof name, "task/%d/status", th->tid);
	ret = proc_status(p->t->procfd, name, p->d->snap->arena, &status, err);
	if (!ret)
		ret = signals_collect_private(p, th, task, err);
	if (!ret)
		signals_collect_unqueued(p, &status, task);
	return ret < 0 ? err_wrap(err, "thread %d", th->tid) : 0;
}

int tasks_collect_pending(
	struct dumping_proc *p, bool (*wanted)(const struct snap_proc *, int32_t), struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	size_t at = p->t->threads[0].state == TRACEE_EXITED;
	int ret = 0;

	for (size_t i = 0; !ret && i < p->t->nr_threads; i++) {
		struct tracee_thread *th = &p->t->threads[i];

		if (th->state == TRACEE_EXITED)
			continue;
		if (wanted(proc, proc->tasks[at].tid))
			ret = task_collect_pending(p, th, &proc->tasks[at], err);
		at++;
	}
	return ret;
}

int tasks_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	uint64_t shared_taken = 0;

	proc->tasks = arena_array(p->d->snap->arena, p->t->nr_threads, sizeof *proc->tasks);
	proc->nr_tasks = p->t->threads[0].state == TRACEE_EXITED;
	for (size_t i = 0; i < p->t->nr_threads; i++) {
		struct tracee_thread *th = &p->t->threads[i];
		int ret;

		if (th->state == TRACEE_EXITED)
			continue;
		ret = task_collect(p, th, &proc->tasks[proc->nr_tasks], &shared_taken, err);
		if (ret < 0)
			return ret;
		proc->nr_tasks++;
	}
	if (p->t->threads[0].state == TRACEE_EXITED)
		ended_leader(p, &proc->tasks[0], &proc->tasks[1]);
	return 0;
}
