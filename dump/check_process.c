/* Objections to a process and its threads; see check_process.h. */
#include "dump/check_process.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/check.h"
#include "dump/dumping.h"
#include "dump/tree.h"
#include "dump/seccomp.h"
#include "dump/unshared.h"
#include "dump/waits.h"
#include "images/fd/proc_gone.h"
#include "images/tree.h"
#include "tracee/proc.h"

/* One objection: what to do about it, then what it is and why. */
static void ERR_FMT(3, 4) object(struct objections *o, const char *remedy, const char *fmt, ...)
{
	struct err err = { .code = ENOTSUP };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof err.msg, fmt, ap);
	va_end(ap);
	err_hint(&err, "%s", remedy);
	objections_add(o, &err);
}

/* The last one will not be so for ever. */
static void object_passes(struct objections *o)
{
	o->all[o->nr - 1].passes = true;
}

static const char *process_name(const struct dumping_proc *p, struct arena *a)
{
	return arena_printf(a, "process %d (%s)", p->t->pid, p->stat.comm);
}

/* ---- relatives -------------------------------------------------------------------------- */

/* What clone(2) can let two processes share, besides memory by copy on write. */
static const struct {
	int type;
	const char *what, *remedy;
} shareable[SHARES_END] = {
	[SHARES_VM] = { KCMP_VM, "memory", "wait until it has called exec" },
	[SHARES_FILES] = { KCMP_FILES, "descriptor table", "start it without CLONE_FILES" },
	[SHARES_FS] = { KCMP_FS, "working directory and umask", "start it without CLONE_FS" },
	[SHARES_SIGHAND] = { KCMP_SIGHAND, "signal handlers", "start it without CLONE_SIGHAND" },
};

enum { VFORK_LOOKS = 25 };

static void check_shared_outside(struct dumping_proc *p, struct objections *o)
{
	for (size_t i = 0; i < SHARES_END; i++) {
		if (syscall(SYS_kcmp, p->th->tid, p->status.ppid, shareable[i].type, 0, 0) != 0)
			continue;
		object(o,
			i ? shareable[i].remedy
			  : "wait until it has called exec, or dump the parent",
			"%s shares its %s with its parent, process %d (vfork, clone), which is not "
			"part of the dump",
			process_name(p, o->arena), shareable[i].what, p->status.ppid);
		return;
	}
}

/* Who shares is born by who shares with it, and so into its session; it, or before its other
 * children that one, may found its own then. */
static bool is_born_elsewhere(const struct snap_proc *proc, const struct snap_proc *with)
{
	return !proc->session_inherited && proc->sid != with->sid && proc->sid != proc->pid &&
	       with->sid != with->pid;
}

/* Held is what it shares with its parent or with one sibling, of the same exit signal: by one of
 * these it will be made. */
static void check_shared_inside(struct dumping_proc *p, struct objections *o)
{
	const struct snap *snap = p->d->snap;
	uint32_t with = snap_shares_with(snap, p->id);
	bool sibling = snap->procs[p->id].shares_with != ID_NONE;

	for (int t = 0; t < SHARES_END; t++) {
		if (p->shares[t] == p->id)
			continue;
		if (!tree_shares(p->d, p->id, with, t))
			object(o, shareable[t].remedy,
				"%s shares its %s with process %d, which is neither its parent nor "
				"a sibling that shares all the rest; that is not supported yet",
				process_name(p, o->arena), shareable[t].what,
				p->d->procs[p->shares[t]].t->pid);
		else if (is_born_elsewhere(&snap->procs[p->id], &snap->procs[with]))
			object(o, shareable[t].remedy,
				"%s shares its %s with process %d, and is in session %d, which "
				"neither of them leads; that is not supported yet",
				process_name(p, o->arena), shareable[t].what,
				p->d->procs[with].t->pid, snap->procs[p->id].sid);
		else if (sibling && snap->procs[with].exit_signal != snap->procs[p->id].exit_signal)
			object(o, shareable[t].remedy,
				"%s shares its %s with its sibling %d, but not the exit signal; "
				"that is not supported yet",
				process_name(p, o->arena), shareable[t].what,
				p->d->procs[with].t->pid);
	}
}

int check_tree(struct dumping_proc *p, struct objections *o, struct err *err)
{
	(void)err;
	if (dumping_snap_proc(p)->parent == ID_NONE)
		check_shared_outside(p, o);
	check_shared_inside(p, o);
	return 0;
}

/* ---- threads ---------------------------------------------------------------------------- */

/* prctl(PR_SET_SPECULATION_CTRL), as status shows it. */
static void check_speculation(const char *text, const char *name, struct objections *o)
{
	static const char *const keys[] = { "Speculation_Store_Bypass",
		"SpeculationIndirectBranch" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *value = text_field(text, keys[i]);

		if (value && (text_starts(value, "thread force mitigated") ||
				     text_starts(value, "thread mitigated") ||
				     text_starts(value, "conditional force disabled") ||
				     text_starts(value, "conditional disabled")))
			object(o, "start the program without it",
				"%s has speculation control (PR_SET_SPECULATION_CTRL) in force, "
				"which is not supported yet",
				name);
	}
}

static void check_status(const struct dumping *d, const struct proc_status *status,
	const char *name, struct objections *o)
{
	struct err why = { 0 };

	if (seccomp_check_thread(d, status, &why) < 0)
		object(o, why.hint, "%s %s", name, why.msg);
	if (status->shadow_stack)
		object(o, "start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
			"%s has a shadow stack (CET), which is not supported yet", name);
	if (status->tagged)
		object(o, "start the program without it",
			"%s keeps data in the upper bits of addresses (linear address masking, "
			"ARCH_ENABLE_TAGGED_ADDR), which is not supported yet",
			name);
}

/* prctl(PR_SCHED_CORE), linux/prctl.h since Linux 5.14: another group than ours. */
static void check_core_cookie(pid_t tid, const char *name, struct objections *o)
{
	enum { SCHED_CORE = 62, SCHED_CORE_GET = 0, SCOPE_THREAD = 0 };
	uint64_t theirs = 0, ours = 0;

	if (prctl(SCHED_CORE, SCHED_CORE_GET, tid, SCOPE_THREAD, &theirs) < 0 || !theirs ||
		prctl(SCHED_CORE, SCHED_CORE_GET, 0, SCOPE_THREAD, &ours) < 0 || ours == theirs)
		return;
	object(o, "let the program begin without it",
		"%s shares a core with none but its group (PR_SCHED_CORE), which is not supported "
		"yet",
		name);
}

/* Not there: one whose first process is still to come (awaits_first_child()). */
static bool in_same(const struct dumping_proc *p, pid_t tid, const char *ns)
{
	struct stat own, first;
	char path[64];

	snprintf(path, sizeof path, "ns/%s", ns);
	if (fstatat(p->dir, path, &first, 0) < 0)
		return true;
	snprintf(path, sizeof path, "task/%d/ns/%s", tid, ns);
	return fstatat(p->t->procfd, path, &own, 0) == 0 && own.st_ino == first.st_ino &&
	       own.st_dev == first.st_dev;
}

/* What a thread may leave alone (unshare(2), setns(2)): all but the user namespace. */
static void check_thread_namespaces(
	const struct dumping_proc *p, pid_t tid, const char *name, struct objections *o)
{
	static const char *const namespaces[] = { "mnt", "net", "ipc", "uts", "cgroup", "pid",
		"time", "pid_for_children", "time_for_children" };

	for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
		if (in_same(p, tid, namespaces[i]))
			continue;
		object(o, "dump it when that thread has ended or come back (setns)",
			"%s is in other namespaces than the first thread (%s), which is not "
			"supported",
			name, namespaces[i]);
		return;
	}
}

static bool is_ending(const struct dumping_proc *p, pid_t tid)
{
	struct proc_stat stat;
	char name[48];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	return proc_stat(p->t->procfd, name, &stat, NULL) < 0 || proc_is_ending(&stat);
}

/*
 * Not to be interrupted (wait_for_vfork_done() in kernel/fork.c), as a freeze would find out after
 * ten seconds. Most are over in a moment: posix_spawn(3).
 */
static bool waits_in_vfork(const struct dumping_proc *p, pid_t tid)
{
	struct proc_syscall call;
	struct proc_stat stat;
	char name[48];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	for (int i = 0; i < VFORK_LOOKS; i++) {
		if (proc_stat(p->t->procfd, name, &stat, NULL) < 0 ||
			proc_syscall(p->t->procfd, tid, &call, NULL) < 0 ||
			!wait_is_vfork(stat.state, call.nr))
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000000L }, NULL);
	}
	return true;
}

static int check_thread(struct dumping_proc *p, pid_t tid, struct objections *o, struct err *err)
{
	struct proc_status status;
	char path[48], *text;
	const char *name;
	size_t len, before = o->nr;
	int ret;

	snprintf(path, sizeof path, "task/%d/status", tid);
	ret = proc_text(p->t->procfd, path, o->arena, &text, &len, err);
	if (!ret)
		ret = proc_status(p->t->procfd, path, o->arena, &status, err);
	/* It may have ended while we looked. */
	if (ret == -ENOENT || ret == -ESRCH)
		return 0;
	if (ret < 0)
		return ret;
	name = arena_printf(o->arena, "process %d (%s), thread %d", p->t->pid, p->stat.comm, tid);
	check_status(p->d, &status, name, o);
	check_speculation(text, name, o);
	check_core_cookie(tid, name, o);
	unshared_check(p, tid, name, o);
	if (tid != p->t->pid)
		check_thread_namespaces(p, tid, name, o);
	if (waits_in_vfork(p, tid)) {
		object(o, "wait until its child has called exec",
			"%s waits in vfork(2) for a child that goes on without exec; it cannot be "
			"stopped "
			"there",
			name);
		object_passes(o);
	}
	/* What an ending thread looks like does not matter: it will not be there any more. */
	if (tid != p->t->pid && is_ending(p, tid))
		o->nr = before;
	return 0;
}

int check_threads(struct dumping_proc *p, struct objections *o, struct err *err)
{
	pid_t *tids;
	size_t nr;
	int ret = proc_tasks(p->t->procfd, o->arena, &tids, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++)
		ret = check_thread(p, tids[i], o, err);
	return ret;
}

/* ---- surroundings ----------------------------------------------------------------------- */

static bool same_ns(const struct dumping_proc *p, const char *theirs, const char *ours)
{
	char path[64];
	struct stat a, b;

	/* A kernel without this namespace; or, where we see ours, one that waits for its first
	 * child. */
	snprintf(path, sizeof path, "ns/%s", theirs);
	if (fstatat(p->dir, path, &a, 0) < 0) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", theirs);
		return stat(path, &a) < 0;
	}
	snprintf(path, sizeof path, "/proc/self/ns/%s", ours);
	return stat(path, &b) < 0 || (a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

/* A pid namespace without its init yet cannot be looked at (pidns_for_children_get() in
 * kernel/pid_namespace.c). */
static bool awaits_first_child(const struct dumping_proc *p)
{
	struct stat st;

	return fstatat(p->dir, "ns/pid", &st, 0) == 0 &&
	       fstatat(p->dir, "ns/pid_for_children", &st, 0) < 0 && errno == ENOENT;
}

static const struct {
	const char *name, *what, *option; /* of nsenter(1) */
} namespaces[] = {
	{ "user", "user", " --user --preserve-credentials" },
	{ "mnt", "mount", " --mount" },
	{ "net", "network", " --net" },
	{ "ipc", "IPC", " --ipc" },
	{ "uts", "UTS", " --uts" },
	{ "cgroup", "cgroup", " --cgroup" },
	{ "time", "time", " --time" },
};

static bool is_snapctl(const struct dumping_proc *p)
{
	struct stat theirs, ours;

	return fstatat(p->dir, "exe", &theirs, 0) == 0 && stat("/proc/self/exe", &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* People find it first, as it has the name and the terminal: the one that it stands in for. */
static const struct dumping_proc *stands_in_for(const struct dumping_proc *p)
{
	if (!is_snapctl(&p->d->procs[0]))
		return NULL;
	for (size_t i = 1; i < p->d->nr_procs; i++)
		if (!is_snapctl(&p->d->procs[i]))
			return &p->d->procs[i];
	return NULL;
}

/* Only those that are others: an ordinary user may not enter the ones he is in. */
static const char *how_to_enter(const struct dumping_proc *p, struct arena *a)
{
	pid_t outside = p->d->opts->pid_outside;
	const char *options = outside ? " --user --preserve-credentials --mount" : "";
	const struct dumping_proc *program = stands_in_for(p);

	if (program)
		return arena_printf(a,
			"process %d is snapctl, which stands in for a program that it has "
			"restored: dump that one, --pid %d",
			p->d->procs[0].t->pid, program->t->pid);
	if (p->id)
		return "start the program so that all its processes stay in one";
	for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
		if (!same_ns(p, namespaces[i].name, namespaces[i].name))
			options = arena_printf(a, "%s%s", options, namespaces[i].option);
	return arena_printf(a, "run snapctl in there: nsenter --target %d%s%s snapctl ... --pid %d",
		outside ? outside : p->t->pid, options,
		outside || p->status.nr_ns > 1 ? " --pid" : "", p->status.nspid);
}

static void check_namespaces(struct dumping_proc *p, struct objections *o)
{
	const char *enter = how_to_enter(p, o->arena), *name = process_name(p, o->arena);

	for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
		if (!same_ns(p, namespaces[i].name, namespaces[i].name))
			object(o, enter,
				"%s is in another %s namespace than snapctl, which is not "
				"supported yet",
				name, namespaces[i].what);
	if (p->status.nr_ns > 1)
		object(o, enter,
			"%s is in another PID namespace than snapctl, which is not supported yet",
			name);
	else if (awaits_first_child(p) || !same_ns(p, "pid_for_children", "pid") ||
		 !same_ns(p, "time_for_children", "time"))
		object(o, "start it without unshare",
			"%s has made a namespace for its future children (unshare), which is not "
			"supported yet",
			name);
}

/* They are over what belongs to the namespace, and would be over everything after a restore. */
static void check_capabilities(struct dumping_proc *p, struct objections *o)
{
	if (p->d->opts->userns_entered &&
		(p->status.cap_prm || p->status.cap_inh || p->status.cap_amb))
		object(o, "let the program give them up (setpriv --bounding-set=-all, capsh)",
			"%s has capabilities in a user namespace of its own, which is not "
			"supported",
			process_name(p, o->arena));
}

/* Only the first process is there when working directories are opened again. */
static void check_cwd(struct dumping_proc *p, struct objections *o)
{
	static const char deleted[] = " (deleted)";
	const char *rest;
	char *cwd;
	int32_t pid;

	if (proc_link(p->dir, "cwd", o->arena, &cwd, NULL) < 0)
		return;
	if (text_ends(cwd, deleted))
		cwd[strlen(cwd) - strlen(deleted)] = '\0';
	pid = proc_path_pid(cwd, &rest);
	if (pid && pid != p->d->procs[0].status.nspid)
		object(o, "let the program go somewhere else (cd) before the dump",
			"%s: its working directory is %s, of a process that is not there yet when "
			"it is entered again",
			process_name(p, o->arena), cwd);
}

int check_surroundings(struct dumping_proc *p, struct objections *o, struct err *err)
{
	(void)err;
	check_namespaces(p, o);
	check_capabilities(p, o);
	check_cwd(p, o);
	return 0;
}
