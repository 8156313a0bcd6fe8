/* Births in the right family, session and group; see tree_birth.h. */
#include "restore/tree_birth.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "images/tree.h"
#include "restore/child.h"
#include "restore/job.h"
#include "restore/seccomp.h"
#include "restore/spawn.h"
#include "restore/stops.h"
#include "restore/tree.h"
#include "tracee/tracee.h"

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

static int32_t group_of(const struct snap_proc *proc)
{
	return proc->group_inherited ? 0 : proc->pgid;
}

/* A leader shows by children that are not in its session where it was born itself. */
int32_t birth_session(const struct snap *snap, uint32_t i)
{
	const struct snap_proc *proc = &snap->procs[i];

	if (!tree_leads_session(proc))
		return session_of(proc);
	for (uint32_t c = i + 1; c < snap->nr_procs; c++) {
		int32_t session;

		if (snap->procs[c].parent != i)
			continue;
		session = birth_session(snap, c);
		if (session != SESSION_ANY && session != proc->sid)
			return session;
	}
	return SESSION_ANY;
}

bool birth_is_early(const struct snap *snap, uint32_t i)
{
	const struct snap_proc *parent = &snap->procs[snap->procs[i].parent];
	int32_t session = birth_session(snap, i);

	return tree_leads_session(parent) && session != SESSION_ANY && session != parent->sid;
}

static bool has_early_child(const struct snap *snap, uint32_t i)
{
	for (uint32_t c = i + 1; c < snap->nr_procs; c++)
		if (snap->procs[c].parent == i && birth_is_early(snap, c))
			return true;
	return false;
}

/* ---- records -----------------------------------------------------------------------------------
 */

static void pid_note(struct tree *tree, pid_t pid)
{
	tree->pids = arena_grow(
		tree->snap->arena, tree->pids, tree->nr_pids, &tree->cap_pids, sizeof *tree->pids);
	tree->pids[tree->nr_pids++] = pid;
}

static void helper_note(struct tree *tree, struct job *parent, pid_t vpid)
{
	tree->helpers = arena_grow(tree->snap->arena, tree->helpers, tree->nr_helpers,
		&tree->cap_helpers, sizeof *tree->helpers);
	tree->helpers[tree->nr_helpers++] = (struct helper){ parent, vpid };
}

static bool is_helper(const struct tree *tree, pid_t vpid)
{
	for (size_t i = 0; i < tree->nr_helpers; i++)
		if (tree->helpers[i].vpid == vpid)
			return true;
	return false;
}

static bool is_id_of(const struct snap *snap, int32_t id)
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

static int clone_with_id(struct tree *tree, const struct job *maker, pid_t vpid, uint64_t flags,
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
	pid_note(tree, *pid);
	return 0;
}

static int taken_hint(struct err *err)
{
	if (err->code == EEXIST)
		err_hint(err, "its id is in use: --pids=ns gets round that");
	return -err->code;
}

/* A process that does nothing but found a session, a group, or a family, and ends. */
static struct job helper_job(const struct job *maker, pid_t pid)
{
	struct job helper = *maker;

	helper.pid = pid;
	return helper;
}

/* An id that neither this image nor anybody else has. */
static int clone_anonymous(
	struct tree *tree, struct job *maker, pid_t *vpid, pid_t *pid, struct err *err)
{
	for (*vpid = 1000; *vpid < 32768; (*vpid)++) {
		if (is_id_of(tree->snap, *vpid) || is_helper(tree, *vpid))
			continue;
		*err = (struct err){ 0 };
		if (clone_with_id(tree, maker, *vpid, 0, SIGCHLD, pid, err) == 0)
			return 0;
		if (err->code != EEXIST)
			break;
	}
	return -err->code;
}

static int remote_simple(
	const struct job *job, long nr, uint64_t a, uint64_t b, const char *what, struct err *err)
{
	struct remote call = { nr, { a, b } };

	return stops_blob_syscall(job, &call, what, NULL, err);
}

static int helper_end(struct tree *tree, struct job *parent, const struct job *helper, pid_t vpid,
	struct err *err)
{
	helper_note(tree, parent, vpid);
	return stops_exit(helper->pid, helper->plan.base + BLOB_SYSCALL_INSN, 0, err);
}

/* ---- the ended ---------------------------------------------------------------------------------
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
	if (remote_simple(zombie, SYS_prctl, PR_SET_DUMPABLE, 0, "prctl", err) < 0)
		return -err->code;
	return zombie_killed(zombie, WTERMSIG(status), err);
}

/* Its name, and the end it has to have. */
static int zombie_finish(struct job *made, const struct snap_zombie *zombie, struct err *err)
{
	if (stops_write(made, birth_scratch(made), zombie->comm, sizeof zombie->comm, err) < 0 ||
		remote_simple(made, SYS_prctl, PR_SET_NAME, birth_scratch(made), "prctl", err) < 0)
		return -err->code;
	return zombie_die(made, zombie->wait_status, err);
}

/* ---- who makes whom ----------------------------------------------------------------------------
 */

static bool fits(const struct job *maker, int32_t session)
{
	return maker && maker->pid && (session == SESSION_ANY || maker->session == session);
}

/* Somebody in that session whose parent is the same: CLONE_PARENT makes siblings. */
static struct job *sibling_in(const struct tree *tree, uint32_t i, int32_t session)
{
	for (size_t s = 0; s < tree->snap->nr_procs; s++)
		if (fits(tree->jobs[s], session) &&
			tree->snap->procs[s].parent == tree->snap->procs[i].parent)
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

/* An ended process that led this session, if the maker has to wait for it. */
static const struct snap_zombie *founder_of(
	const struct snap *snap, const struct job *maker, int32_t session)
{
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == session &&
			&snap->procs[snap->zombies[i].parent] == maker->proc)
			return &snap->zombies[i];
	return NULL;
}

/* It has done what a helper does, and stays as the zombie it is. */
static int founder_end(
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

/*
 * Through a helper: it founds the session where nobody is in it, and the process is its sibling
 * where that has a parent in the tree; an orphan is its child, and is orphaned by its end.
 */
static int birth_by_helper(struct tree *tree, uint32_t i, struct job *maker, int32_t session,
	pid_t *pid, struct err *err)
{
	const struct snap_proc *proc = &tree->snap->procs[i];
	bool founds = !fits(maker, session), orphan = proc->parent == ID_NONE;
	const struct snap_zombie *founder = founds ? founder_of(tree->snap, maker, session) : NULL;
	struct job helper;
	pid_t vpid = session;
	int ret;

	if (founds && (is_id_of(tree->snap, session) && session != proc->sid)) {
		err_set(err, ENOTSUP,
			"process %d is in session %d, which its parent has never been in",
			proc->pid, session);
		return err_hint(err, "there is no way to make it again");
	}
	ret = founds ? clone_with_id(tree, maker, vpid, 0, founder ? founder->exit_signal : SIGCHLD,
			       pid, err)
		     : clone_anonymous(tree, maker, &vpid, pid, err);
	if (ret < 0)
		return taken_hint(err);
	helper = helper_job(maker, *pid);
	if (founds && remote_simple(&helper, SYS_setsid, 0, 0, "setsid", err) < 0)
		return -err->code;
	if (clone_with_id(tree, &helper, proc->pid, orphan ? 0 : CLONE_PARENT, SIGCHLD, pid, err) <
		0)
		return taken_hint(err);
	tree->jobs[i]->session = founds ? session : maker->session;
	tree->jobs[i]->group = founds ? session : maker->group;
	if (founder)
		return founder_end(tree, &helper, founder, err);
	return helper_end(tree, maker, &helper, vpid, err);
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
	bool orphan = proc->parent == ID_NONE;
	struct job *sibling;
	uint64_t flags = 0;

	if (birth_shares(tree->snap, i) && !fits(tree->jobs[proc->parent], session)) {
		err_set(err, ENOTSUP,
			"process %d shares memory, descriptors or directories with a parent that "
			"is in another session",
			proc->pid);
		return err_hint(err, "start it without CLONE_VM, CLONE_FILES and CLONE_FS");
	}
	*maker = orphan ? anybody_in(tree, snap_base_of(tree->snap, i), session)
			: tree->jobs[proc->parent];
	sibling = sibling_in(tree, i, session);
	if (!orphan && !fits(*maker, session) && sibling) {
		*maker = sibling;
		flags = CLONE_PARENT;
	} else if (orphan && *maker && (*maker)->proc->parent == ID_NONE) {
		flags = CLONE_PARENT;
	} else if (orphan || !fits(*maker, session)) {
		if (!*maker)
			*maker = tree->jobs[0];
		return birth_by_helper(tree, i, *maker, session, pid, err);
	}
	if (!flags)
		flags = birth_shares(tree->snap, i);
	tree->jobs[i]->session = (*maker)->session;
	tree->jobs[i]->group = (*maker)->group;
	if (clone_with_id(tree, *maker, proc->pid, flags, proc->exit_signal, pid, err) < 0)
		return taken_hint(err);
	return 0;
}

/* ---- births ------------------------------------------------------------------------------------
 */

/* copy: the process while it still has its maker's blob. */
static int founds_group(struct job *job, const struct job *copy, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	if (tree_leads_session(proc) && !job->session_waits) {
		if (remote_simple(copy, SYS_setsid, 0, 0, "setsid", err) < 0)
			return -err->code;
		job->session = job->group = proc->pid;
	} else if (!tree_leads_session(proc) && group_of(proc) == proc->pid) {
		if (remote_simple(copy, SYS_setpgid, 0, 0, "setpgid", err) < 0)
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
	copy = helper_job(*maker, job->pid);
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
	else
		spawn(want, CLONE_PARENT, child_run, job, &job->pid, &job->pidfd, &job->child_err);
	_exit(0);
}

static int spawn_by_leader(struct tree *tree, struct job *job, struct err *err)
{
	pid_t want = job->pids == PIDS_NEW ? 0 : job->proc->sid, leader;
	int pidfd = -1;

	if (spawn(want, 0, leader_run, job, &leader, &pidfd, err) < 0)
		return taken_hint(err);
	close(pidfd);
	helper_note(tree, NULL, leader);
	if (!job->pid && job->child_err.code) {
		*err = job->child_err;
		return -err->code;
	}
	/* What the leader got is in its table of descriptors. */
	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	return job->pidfd < 0 ? err_sys(err, "pidfd_open") : 0;
}

static int first_spawn(struct tree *tree, struct job *job, struct err *err)
{
	pid_t want = job->pids == PIDS_NEW ? 0 : job->proc->pid;

	if (!job->proc->session_inherited && !tree_leads_session(job->proc))
		return spawn_by_leader(tree, job, err);
	if (spawn(want, 0, child_run, job, &job->pid, &job->pidfd, err) == 0)
		return 0;
	if (err->code == EEXIST && want)
		err_hint(err, "process id %d is in use: --pids=ns or --pids=new gets round that",
			want);
	return -err->code;
}

int birth_first(struct tree *tree, struct err *err)
{
	const uintptr_t options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
				  PTRACE_O_TRACEVFORK | PTRACE_O_TRACESYSGOOD |
				  seccomp_ptrace_options(tree->snap);
	struct job *job = tree->jobs[0];
	const struct snap_proc *proc = job->proc;

	job->session_waits = has_early_child(tree->snap, 0);
	if (first_spawn(tree, job, err) < 0)
		return -err->code;
	pid_note(tree, job->pid);
	job->session = tree_leads_session(proc) && job->session_waits ? SESSION_CALLERS
								      : session_of(proc);
	job->group = tree_leads_session(proc) && job->session_waits ? 0
		     : tree_leads_session(proc) || group_of(proc) == proc->pid
			     ? proc->pid
			     : (proc->session_inherited ? 0 : proc->sid);
	if (stops_wait(job, job->pid, SIGTRAP, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_SETOPTIONS, job->pid, 0, options) < 0)
		return err_sys(err, "ptrace options of the new process");
	return 0;
}

/* ---- the ended, in their families ------------------------------------------------------------ */

static bool group_is_ours(const struct snap *snap, int32_t pgid)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (!snap->procs[i].group_inherited && snap->procs[i].pgid == pgid)
			return true;
	return false;
}

int birth_zombie(struct tree *tree, const struct snap_zombie *zombie, struct err *err)
{
	struct job *parent = tree->jobs[zombie->parent], made;
	pid_t pid;

	if (is_founder(tree, zombie->pid))
		return 0;
	if (clone_with_id(tree, parent, zombie->pid, 0, zombie->exit_signal, &pid, err) < 0)
		return taken_hint(err);
	made = helper_job(parent, pid);
	if (zombie->sid == zombie->pid) {
		if (remote_simple(&made, SYS_setsid, 0, 0, "setsid", err) < 0)
			return -err->code;
	} else if (zombie->pgid == zombie->pid) {
		if (remote_simple(&made, SYS_setpgid, 0, 0, "setpgid", err) < 0)
			return -err->code;
	} else if (zombie->pgid != parent->group && group_is_ours(tree->snap, zombie->pgid)) {
		/* A group whose leader is not there (yet) shows only in ps. */
		struct remote join = { SYS_setpgid, { 0, (uint64_t)zombie->pgid } };
		int64_t ret;

		if (stops_syscall(&made, made.plan.base + BLOB_SYSCALL_INSN, &join, &ret, err) < 0)
			return -err->code;
	}
	return zombie_finish(&made, zombie, err);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

/* The leader has ended: a helper with its id founds the group. */
static int group_found(struct tree *tree, struct job *member, int32_t group, struct err *err)
{
	struct job helper;
	pid_t pid;

	if (is_id_of(tree->snap, group) && kill(group, 0) == 0)
		return 0;
	if (is_helper(tree, group))
		return 0;
	if (clone_with_id(tree, member, group, 0, SIGCHLD, &pid, err) < 0)
		return taken_hint(err);
	helper = helper_job(member, pid);
	if (remote_simple(&helper, SYS_setpgid, 0, 0, "setpgid", err) < 0)
		return -err->code;
	return helper_end(tree, member, &helper, group, err);
}

static int group_join(struct tree *tree, struct job *job, struct err *err)
{
	int32_t want = group_of(job->proc);

	if (job->group == want || job->pids == PIDS_NEW)
		return 0;
	/* The caller's group is not to be seen from another pid namespace. */
	if (!want)
		want = job->pids == PIDS_NS ? 0 : getpgrp();
	else if (group_found(tree, job, want, err) < 0)
		return -err->code;
	if (want && remote_simple(job, SYS_setpgid, 0, (uint64_t)want, "setpgid", err) < 0)
		return err_wrap(err, "process %d, group %d", job->proc->pid, want);
	return 0;
}

int birth_groups(struct tree *tree, struct err *err)
{
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
