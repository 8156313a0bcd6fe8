/* Who belongs to a dump; see tree.h. */
#include "dump/tree.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/process.h"

enum { END_LOOKS = 50 };

/* ---- taking hold -------------------------------------------------------------------------- */

static struct tracee *tracee_of(const struct dumping *d, pid_t pid)
{
	for (size_t i = 0; i < d->tracer->nr_tracees; i++)
		if (d->tracer->tracees[i]->pid == pid && !d->tracer->tracees[i]->ended)
			return d->tracer->tracees[i];
	return NULL;
}

static bool is_zombie(pid_t pid, struct proc_stat *stat)
{
	OWNED_FD fd = -1;

	return proc_open(pid, &fd, NULL) < 0 || proc_stat(fd, "stat", stat, NULL) < 0 ||
	       ((stat->state == 'Z' || stat->state == 'X') && stat->num_threads <= 1);
}

static bool thread_is_ending(int procfd, pid_t tid)
{
	struct proc_stat stat;
	char name[48];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	return proc_stat(procfd, name, &stat, NULL) < 0 || proc_is_ending(&stat);
}

/* The threads of a process whose first one has ended, that go on; -1: that one goes on, too. */
static int threads_left(pid_t pid)
{
	struct arena *a = arena_create();
	OWNED_FD fd = -1;
	pid_t *tids;
	size_t nr = 0;
	int left = 0;

	if (proc_open(pid, &fd, NULL) == 0 && proc_tasks(fd, a, &tids, &nr, NULL) < 0)
		nr = 0;
	for (size_t i = 0; i < nr && left >= 0; i++)
		if (!thread_is_ending(fd, tids[i]))
			left = tids[i] == pid ? -1 : left + 1;
	arena_destroy(a);
	return left;
}

/* A leader may end long before its threads. Where all end, they do within a moment. */
bool tree_is_ending(pid_t pid)
{
	int left = threads_left(pid);

	for (int i = 0; left > 0 && i < END_LOOKS; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 2 * 1000000L }, NULL);
		left = threads_left(pid);
	}
	return left == 0;
}

static int children_seize(struct dumping *d, struct tracee *t, struct arena *a, struct err *err)
{
	int ret, seized = 0;
	pid_t *pids;
	size_t nr;

	/* Unless it has ended meanwhile. */
	if (proc_children(t->procfd, a, &pids, &nr, NULL) < 0)
		return 0;
	for (size_t i = 0; i < nr; i++) {
		struct proc_stat stat;
		struct tracee *child;

		if (tracee_of(d, pids[i]) || is_zombie(pids[i], &stat))
			continue;
		ret = tracee_seize(d->tracer, pids[i], &child, err);
		if (ret < 0 && ret != -ESRCH && !is_zombie(pids[i], &stat))
			return err_wrap(err, "child process %d", pids[i]);
		seized += ret == 0;
	}
	return seized;
}

int tree_seize(struct dumping *d, struct err *err)
{
	struct arena *a = arena_create();
	int ret = 0, seized = 0, before;

	/* The table grows while we walk it; and those that were not ours yet may fork meanwhile. */
	do {
		before = seized;
		for (size_t i = 0; ret >= 0 && i < d->tracer->nr_tracees; i++) {
			struct tracee *t = d->tracer->tracees[i];

			ret = t->ended ? 0 : children_seize(d, t, a, err);
			seized += ret > 0 ? ret : 0;
		}
	} while (ret >= 0 && seized > before);
	arena_destroy(a);
	return ret < 0 ? ret : seized;
}

int tree_freeze(struct dumping *d, struct err *err)
{
	int ret;

	do {
		ret = tracer_freeze(d->tracer, err);
		if (!ret)
			ret = tree_seize(d, err);
	} while (ret > 0);
	return ret;
}

/* ---- the order ---------------------------------------------------------------------------- */

static uint32_t proc_of(const struct dumping *d, pid_t pid)
{
	for (uint32_t i = 0; i < d->nr_procs; i++)
		if (d->procs[i].t->pid == pid)
			return i;
	return ID_NONE;
}

/* 1: added; 0: it is just ending, as it may while it is not frozen. */
static int proc_add(struct dumping *d, struct tracee *t, uint32_t parent, struct err *err)
{
	struct dumping_proc *p = &d->procs[d->nr_procs];
	int ret = process_begin(d, t, p, err);

	if (!ret) {
		d->nr_procs++;
		dumping_snap_proc(p)->parent = parent;
		return 1;
	}
	process_end(p);
	d->snap->nr_procs = d->nr_procs;
	if (t != d->target && tree_is_ending(t->pid)) {
		*err = (struct err){ 0 };
		return 0;
	}
	return err_wrap(err, "process %d", t->pid);
}

/* Those whose parents are there already; gives how many that were. */
static int procs_add_children(struct dumping *d, struct err *err)
{
	int added = 0, ret;

	for (size_t i = 0; i < d->tracer->nr_tracees; i++) {
		struct tracee *t = d->tracer->tracees[i];
		struct proc_stat stat;
		uint32_t parent;

		if (t->ended || proc_of(d, t->pid) != ID_NONE ||
			proc_stat(t->procfd, "stat", &stat, NULL) < 0)
			continue;
		parent = proc_of(d, stat.ppid);
		if (parent == ID_NONE)
			continue;
		ret = proc_add(d, t, parent, err);
		if (ret < 0)
			return ret;
		added += ret;
	}
	return added;
}

/* Lost its parent, and was adopted by somebody outside. */
static int procs_add_orphan(struct dumping *d, struct err *err)
{
	int ret;

	for (size_t i = 0; i < d->tracer->nr_tracees; i++) {
		struct tracee *t = d->tracer->tracees[i];
		struct proc_stat stat;

		if (t->ended || proc_of(d, t->pid) != ID_NONE || is_zombie(t->pid, &stat))
			continue;
		ret = proc_add(d, t, ID_NONE, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int procs_add(struct dumping *d, struct err *err)
{
	int ret;

	d->procs = arena_array(
		d->snap->arena, d->tracer->nr_tracees + 1, sizeof(struct dumping_proc));
	d->nr_procs = 0;
	ret = proc_add(d, d->target, ID_NONE, err);
	while (ret >= 0) {
		ret = procs_add_children(d, err);
		if (ret == 0)
			ret = procs_add_orphan(d, err);
		if (ret == 0)
			break;
	}
	return ret;
}

/* ---- sessions and groups ------------------------------------------------------------------ */

static bool has_pid(const struct snap *snap, int32_t pid)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == pid)
			return true;
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid == pid)
			return true;
	return false;
}

static bool exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/*
 * What came from the launcher is taken from the caller at restore (D10): with a program that we
 * launched, what is ours; else what somebody outside leads. A session whose leader has ended (a
 * daemon's) is the program's own; so is a group, unless the first process is in it.
 */
static void ids_mark(const struct dumping *d, const struct dumping_proc *p)
{
	struct snap_proc *proc = dumping_snap_proc(p);

	if (d->opts->argv) {
		proc->session_inherited = p->stat.session == getsid(0);
		proc->group_inherited = p->stat.pgrp == getpgid(0);
		return;
	}
	proc->session_inherited = !has_pid(d->snap, proc->sid) && exists(p->stat.session);
	proc->group_inherited = proc->session_inherited && !has_pid(d->snap, proc->pgid) &&
				(proc->pgid == d->procs[0].stat.pgrp || exists(p->stat.pgrp));
}

/* ---- the ended ---------------------------------------------------------------------------- */

static uint32_t zombie_uid(struct arena *a, pid_t pid)
{
	struct proc_status status;
	OWNED_FD fd = -1;

	if (proc_open(pid, &fd, NULL) < 0 || proc_status(fd, "status", a, &status, NULL) < 0)
		return UID_NONE;
	return status.uid[0];
}

static void zombie_add(
	struct dumping *d, uint32_t parent, uint32_t elder, const struct proc_stat *stat)
{
	struct snap_zombie *zombie = snap_add_zombie(d->snap);

	zombie->pid = stat->pid;
	zombie->pgid = stat->pgrp;
	zombie->sid = stat->session;
	zombie->parent = parent;
	zombie->uid = zombie_uid(d->snap->arena, stat->pid);
	zombie->elder = elder;
	zombie->exit_signal = stat->exit_signal;
	zombie->wait_status = stat->exit_code;
	memcpy(zombie->comm, stat->comm, strnlen(stat->comm, sizeof zombie->comm - 1));
}

static int zombies_add(struct dumping *d, struct err *err)
{
	struct arena *a = arena_create();
	int ret = 0;

	for (uint32_t i = 0; !ret && i < d->nr_procs; i++) {
		uint32_t living = 0;
		pid_t *pids;
		size_t nr;

		/* In the order of births. */
		ret = proc_children(d->procs[i].t->procfd, a, &pids, &nr, err);
		for (size_t j = 0; !ret && j < nr; j++) {
			struct proc_stat stat = { 0 };

			if (proc_of(d, pids[j]) != ID_NONE)
				living++;
			else if (is_zombie(pids[j], &stat) && stat.pid)
				zombie_add(d, i, living, &stat);
		}
	}
	arena_destroy(a);
	return ret;
}

/* ---- what is shared ------------------------------------------------------------------------ */

static const int share_types[] = { KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND };

/* One process of each of those that share, in the order of kcmp(2): many processes, few looks. */
struct share_table {
	uint32_t *order;
	size_t nr;
};

/* The first process with the same; p itself if there is none, or if it has just ended. */
static uint32_t share_find(const struct dumping *d, int type, struct share_table *table, uint32_t p)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		long order = syscall(SYS_kcmp, d->procs[p].th->tid,
			d->procs[table->order[middle]].th->tid, type, 0, 0);

		if (order <= 0)
			return order < 0 ? p : table->order[middle];
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	memmove(table->order + low + 1, table->order + low,
		(table->nr - low) * sizeof *table->order);
	table->order[low] = p;
	table->nr++;
	return p;
}

static void shares_find(struct dumping *d)
{
	for (int t = 0; t < SHARES_END; t++) {
		struct share_table table = { .order = arena_array(d->snap->arena, d->nr_procs + 1,
						     sizeof *table.order) };

		for (uint32_t i = 0; i < d->nr_procs; i++)
			d->procs[i].shares[t] = share_find(d, share_types[t], &table, i);
	}
}

bool tree_shares(const struct dumping *d, uint32_t a, uint32_t b, enum shares what)
{
	return b != ID_NONE && d->procs[a].shares[what] == d->procs[b].shares[what];
}

static bool shares_any(const struct dumping *d, uint32_t a, uint32_t b)
{
	for (int t = 0; t < SHARES_END; t++)
		if (tree_shares(d, a, b, t))
			return true;
	return false;
}

/* Its parent; or a sibling, by which it was made, or may have been (CLONE_PARENT). */
static void shared_mark(const struct dumping *d, const struct dumping_proc *p)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	uint32_t with = proc->parent;

	for (int t = 0; t < SHARES_END && !shares_any(d, p->id, with); t++)
		if (d->snap->procs[p->shares[t]].parent == proc->parent && p->shares[t] < p->id)
			proc->shares_with = with = p->shares[t];
	proc->shares_files = tree_shares(d, p->id, with, SHARES_FILES);
	proc->shares_fs = tree_shares(d, p->id, with, SHARES_FS);
	proc->shares_sighand = tree_shares(d, p->id, with, SHARES_SIGHAND);
}

int tree_begin(struct dumping *d, struct err *err)
{
	int ret = procs_add(d, err);

	if (!ret)
		ret = zombies_add(d, err);
	for (size_t i = 0; !ret && i < d->nr_procs; i++)
		ids_mark(d, &d->procs[i]);
	if (!ret)
		shares_find(d);
	for (size_t i = 0; !ret && i < d->nr_procs; i++)
		shared_mark(d, &d->procs[i]);
	if (!ret)
		d->outside = d->procs[0].status.ppid;
	return ret;
}
