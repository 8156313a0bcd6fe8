/* The phases of a restore; see restore.h, and doc/ARCHITECTURE.md for the picture of memory. */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "restore/child.h"
#include "restore/clock.h"
#include "restore/connections.h"
#include "restore/cpu.h"
#include "restore/creds.h"
#include "restore/fds.h"
#include "restore/files.h"
#include "restore/ghosts.h"
#include "restore/ids.h"
#include "restore/instance.h"
#include "restore/interrupt.h"
#include "restore/ipc.h"
#include "restore/job.h"
#include "restore/mems.h"
#include "restore/ns.h"
#include "restore/pidfile.h"
#include "restore/seccomp.h"
#include "restore/spawn.h"
#include "restore/supervise.h"
#include "restore/tasks.h"
#include "restore/tree.h"
#include "restore/vdso.h"
#include "tracee/proc.h"

static pid_t job_pid_of(const struct fd_make *m, int32_t recorded)
{
	const struct job *job = m->priv;

	/* Asked in the new process itself. */
	return job->pids == PIDS_NEW && recorded == job->proc->pid ? getpid() : recorded;
}

static int *ids_none(struct arena *arena, size_t nr)
{
	int *ids = arena_array(arena, nr + 1, sizeof *ids);

	memset(ids, 0xff, (nr + 1) * sizeof *ids);
	return ids;
}

static void job_tables(struct job *job)
{
	struct snap *snap = job->snap;

	job->ghosts = ids_none(snap->arena, snap->nr_files);
	job->remade = arena_array(snap->arena, snap->nr_files + 1, sizeof *job->remade);
	job->mems = ids_none(snap->arena, snap->nr_mems);
	job->sysv = ids_none(snap->arena, snap->nr_mems);
	job->sysv_made = ids_none(snap->arena, snap->nr_mems);
	for (int i = 0; i < 2; i++) {
		job->map_fds[i] = ids_none(snap->arena, snap->nr_files);
		job->mem_fds[i] = ids_none(snap->arena, snap->nr_mems);
	}
	job->born_with = ids_none(snap->arena, snap->nr_ofds);
	job->mem_at = arena_array(snap->arena, snap->nr_mems + 1, sizeof *job->mem_at);
	job->mem_staged = arena_array(snap->arena, snap->nr_mems + 1, sizeof *job->mem_staged);
	job->parked = ids_none(snap->arena, snap->nr_ofds);
	job->cwd_fds = ids_none(snap->arena, snap->nr_procs);
	job->root_fds = ids_none(snap->arena, snap->nr_procs);
	job->dir_fds = ids_none(snap->arena, snap->nr_files);
	job->exe_fds = ids_none(snap->arena, snap->nr_mms);
	job->settled = arena_array(snap->arena, snap->nr_ofds + 1, sizeof *job->settled);
	job->make = (struct fd_make){
		.snap = snap,
		.image = &job->img,
		.opts = &job->fd_opts,
		.made = ids_none(snap->arena, snap->nr_ofds),
		.pid_of = job_pid_of,
		.open_file = files_open,
		.mem_fd = mems_fd,
		.priv = job,
	};
}

static int job_init(struct job *job, const struct restore_opts *opts, struct err *err)
{
	job->opts = opts;
	job->gate = job->caller = -1;
	job->fd_opts.tcp_close = opts->tcp_close;
	job->fd_opts.tcp_established = opts->tcp_established;
	job->pidfd = -1;
	if ((opts->self ? image_open_self : image_open)(opts->image, &job->img, err) < 0)
		return -err->code;
	job->snap = job->img.snap;
	job->proc = &job->snap->procs[0];
	job->mm = &job->snap->mms[job->proc->mm];
	job->privileged = creds_privileged();
	job_tables(job);
	return fds_park(job, err);
}

static void job_finish(struct job *job)
{
	connections_release(job);
	fd_close(&job->pidfd);
	ghosts_close(job);
	for (size_t i = 0; job->mems && i < job->snap->nr_mems; i++)
		fd_close(&job->mems[i]);
	plan_finish(&job->plan);
	image_close(&job->img);
}

/* Of contents, in the image. */
static uint64_t job_bytes(const struct job *job)
{
	uint64_t bytes = 0;

	for (size_t i = 0; job->opts->progress && i < job->img.index.nr_frames; i++)
		bytes += job->img.index.frames[i].size;
	return bytes;
}

/* All that has to be there before there are processes. */
static int job_prepare(struct job *job, struct err *err)
{
	progress_phase(job->opts->progress, "filling memory", job_bytes(job));
	if (clock_prepare(job, err) < 0 || ghosts_make(job, err) < 0)
		return -err->code;
	job->vdso_same = vdso_is_same(job);
	if (ipc_enter_own(job, err) < 0 || mems_make(job, err) < 0 || ipc_make(job, err) < 0)
		return -err->code;
	return connections_hold(job, err);
}

static void job_undo(struct job *job)
{
	ipc_undo(job);
	mems_undo(job);
	ghosts_undo(job);
}

/* From a checked image to a running process, here in this pid namespace. */
static int job_make(struct job *job, struct err *err)
{
	int ret = job_prepare(job, err);

	if (!ret)
		ret = tree_make(job, err);
	if (ret < 0)
		job_undo(job);
	return ret;
}

/* A restore that took its time on a terminal is summed up; others only with -v. */
static void job_say(const struct job *job, pid_t pid)
{
	double seconds = progress_took(job->opts->progress);
	char size[32];

	if (seconds > 0)
		log_say("restored %s as process %d: %s of memory in %.1f s", job->opts->image, pid,
			text_size(job_bytes(job), size, sizeof size), seconds);
	else
		log_info("%s runs as process %d", job->proc->tasks[0].comm, pid);
}

/* It runs, and must not: the end of an init is that of all; else all have the ids they had. */
static void job_kill(const struct job *job, pid_t child)
{
	kill(child, SIGKILL);
	for (size_t i = 1; job->pids == PIDS_KEEP && i < job->snap->nr_procs; i++)
		kill(job->snap->procs[i].pid, SIGKILL);
}

/* The program runs as pid: say so, and stand in for it until it ends unless detached. */
static int job_attend(
	struct job *job, pid_t pid, pid_t child, int stops, int *status, struct err *err)
{
	const struct restore_opts *opts = job->opts;
	bool own_group = !job->proc->group_inherited && job->proc->pgid == job->proc->pid;
	struct terminal terminal = job->terminal;
	struct supervised supervised = { child, own_group && stops < 0, &terminal, stops, 0 };

	if (pidfile_write(opts->pidfile, pid, err) < 0) {
		job_kill(job, child);
		return -err->code;
	}
	job_say(job, pid);
	*status = 0;
	job_finish(job);
	return opts->detach ? 0 : supervise(&supervised, status, err);
}

/*
 * The first process was the init of its namespace, and so it is again: there is no init of ours,
 * and what makes the tree is a second process in there. Both have our memory, so that all find the
 * same job.
 */
struct beside {
	struct job *job;
	struct ns inside; /* report: theirs */
	int gate[2];
};

static void first_run(void *arg)
{
	struct beside *beside = arg;
	char byte;

	close(beside->gate[1]);
	if (read(beside->gate[0], &byte, 1) == 1)
		child_run(beside->job);
	_exit(125);
}

static void maker_run(void *arg)
{
	struct beside *beside = arg;
	struct err err = { 0 };

	/* Else the other one would wait for ever. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(beside->gate[0]);
	beside->job->tell = &beside->inside;
	if (ns_begin(&beside->inside, &err) < 0 || tree_make(beside->job, &err) < 0) {
		ns_report(&beside->inside, 0, &err);
		_exit(125);
	}
	_exit(0);
}

static int both_spawn(struct beside *beside, pid_t *first, pid_t *maker, struct err *err)
{
	/* A new user namespace has taken that from us, and we are to be traced. */
	prctl(PR_SET_DUMPABLE, 1);
	if (pipe2(beside->gate, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	beside->job->gate = beside->gate[1];
	if (spawn_beside(1, first_run, beside, first, err) < 0 ||
		spawn_beside(beside->inside.above + 1, maker_run, beside, maker, err) < 0)
		return -err->code;
	close(beside->gate[0]);
	close(beside->gate[1]);
	return 0;
}

static int run_as_first(struct job *job, bool *done, int *status, struct err *err)
{
	struct ns ns = { .userns = !job->privileged, .above = ids_highest(job->snap) };
	struct beside beside = { .job = job, .inside = ns };
	pid_t pid;
	int ret;

	job->own_userns = ns.userns;
	ret = ns_make(&ns, &beside.inside.report, err);
	*done = ns.made;
	if (ret < 0)
		return ret;
	job->privileged = true;
	ret = job_prepare(job, err);
	if (!ret)
		ret = both_spawn(&beside, &ns.init, &ns.maker, err);
	close(beside.inside.report);
	if (!ret)
		ret = ns_wait(&ns, &pid, err);
	if (ret < 0) {
		/* The end of an init is that of the maker too: it told nobody. */
		if (job->child_err.code)
			*err = job->child_err;
		job_undo(job);
		return ret;
	}
	return job_attend(job, pid, ns.init, -1, status, err);
}

/* One that stays for a detached program keeps nothing of the caller's: who reads from a pipe to us
 * waits for its end. */
static void init_leave(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (chdir("/") < 0)
		log_debug("the init stays where it is");
}

/* In the init of the new namespace: never returns. */
static void init_run(struct job *job, struct ns *ns, int failed, struct err *err)
{
	bool own_group = !job->proc->group_inherited && job->proc->pgid == job->proc->pid;
	struct supervised supervised;
	int status = 125;

	/* Detached or not, the init has to reap. */
	supervise_prepare();
	job->caller = ns->report;
	if (failed < 0 || job_make(job, err) < 0) {
		progress_end(job->opts->progress);
		ns_report(ns, 0, err);
		_exit(125);
	}
	ns_report(ns, job->pid, NULL);
	if (job->opts->detach)
		init_leave();
	supervised = (struct supervised){ job->pid, own_group, NULL, ns->report, 0 };
	job_finish(job);
	if (supervise(&supervised, &status, err) < 0)
		_exit(125);
	_exit(status);
}

/* *done: it runs or failed for good; else there are no namespaces to be had. */
static int run_in_ns(struct job *job, bool *done, int *status, struct err *err)
{
	struct ns ns = { .userns = !job->privileged, .above = ids_highest(job->snap) };
	pid_t pid;
	int ret;

	job->own_userns = ns.userns;
	ret = ns_enter(&ns, job->opts->detach, err);
	*done = ns.made;
	if (ns.init == 0 && ns.report > 0) {
		job->privileged = true;
		init_run(job, &ns, ret, err);
	}
	if (ret < 0)
		return ret;
	if (ns_wait(&ns, &pid, err) < 0)
		return -err->code;
	return job_attend(job, pid, ns.init, ns.report, status, err);
}

static int run_here(struct job *job, int *status, struct err *err)
{
	if (job_make(job, err) < 0)
		return -err->code;
	return job_attend(job, job->pid, job->pid, -1, status, err);
}

/* *refused: ids were not ours to choose; nothing is left of the attempt. */
static int restore_once(
	const struct restore_opts *opts, bool *refused, int *status, struct err *err)
{
	struct job job = { 0 };
	bool done;
	int ret = job_init(&job, opts, err);

	if (!ret)
		ret = pidfile_check(opts->pidfile, err);
	if (!ret)
		ret = cpu_check(job.snap, err);
	if (!ret)
		ret = seccomp_possible(job.snap, err);
	if (!ret)
		ret = instance_prepare(&job, err);
	if (!ret)
		ret = ids_choose(&job, err);
	if (!ret)
		terminal_prepare(&job);
	if (!ret && opts->detach)
		interrupt_hold(&job);
	else if (!ret)
		supervise_prepare();
	if (!ret && job.pids == PIDS_NS) {
		ret = job.proc->pid == 1 ? run_as_first(&job, &done, status, err)
					 : run_in_ns(&job, &done, status, err);
		if (ret < 0 && !done)
			ret = ids_fallback(&job, err) < 0 ? -err->code : 1;
	}
	if (ret == 1 || (!ret && job.pids != PIDS_NS))
		ret = run_here(&job, status, err);
	if (ret < 0) {
		*refused = ids_refused(&job, ret);
		/* For namespaces of its own, it has left ours, and /proc with them. */
		if (job.snap && job.pids != PIDS_NS)
			proc_explain(err);
		terminal_back(&job.terminal);
		job_finish(&job);
	}
	return ret;
}

int restore_run(const struct restore_opts *opts, int *status, struct err *err)
{
	struct restore_opts in_ns = *opts;
	bool refused = false;
	int ret = restore_once(opts, &refused, status, err);

	if (!refused || opts->pids != PIDS_AUTO)
		return ret;
	log_info("process ids: a namespace of its own, since %s", err->msg);
	*err = (struct err){ 0 };
	in_ns.pids = PIDS_NS;
	return restore_once(&in_ns, &refused, status, err);
}
