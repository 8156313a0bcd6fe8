/* The blob goes out, and the threads go on; see handover.h. */
#include "restore/handover.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"
#include "restore/job.h"
#include "restore/left.h"
#include "restore/limits.h"
#include "restore/modes.h"
#include "restore/process.h"
#include "restore/signals.h"
#include "restore/stops.h"
#include "tracee/kernel_abi.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

static void task_regs(const struct snap_regs *from, struct user_regs_struct *to)
{
	*to = (struct user_regs_struct){
		.r15 = from->r15,
		.r14 = from->r14,
		.r13 = from->r13,
		.r12 = from->r12,
		.rbp = from->rbp,
		.rbx = from->rbx,
		.r11 = from->r11,
		.r10 = from->r10,
		.r9 = from->r9,
		.r8 = from->r8,
		.rax = from->rax,
		.rcx = from->rcx,
		.rdx = from->rdx,
		.rsi = from->rsi,
		.rdi = from->rdi,
		.orig_rax = (unsigned long long)-1,
		.rip = from->rip,
		.cs = from->cs,
		.eflags = from->eflags,
		.rsp = from->rsp,
		.ss = from->ss,
		.fs_base = from->fs_base,
		.gs_base = from->gs_base,
		.ds = from->ds,
		.es = from->es,
		.fs = from->fs,
		.gs = from->gs,
	};
}

static int tls_finish(const struct snap_task *task, pid_t tid, struct err *err)
{
	for (size_t i = 0; i < SNAP_NR_TLS; i++) {
		const struct snap_tls *tls = &task->tls[i];

		if (tls->entry &&
			thread_set_tls(tid, tls->entry,
				&(struct thread_tls){ tls->base_addr, tls->limit, tls->flags },
				err) < 0)
			return -err->code;
	}
	return 0;
}

/*
 * As a signal interrupts a call in the kernel: on its way out of the stop it makes the call again,
 * or the handler of a signal that has come by then ends it. From the instruction on, such a handler
 * would run before the call, and pause(2) wait for another signal.
 */
static void regs_interrupt(const struct snap_task *task, struct user_regs_struct *regs)
{
	if (!task->restart)
		return;
	regs->orig_rax = regs->rax;
	regs->rax = -(uint64_t)task->restart;
	regs->rip += SYSCALL_INSN_LEN;
}

static int regs_finish(const struct job *job, const struct snap_task *task, pid_t tid,
	struct user_regs_struct *regs, struct err *err)
{
	if (task->wait_left)
		return left_go_on(job, task, tid, regs, err);
	regs_interrupt(task, regs);
	return 0;
}

static int task_finish(const struct job *job, size_t i, struct err *err)
{
	const struct snap_task *task = &job->proc->tasks[i];
	pid_t tid = job->plan.threads[i].tid;
	struct user_regs_struct regs;

	task_regs(&task->regs, &regs);
	/* Before the registers: a selector of an entry that is not there is no selector. */
	if (tls_finish(task, tid, err) < 0 ||
		thread_set_xstate(tid, task->xstate, task->nr_xstate, err) < 0 ||
		regs_finish(job, task, tid, &regs, err) < 0 ||
		thread_set_sigmask(tid, task->sigmask, err) < 0 ||
		thread_set_regs(tid, &regs, err) < 0 || modes_finish(task, tid, err) < 0)
		return err_wrap(err, "thread %d", task->tid);
	return 0;
}

/*
 * It ends in the stop at the exit of the system call: the thread never returns to the page. What
 * the larger plan of the process it is a copy of took goes, too.
 */
static int blob_remove(struct job *job, struct err *err)
{
	struct remote call = { SYS_munmap, { job->plan.base, PLAN_ROOM } };

	return stops_blob_syscall(job, &call, "unmap the restorer", NULL, err);
}

/* Forced SIGTRAPs (int3) would have reset it, so an ignored one is set when the blob has parked for
 * good. */
static int sigtrap_ignore(struct job *job, struct err *err)
{
	struct remote call = { SYS_rt_sigaction,
		{ SIGTRAP, job->sigtrap_at, 0, sizeof(uint64_t) } };

	return job->sigtrap_at ? stops_blob_syscall(job, &call, "ignore SIGTRAP", NULL, err) : 0;
}

enum { EXIT_LOOKS = 100000 }; /* of 50 us */

/* A leader that had ended ends again, and the next thread sees to the blob: no status is reported
 * for a leader while others live (wait(2) in kernel/exit.c, delay_group_leader). */
static int leader_exit(struct job *job, struct err *err)
{
	struct job next = *job;
	struct remote call = { SYS_exit, { 0 } };
	OWNED_FD procfd = -1;
	struct proc_stat stat = { 0 };

	/* Without EXITKILL: our own end would be that of all its threads, as long as it is ours. */
	if (ptrace(PTRACE_SETOPTIONS, job->pid, 0, 0) < 0)
		return err_sys(err, "ptrace options of thread %d", job->pid);
	if (stops_begin(job->pid, job->plan.base + BLOB_SYSCALL_INSN, &call, err) < 0 ||
		stops_continue(job->pid, err) < 0 || proc_open(job->pid, &procfd, err) < 0)
		return -err->code;
	for (int i = 0; i < EXIT_LOOKS && stat.state != 'Z'; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 }, NULL);
		if (proc_stat(procfd, "stat", &stat, err) < 0)
			return -err->code;
	}
	next.pid = job->plan.threads[1].tid;
	return blob_remove(&next, err);
}

int handover_last(struct job *job, struct err *err)
{
	/* Ignoring a signal drops what is queued of it (sigaction(2)), so that comes first. */
	if (sigtrap_ignore(job, err) < 0 || signals_queue_late(job, err) < 0 ||
		limits_finish(job, err) < 0 || process_finish(job, err) < 0)
		return -err->code;
	if (job->proc->tasks[0].exited ? leader_exit(job, err) < 0 : blob_remove(job, err) < 0)
		return -err->code;
	for (size_t i = job->proc->tasks[0].exited; i < job->proc->nr_tasks; i++)
		if (task_finish(job, i, err) < 0)
			return -err->code;
	return 0;
}

/*
 * With all but SIGCONT blocked, the SIGSTOP comes first; at its delivery, the thread stops with its
 * process. What the SIGCONT does to the process has been done in the stop at its own delivery,
 * where it is dropped at the end (ptrace(2)).
 */
int handover_continued(struct job *job, struct err *err)
{
	size_t i = job->proc->tasks[0].exited;
	pid_t tid = job->plan.threads[i].tid;

	if (thread_set_sigmask(tid, ~(1ull << (SIGCONT - 1)), err) < 0)
		return -err->code;
	if (kill(tid, SIGSTOP) < 0)
		return err_sys(err, "stop the new process");
	if (stops_continue(tid, err) < 0 || stops_wait(job, tid, SIGSTOP, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_CONT, tid, 0, SIGSTOP) < 0)
		return err_sys(err, "stop thread %d", tid);
	if (stops_wait(job, tid, SIGSTOP, err) < 0)
		return -err->code;
	if (kill(tid, SIGCONT) < 0)
		return err_sys(err, "continue the new process");
	if (stops_continue(tid, err) < 0 || stops_wait(job, tid, SIGCONT, err) < 0)
		return -err->code;
	return thread_set_sigmask(tid, UINT64_MAX, err);
}

/*
 * It stops before it can take any other signal that is pending: with all of them blocked, the
 * SIGSTOP comes first, and in the stop at its delivery the leader gets its mask and is left with
 * the signal that stopped it. Other threads stop when they are detached.
 */
static int release_stopped(struct job *job, struct err *err)
{
	size_t i = job->proc->tasks[0].exited;
	pid_t leader = job->plan.threads[i].tid; /* or who is the first, when that has ended */

	if (thread_set_sigmask(leader, UINT64_MAX, err) < 0)
		return -err->code;
	if (kill(job->pid, SIGSTOP) < 0)
		return err_sys(err, "stop the new process");
	if (stops_continue(leader, err) < 0 || stops_wait(job, leader, SIGSTOP, err) < 0 ||
		thread_set_sigmask(leader, job->proc->tasks[i].sigmask, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_DETACH, leader, 0, job->stop_signal) < 0)
		return err_sys(err, "detach from thread %d", leader);
	return 0;
}

int handover_release(struct job *job, struct err *err)
{
	if (job->proc->stop == PROC_STOPPED && release_stopped(job, err) < 0)
		return -err->code;
	if (signals_queue_last(job, err) < 0)
		return -err->code;
	for (size_t i = job->proc->nr_tasks; i-- > 0;)
		/* ESRCH: those that are released already have ended the program. */
		if (ptrace(PTRACE_DETACH, job->plan.threads[i].tid, 0, 0) < 0 && errno != ESRCH)
			return err_sys(err, "detach from thread %d", job->plan.threads[i].tid);
	return 0;
}
