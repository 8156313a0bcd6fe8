/* What a thread may have set for itself and few do; see modes.h. */
#include "restore/modes.h"

#include <asm/prctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "restore/job.h"
#include "tracee/tracee.h"

enum { MCE_KILL_RECORDED = 3 /* added, see snap.h */ };

static void plan_prctl(struct job *job, size_t thread, uint64_t op, uint64_t a, uint64_t b)
{
	plan_syscall(&job->plan, thread, SYS_prctl, (struct plan_args){ { op, a, b } });
}

void modes_plan(struct job *job, size_t thread)
{
	const struct snap_task *task = &job->proc->tasks[thread];
	int mce_kill = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);

	if (task->tsc_mode == PR_TSC_SIGSEGV)
		plan_prctl(job, thread, PR_SET_TSC, PR_TSC_SIGSEGV, 0);
	if (task->cpuid_faults)
		plan_syscall(&job->plan, thread, SYS_arch_prctl,
			(struct plan_args){ { ARCH_SET_CPUID, 0 } });
	if (task->mce_kill && (int)task->mce_kill - MCE_KILL_RECORDED != mce_kill)
		plan_prctl(job, thread, PR_MCE_KILL, PR_MCE_KILL_SET,
			task->mce_kill - MCE_KILL_RECORDED);
	if (task->mempolicy)
		plan_syscall(&job->plan, thread, SYS_set_mempolicy,
			(struct plan_args){ { task->mempolicy,
				plan_data(&job->plan, task->mempolicy_nodes,
					task->nr_mempolicy_nodes),
				task->nr_mempolicy_nodes * 8 + 1 } });
}

int modes_finish(const struct snap_task *task, pid_t tid, struct err *err)
{
	const struct snap_dispatch *dispatch = &task->dispatch;

	if (!dispatch->mode)
		return 0;
	return thread_set_dispatch(tid,
		&(struct thread_dispatch){
			dispatch->mode, dispatch->selector, dispatch->offset, dispatch->len },
		err);
}
