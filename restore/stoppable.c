/* Stops in orphaned process groups; see stoppable.h. */
#include "restore/stoppable.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/birth.h"
#include "restore/job.h"
#include "restore/stops.h"

/* Given by a tracer, a stop signal stops only if its action is the default one and nothing blocks
 * it (signal(7)); and SIGSTOP always does. */
static int signal_possible(const struct snap_proc *proc)
{
	int signal = proc->stop_signal;

	if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU)
		return SIGSTOP;
	if (proc->actions[signal - 1].handler ||
		proc->tasks[proc->tasks[0].exited].sigmask >> (signal - 1) & 1)
		return SIGSTOP;
	return signal;
}

static bool same_session(pid_t a, pid_t b)
{
	return getsid(a) == getsid(b) && getsid(a) >= 0;
}

/* While that parent lives. */
static bool keeps_from_orphaned(pid_t parent, pid_t pid)
{
	return same_session(parent, pid) && getpgid(parent) != getpgid(pid);
}

static int pair_make(struct tree *tree, struct job *job, struct job *parent, struct err *err)
{
	struct remote join = { SYS_setpgid, { 0, (uint64_t)getpgid(job->pid) } };
	struct job elder, younger;
	pid_t pid;

	if (helper_clone(tree, parent, 0, &job->pair[0], &pid, err) < 0)
		return -err->code;
	elder = birth_copy(parent, pid);
	job->pair_pids[0] = pid;
	if (birth_call(&elder, SYS_setpgid, 0, 0, "setpgid", err) < 0 ||
		helper_clone(tree, &elder, 0, &job->pair[1], &pid, err) < 0)
		return -err->code;
	younger = birth_copy(&elder, pid);
	job->pair_pids[1] = pid;
	return stops_blob_syscall(&younger, &join, "setpgid", NULL, err);
}

static int choose(struct tree *tree, struct job *job, struct err *err)
{
	uint32_t above = job->proc->parent;
	struct job *parent = above == ID_NONE ? NULL : tree->jobs[above];

	job->stop_signal = signal_possible(job->proc);
	if (job->stop_signal == SIGSTOP || (parent && keeps_from_orphaned(parent->pid, job->pid)) ||
		(!parent && !job->opts->detach && keeps_from_orphaned(0, job->pid)))
		return 0;
	/* Who has been told of the stop sees no more of its signal. */
	if (!parent || job->proc->stop_told || !same_session(parent->pid, job->pid)) {
		job->stop_signal = SIGSTOP;
		return 0;
	}
	return pair_make(tree, job, parent, err);
}

int stoppable_prepare(struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (tree->snap->procs[i].stop == PROC_STOPPED &&
			choose(tree, tree->jobs[i], err) < 0)
			return -err->code;
	return 0;
}

/* Out of the group first: a group that is orphaned by an end is continued (exit(3)). */
int stoppable_finish(struct job *job, const struct job *parent, struct err *err)
{
	const struct job elder = birth_copy(parent, job->pair_pids[0]),
			 younger = birth_copy(parent, job->pair_pids[1]);
	const struct remote reap_younger = { SYS_wait4, { (uint64_t)job->pair[1], 0, __WALL, 0 } },
			    reap_elder = { SYS_wait4, { (uint64_t)job->pair[0], 0, __WALL, 0 } };
	const uint64_t insn = parent->plan.base + BLOB_SYSCALL_INSN;

	if (!job->pair[0])
		return 0;
	if (birth_call(&younger, SYS_setpgid, 0, 0, "setpgid", err) < 0 ||
		stops_exit(younger.pid, insn, 0, err) < 0 ||
		stops_blob_syscall(&elder, &reap_younger, "wait4", NULL, err) < 0 ||
		stops_exit(elder.pid, insn, 0, err) < 0)
		return -err->code;
	return stops_blob_syscall(parent, &reap_elder, "wait4", NULL, err);
}
