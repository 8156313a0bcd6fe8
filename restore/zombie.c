/* Processes that have ended before the dump, and end again; see zombie.h. */
#include "restore/zombie.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "restore/adoption.h"
#include "restore/birth.h"
#include "restore/job.h"
#include "restore/stops.h"
#include "restore/tree_birth.h"
#include "tracee/tracee.h"

/* ---- one end -----------------------------------------------------------------------------------
 */

/*
 * A signal with the default action ends it; a core dump is not made again, only its mark is lost.
 * Given at the stop of a system call, the signal comes to a stop of its own first (ptrace(2)).
 */
static int zombie_killed(const struct job *zombie, int signal, struct err *err)
{
	int got;

	if (thread_set_sigmask(zombie->pid, 0, err) < 0)
		return -err->code;
	do {
		if (ptrace(PTRACE_CONT, zombie->pid, 0, signal) < 0)
			return err_sys(err, "end process %d", zombie->pid);
		if (waitpid(zombie->pid, &got, __WALL) < 0)
			return err_sys(err, "wait for process %d", zombie->pid);
	} while (WIFSTOPPED(got) && WSTOPSIG(got) == signal);
	if (WIFSTOPPED(got) || !WIFSIGNALED(got))
		return err_set(
			err, EPROTO, "process %d did not end by signal %d", zombie->pid, signal);
	return 0;
}

static int zombie_die(struct job *zombie, int status, struct err *err)
{
	if (WIFEXITED(status))
		return stops_exit(zombie->pid, zombie->plan.base + BLOB_SYSCALL_INSN,
			WEXITSTATUS(status), err);
	if (birth_call(zombie, SYS_prctl, PR_SET_DUMPABLE, 0, "prctl", err) < 0)
		return -err->code;
	return zombie_killed(zombie, WTERMSIG(status), err);
}

/* The real one alone, which its parent is told; without privilege, all have ours. */
static int zombie_uid(struct job *made, const struct snap_zombie *zombie, struct err *err)
{
	struct remote call = { SYS_setresuid, { zombie->uid, UID_NONE, UID_NONE } };
	int64_t ret;

	if (zombie->uid == UID_NONE || zombie->uid == made->creds_start.ruid)
		return 0;
	return stops_syscall(made, made->plan.base + BLOB_SYSCALL_INSN, &call, &ret, err);
}

/* Its name, and the end it has to have. */
static int zombie_finish(struct job *made, const struct snap_zombie *zombie, struct err *err)
{
	if (zombie_uid(made, zombie, err) < 0 ||
		stops_write(made, birth_scratch(made), zombie->comm, sizeof zombie->comm, err) <
			0 ||
		birth_call(made, SYS_prctl, PR_SET_NAME, birth_scratch(made), "prctl", err) < 0)
		return -err->code;
	return zombie_die(made, zombie->wait_status, err);
}

/* ---- founders of sessions -----------------------------------------------------------------------
 */

/* An ended process that led this session, if the maker has to wait for it. */
const struct snap_zombie *zombie_founder_of(
	const struct snap *snap, const struct job *maker, int32_t session)
{
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == session &&
			&snap->procs[snap->zombies[i].parent] == maker->proc)
			return &snap->zombies[i];
	return NULL;
}

/* It has done what a helper does, and stays as the zombie it is. */
int zombie_found_end(
	struct tree *tree, struct job *made, const struct snap_zombie *zombie, struct err *err)
{
	tree->founders = arena_grow(tree->snap->arena, tree->founders, tree->nr_founders,
		&tree->cap_founders, sizeof *tree->founders);
	tree->founders[tree->nr_founders++] = zombie->pid;
	return zombie_finish(made, zombie, err);
}

static bool is_founder(const struct tree *tree, pid_t vpid)
{
	for (size_t i = 0; i < tree->nr_founders; i++)
		if (tree->founders[i] == vpid)
			return true;
	return false;
}

/* ---- in their families -------------------------------------------------------------------------
 */

static bool group_is_ours(const struct snap *snap, int32_t pgid)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (!snap->procs[i].group_inherited && snap->procs[i].pgid == pgid)
			return true;
	return false;
}

/* Only ended ones are in it, and their parent may wait for the group: waitpid(-pgid). */
static bool group_is_left(const struct tree *tree, const struct snap_zombie *zombie)
{
	const struct snap *snap = tree->snap;

	if (zombie->pgid == zombie->pid || zombie->sid != snap->procs[zombie->parent].sid)
		return false;
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == zombie->pgid)
			return false;
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == zombie->pgid || snap->procs[i].pgid == zombie->pgid)
			return false;
	return true;
}

static int group_again(
	struct tree *tree, struct job *parent, int32_t pgid, bool *made, struct err *err)
{
	if (birth_group(tree, parent, pgid, err) == 0)
		return 0;
	/* In a session that is not the program's own, the group may be somebody else's, too. */
	if (err->code != EEXIST || !parent->proc->session_inherited)
		return -err->code;
	*made = false;
	*err = (struct err){ 0 };
	return 0;
}

/* It was adopted, out of another session than that of its parent. */
static struct job *zombie_session(const struct tree *tree, const struct snap_zombie *zombie)
{
	const struct snap_proc *parent = &tree->snap->procs[zombie->parent];

	if (zombie->sid == zombie->pid || zombie->sid == parent->sid)
		return NULL;
	return adoption_maker(tree, zombie->parent, ID_NONE, zombie->sid);
}

/* *maker: whose copy it is. */
static int zombie_clone(struct tree *tree, const struct snap_zombie *zombie, struct job **maker,
	pid_t *pid, struct err *err)
{
	struct job *parent = tree->jobs[zombie->parent];

	*maker = zombie_session(tree, zombie);
	if (*maker)
		return adoption_birth(tree, *maker, parent, zombie->pid, pid, err);
	*maker = parent;
	if (birth_clone_id(tree, parent, zombie->pid, 0, zombie->exit_signal, pid, err) < 0)
		return birth_taken(err);
	return 0;
}

static int zombie_birth(struct tree *tree, const struct snap_zombie *zombie, struct err *err)
{
	struct job *parent = tree->jobs[zombie->parent], *maker, made;
	bool left = group_is_left(tree, zombie);
	pid_t pid;

	if (is_founder(tree, zombie->pid))
		return 0;
	if ((left && group_again(tree, parent, zombie->pgid, &left, err) < 0) ||
		zombie_clone(tree, zombie, &maker, &pid, err) < 0)
		return -err->code;
	made = birth_copy(maker, pid);
	if (zombie->sid == zombie->pid) {
		if (birth_call(&made, SYS_setsid, 0, 0, "setsid", err) < 0)
			return -err->code;
	} else if (zombie->pgid == zombie->pid) {
		if (birth_call(&made, SYS_setpgid, 0, 0, "setpgid", err) < 0)
			return -err->code;
	} else if (left ||
		   (zombie->pgid != maker->group && group_is_ours(tree->snap, zombie->pgid))) {
		/* A group whose leader is not there (yet) shows only in ps. */
		struct remote join = { SYS_setpgid, { 0, (uint64_t)zombie->pgid } };
		int64_t ret;

		if (stops_syscall(&made, made.plan.base + BLOB_SYSCALL_INSN, &join, &ret, err) < 0)
			return -err->code;
	}
	return zombie_finish(&made, zombie, err);
}

static int zombie_make(struct tree *tree, size_t i, struct err *err)
{
	tree->zombie_made[i] = true;
	return zombie_birth(tree, &tree->snap->zombies[i], err);
}

/* Is there the group that it has to join? */
static bool group_stands(const struct tree *tree, const struct snap_zombie *zombie)
{
	if (zombie->pgid == zombie->pid || zombie->pgid == tree->snap->procs[zombie->parent].pgid)
		return true;
	for (size_t i = 0; i < tree->snap->nr_procs; i++)
		if (tree->jobs[i] && tree->jobs[i]->pid && tree->snap->procs[i].pid == zombie->pgid)
			return true;
	for (size_t i = 0; i < tree->snap->nr_zombies; i++)
		if (tree->zombie_made[i] && tree->snap->zombies[i].pid == zombie->pgid)
			return true;
	return false;
}

/* Is there somebody of the session in which it has to be born? */
static bool session_stands(const struct tree *tree, const struct snap_zombie *zombie)
{
	const struct snap_proc *parent = &tree->snap->procs[zombie->parent];

	return zombie->sid == zombie->pid || zombie->sid == parent->sid ||
	       zombie_session(tree, zombie);
}

/* It founds its session when the first one that is still there is born (birth_by_helper). */
static bool founds_session(const struct snap *snap, const struct snap_zombie *zombie)
{
	for (size_t i = 0; zombie->sid == zombie->pid && i < snap->nr_procs; i++)
		if (snap->procs[i].sid == zombie->sid)
			return true;
	return false;
}

/* wait(2) gives the eldest first: those born before the child that comes next. */
int zombies_make_elder(struct tree *tree, uint32_t parent, uint32_t elder, struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_zombies; i++) {
		const struct snap_zombie *zombie = &tree->snap->zombies[i];

		if (zombie->parent == parent && zombie->elder <= elder && !tree->zombie_made[i] &&
			group_stands(tree, zombie) && session_stands(tree, zombie) &&
			!founds_session(tree->snap, zombie) && zombie_make(tree, i, err) < 0)
			return -err->code;
	}
	return 0;
}

static int zombies_make_rest(struct tree *tree, bool leaders, struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_zombies; i++) {
		const struct snap_zombie *zombie = &tree->snap->zombies[i];

		if ((zombie->pgid == zombie->pid) == leaders && !tree->zombie_made[i] &&
			zombie_make(tree, i, err) < 0)
			return -err->code;
	}
	return 0;
}

int zombies_make(struct tree *tree, struct err *err)
{
	/* Groups are there when those come that are only members. */
	return zombies_make_rest(tree, true, err) < 0 ? -err->code
						      : zombies_make_rest(tree, false, err);
}
