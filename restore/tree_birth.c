/* Births in the right family, session and group; see tree_birth.h. */
#include "base/log.h"
#include "restore/tree_birth.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "images/tree.h"
#include "restore/adoption.h"
#include "restore/birth.h"
#include "restore/child.h"
#include "restore/job.h"
#include "restore/orphan.h"
#include "restore/seccomp.h"
#include "restore/spawn.h"
#include "restore/stops.h"
#include "restore/tree.h"
#include "restore/zombie.h"

/* ---- sessions ----------------------------------------------------------------------------------
 */

bool tree_leads_session(const struct snap_proc *proc)
{
	return !proc->session_inherited && proc->sid == proc->pid;
}

static int32_t session_of(const struct snap_proc *proc)
{
	return proc->session_inherited ? SESSION_CALLERS : proc->sid;
}

int32_t tree_group_of(const struct snap_proc *proc)
{
	return proc->group_inherited ? 0 : proc->pgid;
}

bool tree_is_below(const struct snap *snap, uint32_t i, uint32_t above)
{
	while (i != ID_NONE && i != above)
		i = snap->procs[i].parent;
	return i == above;
}

/* Its leader descends from that process, which so cannot have been born in it: who is there came
 * as an orphan. */
static bool led_from_below(const struct snap *snap, int32_t session, uint32_t above)
{
	for (uint32_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == session)
			return i != above && tree_is_below(snap, i, above);
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == session)
			return tree_is_below(snap, snap->zombies[i].parent, above);
	return false;
}

/* In which process i has to be born. A leader shows by children that are not in its session where
 * it was born itself. */
static int32_t birth_session(const struct snap *snap, uint32_t i)
{
	const struct snap_proc *proc = &snap->procs[i];

	if (!tree_leads_session(proc))
		return session_of(proc);
	for (uint32_t c = i + 1; c < snap->nr_procs; c++) {
		int32_t session;

		if (snap->procs[c].parent != i)
			continue;
		session = birth_session(snap, c);
		if (session != SESSION_ANY && session != proc->sid &&
			!led_from_below(snap, session, i))
			return session;
	}
	return SESSION_ANY;
}

bool birth_is_early(const struct snap *snap, uint32_t i)
{
	const struct snap_proc *parent = &snap->procs[snap->procs[i].parent];
	int32_t session = birth_session(snap, i);

	return tree_leads_session(parent) && session != SESSION_ANY && session != parent->sid &&
	       !led_from_below(snap, session, snap->procs[i].parent);
}

static bool has_early_child(const struct snap *snap, uint32_t i)
{
	for (uint32_t c = i + 1; c < snap->nr_procs; c++)
		if (snap->procs[c].parent == i && birth_is_early(snap, c))
			return true;
	return false;
}

/* ---- who makes whom ----------------------------------------------------------------------------
 */

static bool fits(const struct job *maker, int32_t session)
{
	return maker && maker->pid && (session == SESSION_ANY || maker->session == session);
}

/* Somebody in that session whose parent is the same: CLONE_PARENT makes siblings, of the same exit
 * signal. */
static struct job *sibling_in(const struct tree *tree, uint32_t i, int32_t session)
{
	const struct snap_proc *procs = tree->snap->procs;

	for (size_t s = 0; s < tree->snap->nr_procs; s++)
		if (fits(tree->jobs[s], session) && procs[s].parent == procs[i].parent &&
			procs[s].exit_signal == procs[i].exit_signal)
			return tree->jobs[s];
	return NULL;
}

static struct job *anybody_in(const struct tree *tree, uint32_t base, int32_t session)
{
	if (base != ID_NONE && fits(tree->jobs[base], session))
		return tree->jobs[base];
	for (size_t s = 0; s < tree->snap->nr_procs; s++)
		if (fits(tree->jobs[s], session))
			return tree->jobs[s];
	return NULL;
}

/*
 * The ended leader of its session is there, too, and somebody else has to wait for it: that one
 * makes it again, and by its end the process is adopted.
 */
static int birth_by_founder(struct tree *tree, uint32_t i, const struct snap_zombie *founder,
	struct job **maker, pid_t *pid, struct err *err)
{
	const struct snap_proc *proc = &tree->snap->procs[i];
	const struct job *parent = proc->parent == ID_NONE ? NULL : tree->jobs[proc->parent];
	struct job made;

	*maker = tree->jobs[founder->parent];
	if (birth_clone_id(tree, *maker, founder->pid, 0, founder->exit_signal, pid, err) < 0)
		return birth_taken(err);
	made = birth_copy(*maker, *pid);
	if (birth_call(&made, SYS_setsid, 0, 0, "setsid", err) < 0)
		return -err->code;
	if (birth_clone_id(tree, &made, proc->pid, 0, SIGCHLD, pid, err) < 0)
		return birth_taken(err);
	tree->jobs[i]->session = tree->jobs[i]->group = founder->pid;
	if (adoption_switch(parent, true, err) < 0 ||
		zombie_found_end(tree, &made, founder, err) < 0)
		return -err->code;
	return adoption_switch(parent, false, err);
}

/* That leader, if who waits for it is there, and descends from the parent of process i. */
static const struct snap_zombie *founder_elsewhere(
	const struct tree *tree, uint32_t i, int32_t session)
{
	const struct snap *snap = tree->snap;
	uint32_t parent = snap->procs[i].parent;

	for (size_t z = 0; z < snap->nr_zombies; z++) {
		const struct snap_zombie *zombie = &snap->zombies[z];

		if (zombie->pid == session && zombie->parent != parent &&
			tree->jobs[zombie->parent] && tree->jobs[zombie->parent]->pid &&
			(parent == ID_NONE || tree_is_below(snap, zombie->parent, parent)))
			return zombie;
	}
	return NULL;
}

/*
 * Through a helper: it founds the session where nobody is in it, and the process is its sibling
 * where that has a parent in the tree; an orphan is its child, and is orphaned by its end.
 */
static int birth_by_helper(struct tree *tree, uint32_t i, struct job *maker, int32_t session,
	pid_t *pid, struct err *err)
{
	const struct snap_proc *proc = &tree->snap->procs[i];
	bool founds = !fits(maker, session), orphan = proc->parent == ID_NONE;
	const struct snap_zombie *founder = founds ? zombie_founder_of(tree->snap, maker, session)
						   : NULL;
	struct job helper;
	pid_t vpid = session;
	int ret;

	if (founds && (birth_is_recorded(tree->snap, session) && session != proc->sid)) {
		err_set(err, ENOTSUP,
			"process %d is in session %d, which its parent has never been in",
			proc->pid, session);
		return err_hint(err, "there is no way to make it again");
	}
	ret = founds ? birth_clone_id(tree, maker, vpid, 0,
			       founder ? founder->exit_signal : SIGCHLD, pid, err)
		     : helper_clone(tree, maker, SIGCHLD, &vpid, pid, err);
	if (ret < 0)
		return birth_taken(err);
	helper = birth_copy(maker, *pid);
	if (founds && birth_call(&helper, SYS_setsid, 0, 0, "setsid", err) < 0)
		return -err->code;
	if (birth_clone_id(tree, &helper, proc->pid, orphan ? 0 : CLONE_PARENT, SIGCHLD, pid, err) <
		0)
		return birth_taken(err);
	tree->jobs[i]->session = founds ? session : maker->session;
	tree->jobs[i]->group = founds ? session : maker->group;
	if (founder)
		return zombie_found_end(tree, &helper, founder, err);
	return helper_end(tree, maker, &helper, vpid, err);
}

/* In another session than its parent, which is *maker if anybody is. */
static int birth_elsewhere(struct tree *tree, uint32_t i, struct job **maker, int32_t session,
	pid_t *pid, struct err *err)
{
	const struct snap_proc *proc = &tree->snap->procs[i];
	const struct snap_zombie *founder = NULL;
	struct job *member = NULL;

	if (proc->parent != ID_NONE)
		member = adoption_maker(tree, proc->parent, snap_base_of(tree->snap, i), session);
	if (!*maker || !fits(*maker, session))
		founder = founder_elsewhere(tree, i, session);
	if (member) {
		*maker = member;
		tree->jobs[i]->session = session;
		tree->jobs[i]->group = member->group;
		return adoption_birth(tree, member, tree->jobs[proc->parent], proc->pid, pid, err);
	}
	if (founder)
		return birth_by_founder(tree, i, founder, maker, pid, err);
	if (!*maker)
		*maker = tree->jobs[0];
	return birth_by_helper(tree, i, *maker, session, pid, err);
}

/* What it shares with its parent, as flags of clone(2). */
static uint64_t birth_shares(const struct snap *snap, uint32_t i)
{
	const struct snap_proc *proc = &snap->procs[i];

	return (proc->shares_files ? CLONE_FILES : 0) | (proc->shares_fs ? CLONE_FS : 0) |
	       (proc->shares_sighand ? CLONE_SIGHAND : 0) |
	       (snap_shares_vm(snap, i) ? CLONE_VM : 0);
}

/* *maker: whose copy it is. */
static int birth_clone(
	struct tree *tree, uint32_t i, struct job **maker, pid_t *pid, struct err *err)
{
	const struct snap_proc *proc = &tree->snap->procs[i];
	int32_t session = birth_session(tree->snap, i);
	uint32_t with = snap_shares_with(tree->snap, i), base = snap_base_of(tree->snap, i);
	bool orphan = proc->parent == ID_NONE;
	struct job *sibling;
	uint64_t flags = 0;

	if (birth_shares(tree->snap, i) && !fits(tree->jobs[with], session)) {
		err_set(err, ENOTSUP,
			"process %d shares memory, descriptors or directories with one that was "
			"born in another session",
			proc->pid);
		return err_hint(err, "start it without CLONE_VM, CLONE_FILES and CLONE_FS");
	}
	*maker = orphan ? anybody_in(tree, snap_base_of(tree->snap, i), session)
			: tree->jobs[proc->parent];
	sibling = sibling_in(tree, i, session);
	/* A sibling with which it shares, or of whose memory it has a copy. */
	if (proc->shares_with == ID_NONE && !orphan && base != ID_NONE && base != proc->parent)
		with = base;
	if (with != ID_NONE && with != proc->parent && fits(tree->jobs[with], session)) {
		*maker = tree->jobs[with];
		flags = CLONE_PARENT | birth_shares(tree->snap, i);
	} else if (!orphan && !fits(*maker, session) && sibling) {
		*maker = sibling;
		flags = CLONE_PARENT;
	} else if (orphan && *maker && (*maker)->proc->parent == ID_NONE) {
		flags = CLONE_PARENT;
	} else if (orphan || !fits(*maker, session)) {
		return birth_elsewhere(tree, i, maker, session, pid, err);
	}
	if (!flags)
		flags = birth_shares(tree->snap, i);
	tree->jobs[i]->session = (*maker)->session;
	tree->jobs[i]->group = (*maker)->group;
	if (birth_clone_id(tree, *maker, proc->pid, flags, proc->exit_signal, pid, err) < 0)
		return birth_taken(err);
	return 0;
}

/* ---- births ------------------------------------------------------------------------------------
 */

/* copy: the process while it still has its maker's blob. */
static int founds_group(struct job *job, const struct job *copy, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	if (tree_leads_session(proc) && !job->session_waits) {
		if (birth_call(copy, SYS_setsid, 0, 0, "setsid", err) < 0)
			return -err->code;
		job->session = job->group = proc->pid;
	} else if (!tree_leads_session(proc) && tree_group_of(proc) == proc->pid) {
		if (birth_call(copy, SYS_setpgid, 0, 0, "setpgid", err) < 0)
			return -err->code;
		job->group = proc->pid;
	}
	return 0;
}

int birth_other(struct tree *tree, uint32_t i, struct job **maker, struct err *err)
{
	struct job *job = tree->jobs[i], copy;

	job->session_waits = has_early_child(tree->snap, i);
	if (birth_clone(tree, i, maker, &job->pid, err) < 0)
		return -err->code;
	copy = birth_copy(*maker, job->pid);
	return founds_group(job, &copy, err);
}

/* The leader of a session has ended: it is made again, makes the first process, and ends. */
static void leader_run(void *arg)
{
	struct job *job = arg;
	pid_t want = job->pids == PIDS_NEW ? 0 : job->proc->pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setsid() < 0)
		err_sys(&job->child_err, "setsid");
	else if (job->orphan)
		orphan_make(job, want);
	else
		spawn(want, CLONE_PARENT, child_run, job, &job->pid, &job->pidfd, &job->child_err);
	_exit(0);
}

static int spawn_by_leader(struct tree *tree, struct job *job, struct err *err)
{
	pid_t want = job->pids == PIDS_NEW ? 0 : job->proc->sid, leader;
	int pidfd = -1;

	if (spawn(want, 0, leader_run, job, &leader, &pidfd, err) < 0)
		return birth_taken(err);
	close(pidfd);
	helper_note(tree, NULL, leader);
	if (!job->pid && job->child_err.code) {
		*err = job->child_err;
		return -err->code;
	}
	if (job->orphan)
		return orphan_take(job, leader, err);
	/* What the leader got is in its table of descriptors. */
	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	return job->pidfd < 0 ? err_sys(err, "pidfd_open") : 0;
}

static int first_spawn(struct tree *tree, struct job *job, struct err *err)
{
	pid_t want = job->pids == PIDS_NEW ? 0 : job->proc->pid;

	/* The init of the namespace that we are in waits to become it. */
	if (job->gate >= 0) {
		job->pid = job->proc->pid;
		return gate_open(job, err);
	}
	if (orphan_begin(job, err) < 0)
		return -err->code;
	if (!job->proc->session_inherited && !tree_leads_session(job->proc))
		return spawn_by_leader(tree, job, err);
	if (job->orphan ? orphan_spawn(job, err) == 0
			: spawn(want, 0, child_run, job, &job->pid, &job->pidfd, err) == 0)
		return 0;
	if (err->code == EEXIST && want)
		err_hint(err, "process id %d is in use: --pids=ns or --pids=new gets round that",
			want);
	if (err->code == EINVAL && want)
		err_hint(err, "where %d is above kernel.pid_max, --pids=ns gets round that", want);
	return -err->code;
}

static int first_begin(struct tree *tree, struct err *err)
{
	const uintptr_t options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
				  PTRACE_O_TRACEVFORK | PTRACE_O_TRACESYSGOOD |
				  seccomp_ptrace_options(tree->snap);
	struct job *job = tree->jobs[0];
	const struct snap_proc *proc = job->proc;

	job->session_waits = has_early_child(tree->snap, 0);
	if (first_spawn(tree, job, err) < 0)
		return -err->code;
	birth_note(tree, job->pid);
	job->session = tree_leads_session(proc) && job->session_waits ? SESSION_CALLERS
								      : session_of(proc);
	job->group = tree_leads_session(proc) && job->session_waits ? 0
		     : tree_leads_session(proc) || tree_group_of(proc) == proc->pid
			     ? proc->pid
			     : (proc->session_inherited ? 0 : proc->sid);
	if (stops_wait(job, job->pid, SIGTRAP, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_SETOPTIONS, job->pid, 0, options) < 0)
		return err_sys(err, "ptrace options of the new process");
	return 0;
}

int birth_first(struct tree *tree, struct err *err)
{
	int ret = first_begin(tree, err);

	log_release(); /* of child_run() */
	return ret;
}
