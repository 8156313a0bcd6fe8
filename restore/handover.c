/* The blob goes in, does its plan, and goes out again; see handover.h. */
#include "restore/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/fill.h"
#include "restore/job.h"
#include "restore/mems.h"
#include "restore/mm.h"
#include "restore/modes.h"
#include "restore/seccomp.h"
#include "restore/tasks.h"
#include "restore/timers.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

/* PTRACE_O_TRACESYSGOOD marks stops of system calls. */
enum { SYSCALL_STOP = 0x80 };

static int target_write(
	const struct job *job, uint64_t addr, const void *data, size_t len, struct err *err)
{
	struct iovec here = { (void *)(uintptr_t)data, len },
		     there = { (void *)(uintptr_t)addr, len };

	if (process_vm_writev(job->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return err_sys(err, "write to the new process");
	return 0;
}

static int target_read(
	const struct job *job, uint64_t addr, void *data, size_t len, struct err *err)
{
	struct iovec here = { data, len }, there = { (void *)(uintptr_t)addr, len };

	if (process_vm_readv(job->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return err_sys(err, "read from the new process");
	return 0;
}

/* ---- stops
 * ---------------------------------------------------------------------------------------------------
 */

static int ended(const struct job *job, int status, struct err *err)
{
	if (job->child_err.code) {
		*err = job->child_err;
		return -err->code;
	}
	if (WIFSIGNALED(status))
		return err_set(
			err, ECHILD, "the new process was killed by signal %d", WTERMSIG(status));
	return err_set(err, ECHILD, "the new process ended with status %d", WEXITSTATUS(status));
}

/* Only a defect of ours leads here, so what is said is for those who mend it. */
static int unexpected(const struct job *job, pid_t tid, int signal, struct err *err)
{
	struct user_regs_struct regs = { 0 };

	thread_get_regs(tid, &regs, NULL);
	return err_set(err, EPROTO,
		"thread %d of the new process got signal %d at %llx, sp %llx, "
		"restorer at %" PRIx64,
		tid, signal, regs.rip, regs.rsp, job->plan.base);
}

static int wait_stop(const struct job *job, pid_t tid, int signal, struct err *err)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the new process");
	if (!WIFSTOPPED(status))
		return ended(job, status, err);
	if (WSTOPSIG(status) != signal || status >> 16)
		return unexpected(job, tid, WSTOPSIG(status), err);
	return 0;
}

/* ---- remote system calls at a known instruction
 * ----------------------------------------------------------------- */

static int remote_syscall(const struct job *job, struct user_regs_struct regs, uint64_t insn,
	long nr, const uint64_t args[6], int64_t *ret, struct err *err)
{
	regs.rip = insn;
	regs.rax = (uint64_t)nr;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	if (thread_set_regs(job->pid, &regs, err) < 0)
		return -err->code;
	/* Stops at entry and exit, which unlike a single step cost an ignored SIGTRAP nothing. */
	for (int stop = 0; stop < 2; stop++) {
		if (ptrace(PTRACE_SYSCALL, job->pid, 0, 0) < 0)
			return err_sys(err, "continue the new process");
		if (wait_stop(job, job->pid, SIGTRAP | SYSCALL_STOP, err) < 0)
			return -err->code;
	}
	if (thread_get_regs(job->pid, &regs, err) < 0)
		return -err->code;
	*ret = (int64_t)regs.rax;
	return 0;
}

/* ---- in
 * ------------------------------------------------------------------------------------------------------------
 */

/* How much the new process has to do by itself: what strace(1) of snapctl does not see. */
static void plan_log(const struct job *job)
{
	size_t steps = 0;

	for (size_t i = 0; log_enabled(LOG_DEBUG) && i < job->plan.nr_threads; i++)
		steps += plan_nr_steps(&job->plan, i);
	log_debug("restorer: %zu steps in %zu threads", steps, job->plan.nr_threads);
}

static int plan_build(struct job *job, struct mm_fresh *fresh, size_t *uffd_step, struct err *err)
{
	OWNED_FD procfd = -1;
	uint64_t base;

	if (proc_open(job->pid, &procfd, err) < 0 ||
		proc_maps(procfd, job->snap->arena, &fresh->vmas, &fresh->nr, err) < 0)
		return -err->code;
	base = mm_hole(job, fresh, PLAN_ROOM, 0);
	if (!base)
		return err_set(err, ENOMEM, "the address space has no hole for the restorer");
	plan_init(&job->plan, base, job->proc->nr_tasks);
	if (mm_plan_map(job, fresh, err) < 0)
		return -err->code;
	*uffd_step = SIZE_MAX;
	if (fill_wants_uffd(job)) {
		*uffd_step = plan_nr_steps(&job->plan, 0);
		plan_syscall(&job->plan, 0, SYS_userfaultfd,
			(struct plan_args){ { 1 /* UFFD_USER_MODE_ONLY */ } })
			->tolerate = BLOB_ANY_ERRNO;
	}
	plan_step(&job->plan, 0, BLOB_PARK);
	if (tasks_plan(job, err) < 0)
		return -err->code;
	plan_log(job);
	return 0;
}

/*
 * The first code page of whatever the exec mapped gets a syscall instruction; the page is a private
 * copy and about to go.
 */
static int blob_map(struct job *job, struct user_regs_struct *regs, struct err *err)
{
	const uint64_t insn = 0xcc050f; /* syscall; int3 */
	uint64_t args[6] = { job->plan.base, plan_size(&job->plan),
		PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 };
	int64_t ret;

	if (thread_get_regs(job->pid, regs, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_POKETEXT, job->pid, regs->rip, insn) < 0)
		return err_sys(err, "write into the new process");
	if (remote_syscall(job, *regs, regs->rip, SYS_mmap, args, &ret, err) < 0)
		return err_wrap(err, "map the restorer");
	if (ret != (int64_t)job->plan.base)
		return err_ret(err, ret < 0 ? ret : -EEXIST, "map the restorer at %" PRIx64,
			job->plan.base);
	return 0;
}

static int blob_insert(struct job *job, struct err *err)
{
	struct user_regs_struct regs;
	struct buf bytes = BUF_EMPTY;
	int ret;

	plan_layout(&job->plan, &bytes);
	ret = blob_map(job, &regs, err);
	if (!ret)
		ret = target_write(job, job->plan.base, bytes.data, bytes.len, err);
	buf_finish(&bytes);
	if (ret)
		return ret;
	regs.rip = job->plan.base;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = job->plan.base + plan_code_size();
	regs.rsi = 0;
	regs.rsp = regs.rdi + job->plan.threads[0].stack_top;
	return thread_set_regs(job->pid, &regs, err);
}

/* ---- through
 * ----------------------------------------------------------------------------------------------------------
 */

/* What a failed step was about, for a person. */
static int step_failed(struct job *job, size_t thread, const struct blob_thread *t, struct err *err)
{
	const struct blob_step *step = plan_step_at(&job->plan, thread, t->failed_step - 1);
	int32_t tid = job->proc->tasks[thread].tid;

	if (step->op == BLOB_SPAWN) {
		err_ret(err, -t->failed_errno, "make thread %d",
			job->proc->tasks[step->args[0]].tid);
		if (t->failed_errno == EEXIST)
			err_hint(err, "its id is in use: --pids=ns or --pids=new gets round that");
		return -err->code;
	}
	return err_ret(err, -t->failed_errno,
		"thread %d: %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", tid,
		syscall_name(step->nr), step->args[0], step->args[1], step->args[2], step->args[3]);
}

static int blob_check(struct job *job, struct err *err)
{
	size_t nr = job->proc->nr_tasks;

	if (target_read(job, plan_threads_addr(&job->plan), job->plan.threads,
		    nr * sizeof *job->plan.threads, err) < 0)
		return -err->code;
	for (size_t i = 0; i < nr; i++)
		if (job->plan.threads[i].failed_step)
			return step_failed(job, i, &job->plan.threads[i], err);
	return 0;
}

static int thread_continue(pid_t tid, struct err *err)
{
	return ptrace(PTRACE_CONT, tid, 0, 0) < 0 ? err_sys(err, "continue thread %d", tid) : 0;
}

static int uffd_fetch(struct job *job, size_t step, int *uffd, struct err *err)
{
	int64_t num;

	*uffd = -1;
	if (step == SIZE_MAX)
		return 0;
	if (target_read(job,
		    plan_step_addr(&job->plan, 0, step) + offsetof(struct blob_step, result), &num,
		    sizeof num, err) < 0)
		return -err->code;
	if (num < 0) {
		log_debug("userfaultfd: %s; filling through /proc/PID/mem", strerror((int)-num));
		return 0;
	}
	*uffd = (int)syscall(SYS_pidfd_getfd, job->pidfd, (int)num, 0);
	return *uffd < 0 ? err_sys(err, "userfaultfd of the new process") : 0;
}

static int first_part(struct job *job, size_t uffd_step, struct err *err)
{
	OWNED_FD uffd = -1;

	if (thread_continue(job->pid, err) < 0 || wait_stop(job, job->pid, SIGTRAP, err) < 0 ||
		blob_check(job, err) < 0 || uffd_fetch(job, uffd_step, &uffd, err) < 0)
		return -err->code;
	if (fill_run(job, uffd, err) < 0)
		return -err->code;
	return mems_seal(job, err);
}

/* One stop of any thread: new threads go on, a parked one is counted. */
static int second_part_event(
	struct job *job, pid_t tid, int status, size_t *parked, struct err *err)
{
	if (!WIFSTOPPED(status))
		return ended(job, status, err);
	if (status >> 16 || WSTOPSIG(status) == SIGSTOP)
		return thread_continue(tid, err);
	if (WSTOPSIG(status) != SIGTRAP)
		return unexpected(job, tid, WSTOPSIG(status), err);
	(*parked)++;
	return 0;
}

static int second_part(struct job *job, struct err *err)
{
	size_t parked = 0;

	if (thread_continue(job->pid, err) < 0)
		return -err->code;
	while (parked < job->proc->nr_tasks) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return err_sys(err, "wait for the new process");
		if (second_part_event(job, tid, status, &parked, err) < 0)
			return -err->code;
		/* A leader that failed early has not made all threads. */
		if (tid == job->pid && parked < job->proc->nr_tasks && blob_check(job, err) < 0)
			return -err->code;
	}
	return blob_check(job, err);
}

/* ---- out
 * ------------------------------------------------------------------------------------------------------------------
 */

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

static int task_finish(const struct job *job, size_t i, struct err *err)
{
	const struct snap_task *task = &job->proc->tasks[i];
	pid_t tid = job->plan.threads[i].tid;
	struct user_regs_struct regs;

	task_regs(&task->regs, &regs);
	if (thread_set_xstate(tid, task->xstate, task->nr_xstate, err) < 0 ||
		thread_set_sigmask(tid, task->sigmask, err) < 0 ||
		thread_set_regs(tid, &regs, err) < 0 || modes_finish(task, tid, err) < 0)
		return err_wrap(err, "thread %d", task->tid);
	return 0;
}

/* It ends in the stop at the exit of the system call: the thread never returns to the page. */
static int blob_remove(struct job *job, struct err *err)
{
	uint64_t args[6] = { job->plan.base, plan_size(&job->plan) };
	struct user_regs_struct regs;
	int64_t ret;

	if (thread_get_regs(job->pid, &regs, err) < 0 ||
		remote_syscall(job, regs, job->plan.base + BLOB_SYSCALL_INSN, SYS_munmap, args,
			&ret, err) < 0)
		return err_wrap(err, "unmap the restorer");
	return ret < 0 ? err_ret(err, ret, "unmap the restorer") : 0;
}

/* Forced SIGTRAPs (int3) would have reset it, so an ignored one is set when the blob has parked for
 * good. */
static int sigtrap_ignore(struct job *job, struct err *err)
{
	uint64_t args[6] = { SIGTRAP, job->sigtrap_at, 0, sizeof(uint64_t) };
	struct user_regs_struct regs;
	int64_t ret;

	if (!job->sigtrap_at)
		return 0;
	if (thread_get_regs(job->pid, &regs, err) < 0 ||
		remote_syscall(job, regs, job->plan.base + BLOB_SYSCALL_INSN, SYS_rt_sigaction,
			args, &ret, err) < 0)
		return err_wrap(err, "ignore SIGTRAP");
	return ret < 0 ? err_ret(err, ret, "ignore SIGTRAP") : 0;
}

static int release(struct job *job, struct err *err)
{
	if (job->proc->stop == PROC_STOPPED && kill(job->pid, SIGSTOP) < 0)
		return err_sys(err, "stop the new process");
	for (size_t i = job->proc->nr_tasks; i-- > 0;)
		/* ESRCH: those that are released already have ended the program. */
		if (ptrace(PTRACE_DETACH, job->plan.threads[i].tid, 0, 0) < 0 && errno != ESRCH)
			return err_sys(err, "detach from thread %d", job->plan.threads[i].tid);
	return 0;
}

static int last_part(struct job *job, struct err *err)
{
	if (timers_check(job, err) < 0 || sigtrap_ignore(job, err) < 0 || blob_remove(job, err) < 0)
		return -err->code;
	for (size_t i = 0; i < job->proc->nr_tasks; i++)
		if (task_finish(job, i, err) < 0)
			return -err->code;
	return release(job, err);
}

static int handover(struct job *job, struct err *err)
{
	const uintptr_t options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD |
				  seccomp_ptrace_options(job->snap);
	struct mm_fresh fresh;
	size_t uffd_step = SIZE_MAX;

	if (wait_stop(job, job->pid, SIGTRAP, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_SETOPTIONS, job->pid, 0, options) < 0)
		return err_sys(err, "ptrace options of the new process");
	if (plan_build(job, &fresh, &uffd_step, err) < 0 || blob_insert(job, err) < 0 ||
		first_part(job, uffd_step, err) < 0 || second_part(job, err) < 0)
		return -err->code;
	return last_part(job, err);
}

/* The leader of a traced process can be reaped only when its traced threads have been. */
static void target_kill(const struct job *job)
{
	pid_t tid;

	kill(job->pid, SIGKILL);
	do
		tid = waitpid(-1, NULL, __WALL);
	while ((tid > 0 && tid != job->pid) || (tid < 0 && errno == EINTR));
}

int handover_run(struct job *job, struct err *err)
{
	int ret = handover(job, err);

	if (ret < 0)
		target_kill(job);
	return ret;
}
