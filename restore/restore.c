/* The phases of a restore; see restore.h, and doc/ARCHITECTURE.md for the picture of memory. */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/clock.h"
#include "restore/connections.h"
#include "restore/cpu.h"
#include "restore/creds.h"
#include "restore/fds.h"
#include "restore/files.h"
#include "restore/ghosts.h"
#include "restore/ids.h"
#include "restore/instance.h"
#include "restore/ipc.h"
#include "restore/job.h"
#include "restore/mems.h"
#include "restore/ns.h"
#include "restore/seccomp.h"
#include "restore/supervise.h"
#include "restore/tasks.h"
#include "restore/tree.h"
#include "restore/vdso.h"

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
	job->exe_fds = ids_none(snap->arena, snap->nr_mms);
	job->mem_made = arena_array(snap->arena, snap->nr_mems + 1, sizeof *job->mem_made);
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
	job->fd_opts.tcp_close = opts->tcp_close;
	job->fd_opts.tcp_established = opts->tcp_established;
	job->pidfd = -1;
	if (image_open(opts->image, &job->img, err) < 0)
		return err_wrap(err, "%s", opts->image);
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
	for (size_t i = 0; job->ghosts && i < job->snap->nr_files; i++)
		fd_close(&job->ghosts[i]);
	ghosts_leave(job);
	for (size_t i = 0; job->mems && i < job->snap->nr_mems; i++)
		fd_close(&job->mems[i]);
	plan_finish(&job->plan);
	image_close(&job->img);
}

/* From a checked image to a running process, here in this pid namespace. */
static int job_make(struct job *job, struct err *err)
{
	int ret;

	if (clock_prepare(job, err) < 0 || ghosts_make(job, err) < 0) {
		ghosts_undo(job);
		return -err->code;
	}
	job->vdso_same = vdso_is_same(job);
	ret = ipc_enter_own(job, err);
	if (!ret)
		ret = mems_make(job, err);
	if (!ret)
		ret = ipc_make(job, err);
	if (!ret)
		ret = connections_hold(job, err);
	if (!ret)
		ret = tree_make(job, err);
	if (ret < 0) {
		ipc_undo(job);
		mems_undo(job);
		ghosts_undo(job);
	}
	return ret;
}

/* Whole or not at all, as an image: written beside its final name. */
static int pidfile_write(const char *path, pid_t pid, struct err *err)
{
	char temp[4200], text[16];
	int len = snprintf(text, sizeof text, "%d\n", pid);
	OWNED_FD fd = -1;

	if (!path)
		return 0;
	snprintf(temp, sizeof temp, "%s.%d.tmp", path, getpid());
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "pidfile %s", temp);
	if (write(fd, text, (size_t)len) != len || rename(temp, path) < 0) {
		err_sys(err, "pidfile %s", path);
		unlink(temp);
		return -err->code;
	}
	return 0;
}

/* The program runs as pid: say so, and stand in for it until it ends unless detached. */
static int job_attend(struct job *job, pid_t pid, pid_t child, int *status, struct err *err)
{
	const struct restore_opts *opts = job->opts;
	bool own_group = !job->proc->group_inherited && job->proc->pgid == job->proc->pid;

	if (pidfile_write(opts->pidfile, pid, err) < 0) {
		kill(child, SIGKILL);
		return -err->code;
	}
	log_info("%s runs as process %d", job->proc->tasks[0].comm, pid);
	*status = 0;
	job_finish(job);
	return opts->detach ? 0 : supervise(child, own_group, status, err);
}

/* In the init of the new namespace: never returns. */
static void init_run(struct job *job, struct ns *ns, int failed, struct err *err)
{
	bool own_group = !job->proc->group_inherited && job->proc->pgid == job->proc->pid;
	int status = 125;

	/* Detached or not, the init has to reap. */
	supervise_prepare();
	if (failed < 0 || job_make(job, err) < 0) {
		ns_report(ns, 0, err);
		_exit(125);
	}
	ns_report(ns, job->pid, NULL);
	job_finish(job);
	if (supervise(job->pid, own_group, &status, err) < 0)
		_exit(125);
	_exit(status);
}

/* *done: it runs or failed for good; else there are no namespaces to be had. */
static int run_in_ns(struct job *job, bool *done, int *status, struct err *err)
{
	struct ns ns = { .userns = !job->privileged };
	pid_t pid;
	int ret;

	job->own_userns = ns.userns;
	ret = ns_enter(&ns, job->opts->detach, err);
	*done = false;
	if (ns.init == 0 && ns.report > 0) {
		job->privileged = true;
		init_run(job, &ns, ret, err);
	}
	if (ret < 0)
		return ret;
	*done = true;
	if (ns_wait(&ns, &pid, err) < 0)
		return -err->code;
	return job_attend(job, pid, ns.init, status, err);
}

static int run_here(struct job *job, int *status, struct err *err)
{
	if (job_make(job, err) < 0)
		return -err->code;
	return job_attend(job, job->pid, job->pid, status, err);
}

int restore_run(const struct restore_opts *opts, int *status, struct err *err)
{
	struct job job = { 0 };
	bool done;
	int ret = job_init(&job, opts, err);

	if (!ret)
		ret = cpu_check(job.snap, err);
	if (!ret)
		ret = seccomp_possible(job.snap, err);
	if (!ret)
		ret = instance_prepare(&job, err);
	if (!ret)
		ret = ids_choose(&job, err);
	if (!ret && !opts->detach)
		supervise_prepare();
	if (!ret && job.pids == PIDS_NS) {
		ret = run_in_ns(&job, &done, status, err);
		if (ret < 0 && !done)
			ret = ids_fallback(&job, err) < 0 ? -err->code : 1;
	}
	if (ret == 1 || (!ret && job.pids != PIDS_NS))
		ret = run_here(&job, status, err);
	if (ret < 0)
		job_finish(&job);
	return ret;
}
