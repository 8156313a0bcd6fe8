/* Attributes of the process as a whole, as last steps of the leader; see process.h. */
#include "restore/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/fd.h"
#include "restore/job.h"

/* linux/prctl.h of newer kernels. */
enum { SET_MDWE = 65, SET_MEMORY_MERGE = 67, FUTEX_HASH = 78, FUTEX_HASH_SET_SLOTS = 1 };

static void plan_prctl(struct job *job, uint64_t op, uint64_t value)
{
	plan_syscall(&job->plan, 0, SYS_prctl, (struct plan_args){ { op, value } });
}

static void plan_thp(struct job *job)
{
	uint64_t disabled = job->mm->thp_disabled;

	if ((int)disabled != prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0))
		plan_syscall(&job->plan, 0, SYS_prctl,
			(struct plan_args){ { PR_SET_THP_DISABLE, disabled & 1,
				disabled & THP_EXCEPT_ADVISED } });
}

void process_plan(struct job *job)
{
	const struct snap_proc *proc = job->proc;

	if (!job->shares_vm)
		plan_thp(job);
	if (proc->child_subreaper)
		plan_prctl(job, PR_SET_CHILD_SUBREAPER, 1);
	if (!job->shares_vm && proc->memory_merge)
		plan_prctl(job, SET_MEMORY_MERGE, 1);
	if (!job->shares_vm && proc->futex_slots)
		plan_syscall(&job->plan, 0, SYS_prctl,
			(struct plan_args){
				{ FUTEX_HASH, FUTEX_HASH_SET_SLOTS, proc->futex_slots - 1 } })
			->tolerate = EINVAL; /* a kernel that has none */
	if (!job->shares_vm && proc->mdwe)
		plan_prctl(job, SET_MDWE, proc->mdwe);
	for (uint64_t bit = 1; bit <= proc->membarrier; bit <<= 1)
		if (proc->membarrier & bit)
			plan_syscall(&job->plan, 0, SYS_membarrier, (struct plan_args){ { bit } });
	/* A change of ids made it undumpable (fs.suid_dumpable); 2 cannot be set. */
	plan_prctl(job, PR_SET_DUMPABLE, proc->dumpable == 1);
}

enum { AUTOGROUP_TRIES = 100 };

/* Ordinary users may do that ten times in a second, all of them together
 * (proc_sched_autogroup_set_nice). */
static int autogroup_write(int fd, int nice)
{
	for (int i = 0; dprintf(fd, "%d", nice) < 0; i++) {
		if (errno != EAGAIN || i == AUTOGROUP_TRIES)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
	}
	return 0;
}

/* Of its session, if that is its own. */
int process_finish(struct job *job, struct err *err)
{
	OWNED_FD fd = -1;
	char path[64];

	if (!job->proc->autogroup_nice || job->proc->session_inherited)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/autogroup", job->pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || autogroup_write(fd, job->proc->autogroup_nice) < 0)
		return err_sys(err, "nice %d to %s", job->proc->autogroup_nice, path);
	return 0;
}
