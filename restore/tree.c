/* The processes of an image, from the first birth to the moment all run; see tree.h. */
#include "restore/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/progress.h"
#include "images/tree.h"
#include "restore/aio.h"
#include "restore/birth.h"
#include "restore/child.h"
#include "restore/connections.h"
#include "restore/ctty.h"
#include "restore/fds_finish.h"
#include "restore/ghosts.h"
#include "restore/ring.h"
#include "restore/handover.h"
#include "restore/instance.h"
#include "restore/interrupt.h"
#include "restore/job.h"
#include "restore/mems.h"
#include "restore/ns.h"
#include "restore/stages.h"
#include "restore/stoppable.h"
#include "restore/stops.h"
#include "restore/tree_birth.h"
#include "restore/zombie.h"

/* ---- one process -------------------------------------------------------------------------------
 */

/* Its own part of the job is empty, but for what a copy of `maker` inherits. */
static struct job *job_derive(const struct job *first, uint32_t i)
{
	struct snap *snap = first->snap;
	struct job *job = arena_alloc(snap->arena, sizeof *job);

	*job = *first;
	job->proc = &snap->procs[i];
	job->mm = &snap->mms[job->proc->mm];
	job->stage = NULL;
	job->pid = 0;
	job->pidfd = -1;
	job->plan = (struct plan){ 0 };
	job->sigtrap_at = 0;
	job->late_info_at = 0;
	job->sigpending_at = 0;
	job->timer_ids = NULL;
	job->session_waits = false;
	job->mem_at = arena_array(snap->arena, snap->nr_mems + 1, sizeof *job->mem_at);
	job->mem_staged = arena_array(snap->arena, snap->nr_mems + 1, sizeof *job->mem_staged);
	return job;
}

static void job_inherit(struct job *job, const struct job *maker)
{
	job->forked = true;
	job->hole_next = maker->hole_next;
	job->vdso_code = maker->vdso_code;
	job->vdso_len = maker->vdso_len;
	memcpy(job->mem_staged, maker->mem_staged, job->snap->nr_mems * sizeof *job->mem_staged);
}

/* Where others come from it, it may begin as what it was when they were born. */
static void job_begin(struct tree *tree, uint32_t i)
{
	struct job *job = tree->jobs[i];

	job->stage = stages_first(tree, i);
	if (job->stage)
		job->mm = &job->stage->mm;
}

/* The program of another process, executed by a copy of its parent. */
static int execute(struct job *job, const struct job *maker, struct err *err)
{
	/* An empty text, arguments of that alone, and an empty environment. */
	uint64_t at = birth_scratch(maker), room[4] = { at + 16, 0, 0 };
	struct remote call = { SYS_execveat,
		{ (uint64_t)job->exe_fds[job->proc->mm], at + 16, at, at + 8, AT_EMPTY_PATH } };
	uint64_t insn = maker->plan.base + BLOB_SYSCALL_INSN;

	if (stops_write(job, at, room, sizeof room, err) < 0 ||
		stops_exec(job, insn, &call, err) < 0)
		return err_wrap(err, "execute %s", job->snap->files[job->mm->exe].path);
	return 0;
}

static int proc_number(
	const struct job *job, const char *name, int base, long value, struct err *err)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", job->pid, name);
	return child_proc_number(path, base, value, err);
}

/* What a child inherits, where it is not the same. */
static int attributes(struct job *job, const struct job *maker, struct err *err)
{
	if (job->proc->oom_score_adj != maker->proc->oom_score_adj &&
		proc_number(job, "oom_score_adj", 10, job->proc->oom_score_adj, err) < 0)
		return -err->code;
	if (job->mm->coredump_filter != maker->mm->coredump_filter &&
		proc_number(job, "coredump_filter", 16, (long)job->mm->coredump_filter, err) < 0)
		return -err->code;
	return 0;
}

/* Behind the room of all blobs that there are. */
static uint64_t blobs_end(const struct tree *tree)
{
	uint64_t end = 0;

	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (tree->jobs[i] && tree->jobs[i]->plan.base + PLAN_ROOM > end)
			end = tree->jobs[i]->plan.base + PLAN_ROOM;
	return end;
}

static int other_make(struct tree *tree, uint32_t i, struct err *err)
{
	struct job *job = tree->jobs[i] = job_derive(tree->jobs[0], i), *maker;
	int ret;

	job_begin(tree, i);
	if (stages_enter(tree, i, err) < 0)
		return -err->code;
	ret = birth_other(tree, i, &maker, err);
	/* jobs[i] is a maker only from here on. */
	if (ret < 0)
		return ret;
	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	if (job->pidfd < 0)
		return err_sys(err, "pidfd_open");
	if (attributes(job, maker, err) < 0)
		return -err->code;
	if (snap_shares_vm(job->snap, i)) {
		job_inherit(job, maker); /* for its own children */
		job->shares_vm = true;
		ret = handover_sharing(job, maker, blobs_end(tree), err);
	} else if (snap_mm_is_fork(job->mm, maker->mm)) {
		job_inherit(job, maker);
		ret = handover_forked(job, maker, err);
	} else {
		ret = execute(job, maker, err);
		if (!ret)
			ret = handover_executed(job, err);
	}
	return ret < 0 ? err_wrap(err, "process %d", job->proc->pid) : 0;
}

/* ---- families ----------------------------------------------------------------------------------
 */

static int family_make(struct tree *tree, uint32_t i, struct err *err);

static int children_make(struct tree *tree, uint32_t parent, bool early, struct err *err)
{
	const struct snap *snap = tree->snap;
	uint32_t elder = 0;

	for (uint32_t i = parent + 1; i < snap->nr_procs; i++) {
		if (snap->procs[i].parent != parent)
			continue;
		if (birth_is_early(snap, i) == early) {
			if (!early && zombies_make_elder(tree, parent, elder, err) < 0)
				return -err->code;
			if (family_make(tree, i, err) < 0)
				return -err->code;
		}
		elder++;
	}
	return early ? 0 : zombies_make_elder(tree, parent, UINT32_MAX, err);
}

static int family_make(struct tree *tree, uint32_t i, struct err *err)
{
	struct remote setsid = { SYS_setsid, { 0 } };
	int ret = i ? other_make(tree, i, err) : handover_executed(tree->jobs[0], err);
	struct job *job = tree->jobs[i];

	/* Before children, who may have the mappings, too. */
	if (ret < 0 || aio_make(job, err) < 0 || children_make(tree, i, true, err) < 0)
		return -err->code;
	if (job->session_waits) {
		if (stops_blob_syscall(job, &setsid, "setsid", NULL, err) < 0)
			return -err->code;
		job->session = job->group = job->proc->pid;
	}
	return ctty_take(job, err) < 0 ? -err->code : children_make(tree, i, false, err);
}

/* Everybody parked, with memory, in its place. */
static int all_make(struct tree *tree, struct err *err)
{
	stages_find(tree);
	job_begin(tree, 0);
	if (birth_first(tree, err) < 0 || family_make(tree, 0, err) < 0)
		return -err->code;
	for (uint32_t i = 1; i < tree->snap->nr_procs; i++)
		if (tree->snap->procs[i].parent == ID_NONE && family_make(tree, i, err) < 0)
			return -err->code;
	if (stages_end(tree, err) < 0 || zombies_make(tree, err) < 0 ||
		birth_groups(tree, err) < 0 || ctty_finish(tree, err) < 0 ||
		fds_later(tree->jobs, tree->snap->nr_procs, err) < 0 || birth_reap(tree, err) < 0)
		return -err->code;
	return stoppable_prepare(tree, err);
}

static int all_do(struct tree *tree, int (*part)(struct job *job, struct err *err), struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (!tree->jobs[i]->released && part(tree->jobs[i], err) < 0)
			return tree->snap->nr_procs == 1
				       ? -err->code
				       : err_wrap(err, "process %d", tree->jobs[i]->proc->pid);
	return 0;
}

/* ---- stopped ones ------------------------------------------------------------------------------
 */

/* The parent's SIGCHLD action, with or without SA_NOCLDSTOP. */
static int parent_action(const struct job *parent, bool quiet, struct err *err)
{
	struct snap_sigaction action = parent->proc->actions[SIGCHLD - 1];
	uint64_t at = birth_scratch(parent);
	struct remote call = { SYS_rt_sigaction, { SIGCHLD, at, 0, sizeof action.mask } };

	action.flags |= quiet ? SA_NOCLDSTOP : 0;
	if (stops_write(parent, at, &action, sizeof action, err) < 0)
		return -err->code;
	return stops_blob_syscall(parent, &call, "rt_sigaction", NULL, err);
}

/*
 * It stops while its parent is still held: the stop is old, so no SIGCHLD comes for it, and where
 * the parent had waited for it, it does so again.
 */
static int stopped_release(struct job *job, const struct job *parent, struct err *err)
{
	uint64_t options = WSTOPPED | (job->proc->stop_told ? 0 : WNOWAIT);
	struct remote wait = { SYS_waitid,
		{ P_PID, (uint64_t)job->proc->pid, 0, options | __WALL } };

	if (parent_action(parent, true, err) < 0 || handover_last(job, err) < 0 ||
		handover_release(job, err) < 0)
		return -err->code;
	job->released = true;
	if (stops_blob_syscall(parent, &wait, "waitid", NULL, err) < 0 ||
		stoppable_finish(job, parent, err) < 0)
		return -err->code;
	return parent_action(parent, false, err);
}

/* Its parent is told again that it went on after a stop, if it asks, but not by a SIGCHLD. */
static int continued_again(struct job *job, const struct job *parent, struct err *err)
{
	if (parent_action(parent, true, err) < 0 || handover_continued(job, err) < 0 ||
		handover_last(job, err) < 0)
		return -err->code;
	job->ready = true;
	return parent_action(parent, false, err);
}

/* Children first, as their parents may be stopped, too. */
static int stopped_release_all(struct tree *tree, struct err *err)
{
	for (uint32_t i = (uint32_t)tree->snap->nr_procs; i-- > 0;) {
		const struct snap_proc *proc = &tree->snap->procs[i];

		if (proc->continued && proc->parent != ID_NONE &&
			continued_again(tree->jobs[i], tree->jobs[proc->parent], err) < 0)
			return err_wrap(err, "process %d", proc->pid);
		if (proc->stop == PROC_STOPPED && proc->parent != ID_NONE &&
			stopped_release(tree->jobs[i], tree->jobs[proc->parent], err) < 0)
			return err_wrap(err, "process %d", proc->pid);
	}
	return 0;
}

/* Children first: who shares its parent's table of descriptors needs what the parent closes. */
static int second_do(struct tree *tree, struct err *err)
{
	for (size_t i = tree->snap->nr_procs; i-- > 0;)
		if (handover_second(tree->jobs[i], err) < 0)
			return tree->snap->nr_procs == 1
				       ? -err->code
				       : err_wrap(err, "process %d", tree->jobs[i]->proc->pid);
	return 0;
}

static int last_do(struct job *job, struct err *err)
{
	return job->ready ? 0 : handover_last(job, err);
}

static int tree_finish(struct tree *tree, struct err *err)
{
	ghosts_close(tree->jobs[0]);
	return fds_finish(tree->jobs, tree->snap->nr_procs, err);
}

static int tree_run(struct tree *tree, struct err *err)
{
	int ret = all_make(tree, err);

	/* Soon the terminal is the program's. */
	progress_end(tree->jobs[0]->opts->progress);
	if (ret < 0 || all_do(tree, ring_map, err) < 0 || mems_seal(tree->jobs[0], err) < 0 ||
		second_do(tree, err) < 0 ||
		fds_of_threads(tree->jobs, tree->snap->nr_procs, err) < 0 ||
		mems_remove(tree->jobs[0], err) < 0 || stopped_release_all(tree, err) < 0 ||
		all_do(tree, last_do, err) < 0 || all_do(tree, instance_tell, err) < 0 ||
		tree_finish(tree, err) < 0 || interrupt_asked(tree->jobs[0], err) < 0 ||
		connections_wake(tree->jobs, tree->snap->nr_procs, err) < 0)
		return -err->code;
	terminal_give(tree->jobs[0]);
	if (tree->jobs[0]->tell)
		ns_report(tree->jobs[0]->tell, tree->jobs[0]->pid, NULL);
	if (all_do(tree, handover_release, err) < 0)
		return -err->code;
	terminal_tell(tree->jobs[0]);
	return 0;
}

/* A leader can be reaped only when its traced threads have been; so everything is, until the first
 * process is gone, and then the others. */
static void tree_kill(const struct tree *tree)
{
	pid_t tid;

	for (size_t i = 0; i < tree->nr_pids; i++)
		kill(tree->pids[i], SIGKILL);
	/* An init dies with us, its tracer (PTRACE_O_EXITKILL), and not by a signal from inside. */
	if (tree->jobs[0]->gate >= 0 && !tree->jobs[0]->orphan)
		return;
	do
		tid = waitpid(-1, NULL, __WALL);
	while (tid > 0 || (tid < 0 && errno == EINTR));
}

int tree_make(struct job *job, struct err *err)
{
	struct tree tree = { .snap = job->snap };
	int ret;

	tree.jobs = arena_array(job->snap->arena, job->snap->nr_procs, sizeof(struct job *));
	tree.jobs[0] = job;
	tree.zombie_made = arena_array(
		job->snap->arena, job->snap->nr_zombies + 1, sizeof *tree.zombie_made);
	if (job->pids == PIDS_NEW && job->snap->nr_procs + job->snap->nr_zombies > 1) {
		err_set(err, ENOTSUP,
			"%zu processes that know each other by their ids can not get "
			"new ones: they would wait for nobody, and signal strangers",
			job->snap->nr_procs + job->snap->nr_zombies);
		return err_hint(err, "use --pids=ns");
	}
	ret = tree_run(&tree, err);
	if (ret < 0)
		tree_kill(&tree);
	for (size_t i = 1; i < job->snap->nr_procs; i++)
		if (tree.jobs[i]) {
			fd_close(&tree.jobs[i]->pidfd);
			plan_finish(&tree.jobs[i]->plan);
		}
	return ret;
}
