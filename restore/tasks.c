/* Threads: what each does for itself before it gets its registers; see tasks.h. */
#include "restore/tasks.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore/creds.h"
#include "restore/fds.h"
#include "restore/ipc.h"
#include "restore/job.h"
#include "restore/limits.h"
#include "restore/mm.h"
#include "restore/mm_shared.h"
#include "restore/modes.h"
#include "restore/process.h"
#include "restore/sched.h"
#include "restore/seccomp.h"
#include "restore/signals.h"
#include "restore/timers.h"
#include "restore/unshared.h"

enum { MUSL_TID_OFFSET = 0x30 };

/* Of eflags, NT and ID: arch/x86/kernel/ptrace.c lets nobody set them (FLAG_MASK). */
enum { FLAGS_OWN = 1 << 14 | 1 << 21 };

/* asm/prctl.h since Linux 5.16. */
enum { REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILE_DATA = 18 };

long tasks_index(const struct job *job, int32_t tid)
{
	for (size_t i = 0; i < job->proc->nr_tasks; i++)
		if (job->proc->tasks[i].tid == tid)
			return (long)i;
	return -1;
}

int32_t tasks_tid_now(const struct job *job, int32_t recorded)
{
	if (job->pids != PIDS_NEW)
		return recorded;
	return recorded == job->proc->tasks[0].tid ? job->pid : 0;
}

/*
 * A libc keeps the tid of a thread in its descriptor. For glibc that word is the one that
 * set_tid_address(2) names; musl has it at a fixed place behind the thread pointer.
 */
static void plan_cached_tid(struct job *job, size_t i)
{
	const struct snap_task *task = &job->proc->tasks[i];
	uint64_t words[2] = { task->clear_tid, task->regs.fs_base + MUSL_TID_OFFSET };

	if (job->pids != PIDS_NEW)
		return;
	for (int w = 0; w < 2; w++) {
		struct blob_step *step;

		if (!(w ? task->regs.fs_base : task->clear_tid))
			continue;
		step = plan_step(&job->plan, i, BLOB_STORE_TID);
		step->args[0] = words[w];
		step->args[1] = (uint64_t)task->tid;
	}
}

static void plan_task_memory(struct job *job, size_t i)
{
	const struct snap_task *task = &job->proc->tasks[i];
	struct plan *p = &job->plan;

	if (i == 0 && task->clear_tid)
		plan_syscall(p, i, SYS_set_tid_address, (struct plan_args){ { task->clear_tid } });
	if (task->robust_list)
		plan_syscall(p, i, SYS_set_robust_list,
			(struct plan_args){ { task->robust_list, task->robust_len } });
	if (task->rseq.addr)
		plan_syscall(p, i, SYS_rseq,
			(struct plan_args){ { task->rseq.addr, task->rseq.len, task->rseq.flags,
				task->rseq.sig } });
	plan_cached_tid(job, i);
}

static void plan_altstack(struct job *job, size_t i)
{
	const struct snap_task *task = &job->proc->tasks[i];
	stack_t stack = {
		.ss_sp = (void *)(uintptr_t)task->altstack_sp,
		.ss_flags = (int)(task->altstack_flags & ~(uint32_t)SS_ONSTACK),
		.ss_size = task->altstack_size,
	};

	if (!task->altstack_size || task->altstack_flags & SS_DISABLE)
		return;
	plan_syscall(&job->plan, i, SYS_sigaltstack,
		(struct plan_args){ { plan_data(&job->plan, &stack, sizeof stack) } });
}

static void plan_name(struct job *job, size_t i)
{
	const char *comm = job->proc->tasks[i].comm;

	if (i > 0 && !strcmp(comm, job->proc->tasks[0].comm))
		return;
	plan_syscall(&job->plan, i, SYS_prctl,
		(struct plan_args){ { PR_SET_NAME,
			plan_data(&job->plan, comm, sizeof job->proc->tasks[i].comm) } });
}

static void plan_timerslack(struct job *job, size_t i)
{
	uint64_t slack = job->proc->tasks[i].timerslack;

	if (slack && slack != (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0))
		plan_syscall(&job->plan, i, SYS_prctl,
			(struct plan_args){ { PR_SET_TIMERSLACK, slack } });
}

static void plan_flags(struct job *job, size_t i)
{
	uint64_t flags = job->proc->tasks[i].regs.eflags & FLAGS_OWN;

	if (flags)
		plan_step(&job->plan, i, BLOB_FLAGS)->args[0] = flags;
}

static int plan_task(struct job *job, size_t i, struct err *err)
{
	const struct snap_task *task = &job->proc->tasks[i];

	if (i > 0) {
		unshared_plan(job, i);
		plan_name(job, i);
	}
	plan_task_memory(job, i);
	plan_altstack(job, i);
	plan_timerslack(job, i);
	sched_plan(job, i);
	signals_plan_pending(job, i);
	modes_plan(job, i);
	plan_flags(job, i);
	seccomp_plan(job, i);
	if (creds_plan(job, i, err) < 0)
		return -err->code;
	/* After the credentials, whose change clears it; the leader has ours from child.c. */
	if (i == 0 || task->pdeath_signal)
		plan_syscall(&job->plan, i, SYS_prctl,
			(struct plan_args){ { PR_SET_PDEATHSIG, (uint64_t)task->pdeath_signal } });
	return 0;
}

static void plan_threads(struct job *job)
{
	for (size_t i = 0; i < job->proc->nr_tasks; i++) {
		struct blob_thread *t = &job->plan.threads[i];

		t->clear_tid = job->proc->tasks[i].clear_tid;
		t->want_tid = job->pids == PIDS_NEW ? 0 : job->proc->tasks[i].tid;
		t->tid = i ? 0 : job->pid;
	}
	unshared_plan_first(job);
}

/* What the first process got in child.c, and another root, which nobody needs us in; umask(2)
 * before all that may make files. */
static void plan_place(struct job *job)
{
	const struct snap_proc *first = &job->snap->procs[0];
	size_t i = (size_t)(job->proc - first);
	bool chroot = job->proc->root != ID_NONE;

	if (job->proc->shares_fs)
		return;
	if (chroot) {
		plan_syscall(&job->plan, 0, SYS_fchdir,
			(struct plan_args){ { (uint64_t)job->root_fds[i] } });
		plan_syscall(&job->plan, 0, SYS_chroot,
			(struct plan_args){ { plan_data(&job->plan, ".", 2) } });
	}
	if (job->proc->cwd != first->cwd || chroot)
		plan_syscall(&job->plan, 0, SYS_fchdir,
			(struct plan_args){ { (uint64_t)job->cwd_fds[i] } });
	if (job->proc->umask != first->umask)
		plan_syscall(&job->plan, 0, SYS_umask, (struct plan_args){ { job->proc->umask } });
}

/*
 * The ends of helpers and of zombies have told their parents, which have all signals blocked.
 * Ignoring a signal drops it from the queue (do_sigaction in kernel/signal.c).
 */
static void plan_forget_signal(struct job *job, int signal)
{
	struct snap_sigaction ignore = { .handler = 1 /* SIG_IGN */ }, dfl = { 0 };
	uint64_t at[2] = { plan_data(&job->plan, &ignore, sizeof ignore),
		plan_data(&job->plan, &dfl, sizeof dfl) };

	for (int i = 0; signal && i < 2; i++)
		plan_syscall(&job->plan, 0, SYS_rt_sigaction,
			(struct plan_args){ { (uint64_t)signal, at[i], 0, sizeof ignore.mask } });
}

static void plan_forget_children(struct job *job)
{
	const struct snap *snap = job->snap;
	bool single = snap->nr_procs == 1 &&
		      (job->proc->group_inherited || job->proc->pgid == job->proc->pid);

	if (!single || snap->nr_zombies)
		plan_forget_signal(job, SIGCHLD);
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].exit_signal != SIGCHLD &&
			&snap->procs[snap->zombies[i].parent] == job->proc)
			plan_forget_signal(job, snap->zombies[i].exit_signal);
}

int tasks_plan(struct job *job, struct err *err)
{
	plan_place(job);
	plan_forget_children(job);
	if (!job->shares_vm)
		shared_plan_sealed(job);
	/* Descriptors first: closing the userfaultfd makes the filled ranges ordinary memory again.
	 */
	if (!job->proc->shares_files)
		fds_plan(job);
	if (!job->shares_vm && mm_plan_finish(job, err) < 0)
		return -err->code;
	if (!job->proc->shares_sighand)
		signals_plan_actions(job);
	/* Before there are threads: they begin with the leader's name. */
	plan_name(job, 0);
	seccomp_plan_common(job);
	/* Before there are alternate stacks, whose sizes it looks at. */
	if (job->proc->amx)
		plan_syscall(&job->plan, 0, SYS_arch_prctl,
			(struct plan_args){ { REQ_XCOMP_PERM, XFEATURE_XTILE_DATA } });
	plan_threads(job);
	/* Some may raise limits. */
	creds_begin(job);
	if (limits_plan(job, err) < 0)
		return -err->code;
	for (size_t i = 0; i < job->proc->nr_tasks; i++)
		if (plan_task(job, i, err) < 0)
			return -err->code;
	ipc_plan(job);
	if (timers_plan(job, err) < 0)
		return -err->code;
	process_plan(job);
	return 0;
}
