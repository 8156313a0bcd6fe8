/* Process groups when all processes are there; see tree_birth.h. */
#include "restore/tree_birth.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/birth.h"
#include "restore/job.h"
#include "restore/stops.h"
#include "restore/tree.h"

/* The leader has ended: a helper with its id founds the group. */
int birth_group(struct tree *tree, struct job *member, int32_t group, struct err *err)
{
	struct job helper;
	pid_t pid;

	if (birth_is_recorded(tree->snap, group) && kill(group, 0) == 0)
		return 0;
	if (helper_is(tree, group))
		return 0;
	if (birth_clone_id(tree, member, group, 0, SIGCHLD, &pid, err) < 0)
		return birth_taken(err);
	helper = birth_copy(member, pid);
	if (birth_call(&helper, SYS_setpgid, 0, 0, "setpgid", err) < 0)
		return -err->code;
	return helper_end(tree, member, &helper, group, err);
}

static int group_join(struct tree *tree, struct job *job, struct err *err)
{
	int32_t want = tree_group_of(job->proc);

	if (job->group == want || job->pids == PIDS_NEW)
		return 0;
	/* The caller's group is not to be seen from another pid namespace. */
	if (!want)
		want = job->pids == PIDS_NS ? 0 : getpgrp();
	else if (birth_group(tree, job, want, err) < 0)
		return -err->code;
	if (want && birth_call(job, SYS_setpgid, 0, (uint64_t)want, "setpgid", err) < 0)
		return err_wrap(err, "process %d, group %d", job->proc->pid, want);
	return 0;
}

/* Others are in a group that it leads no more, but has founded. */
static bool has_left_group(const struct snap *snap, const struct snap_proc *proc)
{
	if (proc->sid == proc->pid || tree_group_of(proc) == proc->pid)
		return false;
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (tree_group_of(&snap->procs[i]) == proc->pid)
			return true;
	return false;
}

/* A group ends with its last member: a helper is one until all are where they belong. */
static int group_keep(struct tree *tree, struct job *founder, struct err *err)
{
	struct job helper;
	pid_t vpid, pid;

	if (birth_call(founder, SYS_setpgid, 0, 0, "setpgid", err) < 0 ||
		helper_clone(tree, founder, SIGCHLD, &vpid, &pid, err) < 0)
		return -err->code;
	founder->group = founder->proc->pid;
	helper = birth_copy(founder, pid);
	return helper_end(tree, founder, &helper, vpid, err);
}

int birth_groups(struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (has_left_group(tree->snap, tree->jobs[i]->proc) &&
			group_keep(tree, tree->jobs[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (group_join(tree, tree->jobs[i], err) < 0)
			return -err->code;
	return 0;
}

int birth_reap(struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < tree->nr_helpers; i++) {
		const struct helper *helper = &tree->helpers[i];
		struct remote call = { SYS_wait4, { (uint64_t)helper->vpid, 0, __WALL, 0 } };

		if (!helper->parent)
			waitpid(helper->vpid, NULL, __WALL);
		else if (stops_blob_syscall(helper->parent, &call, "wait4", NULL, err) < 0)
			return err_wrap(err, "process %d", helper->parent->proc->pid);
	}
	return 0;
}
