/* New processes by system calls in another's name; see birth.h. */
#include "restore/birth.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "restore/job.h"
#include "restore/stops.h"

/* ---- records -----------------------------------------------------------------------------------
 */

void birth_note(struct tree *tree, pid_t pid)
{
	tree->pids = arena_grow(
		tree->snap->arena, tree->pids, tree->nr_pids, &tree->cap_pids, sizeof *tree->pids);
	tree->pids[tree->nr_pids++] = pid;
}

void helper_note(struct tree *tree, struct job *parent, pid_t vpid)
{
	tree->helpers = arena_grow(tree->snap->arena, tree->helpers, tree->nr_helpers,
		&tree->cap_helpers, sizeof *tree->helpers);
	tree->helpers[tree->nr_helpers++] = (struct helper){ parent, vpid };
}

bool helper_is(const struct tree *tree, pid_t vpid)
{
	for (size_t i = 0; i < tree->nr_helpers; i++)
		if (tree->helpers[i].vpid == vpid)
			return true;
	return false;
}

bool birth_is_recorded(const struct snap *snap, int32_t id)
{
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == id)
			return true;
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (proc->pgid == id || proc->sid == id)
			return true;
		for (size_t t = 0; t < proc->nr_tasks; t++)
			if (proc->tasks[t].tid == id)
				return true;
	}
	return false;
}

/* ---- clone -------------------------------------------------------------------------------------
 */

/* Room at the low end of the parked leader's stack in the blob. */
uint64_t birth_scratch(const struct job *job)
{
	return job->plan.base + plan_code_size() + job->plan.threads[0].stack_top - BLOB_STACK;
}

int birth_clone_id(struct tree *tree, const struct job *maker, pid_t vpid, uint64_t flags,
	int exit_signal, pid_t *pid, struct err *err)
{
	struct {
		struct clone_args args;
		uint64_t tid;
	} there = { .args = { .flags = flags, .set_tid_size = 1 }, .tid = (uint64_t)vpid };
	uint64_t at = birth_scratch(maker);
	struct remote call = { SYS_clone3, { at, sizeof there.args } };

	/* clone3(2): with CLONE_PARENT the exit signal is the maker's. */
	there.args.exit_signal = flags & CLONE_PARENT ? 0 : (uint64_t)exit_signal;
	there.args.set_tid = at + sizeof there.args;
	if (stops_write(maker, at, &there, sizeof there, err) < 0 ||
		stops_clone(maker, &call, pid, err) < 0)
		return err_wrap(err, "process %d", vpid);
	birth_note(tree, *pid);
	return 0;
}

int birth_taken(struct err *err)
{
	if (err->code == EEXIST)
		err_hint(err, "its id is in use: --pids=ns gets round that");
	if (err->code == EINVAL)
		err_hint(err, "where its id is above kernel.pid_max, --pids=ns gets round that");
	return -err->code;
}

/* A process that does nothing but found a session, a group, or a family, and ends. */
struct job birth_copy(const struct job *maker, pid_t pid)
{
	struct job helper = *maker;

	helper.pid = pid;
	return helper;
}

static bool is_zombies_group(const struct snap *snap, int32_t id)
{
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pgid == id)
			return true;
	return false;
}

/* An id that neither this image nor anybody else has. */
int helper_clone(struct tree *tree, const struct job *maker, int exit_signal, pid_t *vpid,
	pid_t *pid, struct err *err)
{
	for (*vpid = 1000; *vpid < 32768; (*vpid)++) {
		if (birth_is_recorded(tree->snap, *vpid) || helper_is(tree, *vpid) ||
			is_zombies_group(tree->snap, *vpid))
			continue;
		*err = (struct err){ 0 };
		if (birth_clone_id(tree, maker, *vpid, 0, exit_signal, pid, err) == 0)
			return 0;
		if (err->code != EEXIST)
			break;
	}
	return -err->code;
}

int birth_call(
	const struct job *job, long nr, uint64_t a, uint64_t b, const char *what, struct err *err)
{
	struct remote call = { nr, { a, b } };

	return stops_blob_syscall(job, &call, what, NULL, err);
}

int helper_end(struct tree *tree, struct job *parent, const struct job *helper, pid_t vpid,
	struct err *err)
{
	helper_note(tree, parent, vpid);
	return stops_exit(helper->pid, helper->plan.base + BLOB_SYSCALL_INSN, 0, err);
}
