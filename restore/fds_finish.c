/* Descriptors when all processes are there; see fds_finish.h. */
#include "restore/fds_finish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "images/fd/common.h"
#include "images/fd/pidfd.h"
#include "images/fd/reg.h"
#include "restore/birth.h"
#include "restore/fds.h"
#include "restore/job.h"
#include "restore/stops.h"

/* ---- pidfds ---------------------------------------------------------------------------------- */

int fds_number_of(const struct job *job, uint32_t ofd)
{
	const struct snap_proc *first = &job->snap->procs[0];

	for (size_t i = 0; i < first->nr_fds; i++)
		if (first->fds[i].ofd == ofd)
			return (int)first->fds[i].num;
	return job->parked[ofd];
}

/* A call that gives a descriptor of the process; negative: it failed. */
static int remote_fd(
	const struct job *job, const struct remote *call, const char *what, struct err *err)
{
	int64_t ret = -1;

	if (stops_blob_syscall(job, call, what, &ret, err) < 0)
		return -1;
	return (int)ret;
}

static int remote_close(const struct job *job, int fd, struct err *err)
{
	struct remote call = { SYS_close, { (uint64_t)fd } };

	return stops_blob_syscall(job, &call, "close", NULL, err);
}

/* The one that another process has opened already, so that it is one open file for both. */
static int remote_share(
	const struct job *job, const struct job *holder, uint32_t ofd, struct err *err)
{
	struct remote open_holder = { SYS_pidfd_open, { (uint64_t)holder->proc->pid } };
	int pidfd = remote_fd(job, &open_holder, "pidfd_open", err), fd;
	struct remote get = { SYS_pidfd_getfd,
		{ (uint64_t)pidfd, (uint64_t)fds_number_of(holder, ofd) } };
	struct err second = { 0 };

	if (pidfd < 0)
		return -1;
	fd = remote_fd(job, &get, "pidfd_getfd", err);
	return remote_close(job, pidfd, fd < 0 ? &second : err) < 0 ? -1 : fd;
}

static int remote_dup(const struct job *job, int fd, int to, struct err *err)
{
	struct remote put = { SYS_dup3, { (uint64_t)fd, (uint64_t)to, 0 } };

	return to < 0 ? 0 : stops_blob_syscall(job, &put, "dup3", NULL, err);
}

/* All of its places: other processes begin with the slots of the first one, too. */
static int remote_replace(const struct job *job, int fd, uint32_t ofd, struct err *err)
{
	const struct snap_proc *first = &job->snap->procs[0];

	for (size_t i = 0; i < first->nr_fds; i++)
		if (first->fds[i].ofd == ofd &&
			remote_dup(job, fd, (int)first->fds[i].num, err) < 0)
			return -err->code;
	if (remote_dup(job, fd, job->parked[ofd], err) < 0)
		return -err->code;
	return remote_close(job, fd, err);
}

/* One that is made when all processes are there: a pidfd, or a file below /proc/PID. */
struct later {
	const struct snap_ofd *ofd;
	int32_t pid;
	uint32_t flags;
	const char *path; /* behind /proc/PID, or /proc/PID/task/TID; NULL: a pidfd */
	int32_t tid;      /* 0: it is not of a thread */
};

static bool later_is(const struct snap *snap, const struct snap_ofd *ofd, struct later *out)
{
	*out = (struct later){ .ofd = ofd };
	out->path = reg_later(snap, ofd, &out->pid);
	if (!out->path) {
		out->pid = pidfd_later(snap, ofd, &out->flags);
		out->tid = out->pid ? pidfd_thread(snap, ofd) : 0;
	} else {
		out->flags = reg_later_flags(ofd);
		out->tid = reg_thread(ofd, &out->path);
	}
	return out->pid != 0;
}

static pid_t thread_here(const struct job *job, int32_t tid)
{
	for (size_t i = 0; i < job->proc->nr_tasks; i++)
		if (job->proc->tasks[i].tid == tid)
			return job->plan.threads[i].tid;
	return 0;
}

/* Its process has new ids only where it is alone. */
static int32_t tid_there(const struct job *job, const struct later *l)
{
	pid_t here = job->pids == PIDS_NEW ? thread_here(job, l->tid) : 0;

	return here ? here : l->tid;
}

/* The process opens the file by itself, at the place where it was read to. */
static int proc_file_open(const struct job *job, const struct later *l, struct err *err)
{
	uint64_t at = birth_scratch(job);
	struct remote call = { SYS_openat, { (uint64_t)AT_FDCWD, at, l->flags } };
	struct remote seek = { SYS_lseek, { 0, l->ofd->offset, SEEK_SET } };
	char path[PATH_MAX];
	int len, fd;

	if (l->pid == job->proc->pid)
		len = snprintf(path, sizeof path, "/proc/self");
	else
		len = snprintf(path, sizeof path, "/proc/%d", l->pid);
	if (l->tid)
		len += snprintf(
			path + len, sizeof path - (size_t)len, "/task/%d", tid_there(job, l));
	snprintf(path + len, sizeof path - (size_t)len, "%s", l->path);
	if (stops_write(job, at, path, strlen(path) + 1, err) < 0)
		return -1;
	fd = remote_fd(job, &call, path, err);
	seek.args[0] = (uint64_t)fd;
	if (fd >= 0 && l->ofd->offset && stops_blob_syscall(job, &seek, "lseek", NULL, err) < 0)
		return -1;
	return fd;
}

static int later_open(const struct job *job, const struct later *l, struct err *err)
{
	int32_t id = l->tid ? tid_there(job, l) : l->pid;
	struct remote pidfd = { SYS_pidfd_open, { (uint64_t)id, l->flags } };

	return l->path ? proc_file_open(job, l, err) : remote_fd(job, &pidfd, "pidfd_open", err);
}

/* In its slots; nothing else is left of ours. */
static int remote_replace_slots(const struct job *job, int fd, uint32_t ofd, struct err *err)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		struct remote put = { SYS_dup3,
			{ (uint64_t)fd, slot->num, slot->cloexec ? O_CLOEXEC : 0 } };

		if (slot->ofd == ofd && stops_blob_syscall(job, &put, "dup3", NULL, err) < 0)
			return -err->code;
	}
	return remote_close(job, fd, err);
}

static int later_put(
	const struct job *job, const struct job *holder, const struct later *l, struct err *err)
{
	struct err shared = { 0 };
	int fd = holder ? remote_share(job, holder, l->ofd->id, &shared) : -1;

	/* Yama may not let processes look at each other. */
	if (shared.code)
		log_info("process %d has a descriptor of its own for %d: %s", job->proc->pid,
			l->pid, shared.msg);
	if (fd < 0)
		fd = later_open(job, l, err);
	if (fd < 0)
		return err_wrap(err, "%s of process %d", l->path ? "file" : "pidfd", l->pid);
	return l->tid ? remote_replace_slots(job, fd, l->ofd->id, err)
		      : remote_replace(job, fd, l->ofd->id, err);
}

static int later_put_all(
	struct job *const *jobs, size_t nr, const struct later *later, struct err *err)
{
	const struct job *holder = NULL;

	for (size_t i = 0; i < nr; i++) {
		if (!fds_process_has(jobs[i]->proc, later->ofd->id))
			continue;
		if (later_put(jobs[i], holder, later, err) < 0)
			return -err->code;
		holder = holder ? holder : jobs[i];
	}
	return 0;
}

static int later_make(struct job *const *jobs, size_t nr, bool threads, bool *more, struct err *err)
{
	const struct snap *snap = jobs[0]->snap;

	for (uint32_t ofd = 0; ofd < snap->nr_ofds; ofd++) {
		struct later later;

		if (!later_is(snap, &snap->ofds[ofd], &later))
			continue;
		if ((later.tid != 0) != threads)
			*more = true;
		else if (later_put_all(jobs, nr, &later, err) < 0)
			return -err->code;
	}
	return 0;
}

int fds_later(struct job *const *jobs, size_t nr, struct err *err)
{
	return later_make(jobs, nr, false, &jobs[0]->some_of_threads, err);
}

int fds_of_threads(struct job *const *jobs, size_t nr, struct err *err)
{
	bool rest;

	return jobs[0]->some_of_threads ? later_make(jobs, nr, true, &rest, err) : 0;
}

/* ---- the very last --------------------------------------------------------------------------- */

struct finishing {
	struct job *const *jobs;
	size_t nr;
	struct fd_make make; /* made: by ofd, our duplicate of what was made later; -1 */
	bool *done;          /* by ofd */
};

/* Our id for what the program knows as this process, or as this group. */
static pid_t id_here(const struct finishing *f, int32_t type, int32_t id)
{
	for (size_t i = 0; i < f->nr; i++) {
		if (type == F_OWNER_TID && thread_here(f->jobs[i], id))
			return thread_here(f->jobs[i], id);
		if (type == F_OWNER_PID && f->jobs[i]->proc->pid == id)
			return f->jobs[i]->pid;
		if (type == F_OWNER_PGRP && f->jobs[i]->proc->pgid == id)
			return getpgid(f->jobs[i]->pid);
	}
	return -1;
}

static int owner_finish(
	const struct finishing *f, const struct snap_ofd *ofd, int fd, struct err *err)
{
	struct f_owner_ex owner = { .type = ofd->owner_type,
		.pid = id_here(f, ofd->owner_type, ofd->owner) };

	return ofd_set_owner(ofd, fd, &owner, err);
}

static bool has_work(const struct snap *snap, const struct snap_ofd *ofd)
{
	uint32_t flags;

	return ofd->inherited < 0 &&
	       ((ofd->kind->finish &&
			(!ofd->kind->finish_needed || ofd->kind->finish_needed(snap, ofd))) ||
		       ofd_owner_later(snap, ofd) || pidfd_later(snap, ofd, &flags));
}

static int ofd_finish(struct finishing *f, const struct snap_ofd *ofd, int fd, struct err *err)
{
	if (ofd_owner_later(f->make.snap, ofd) && owner_finish(f, ofd, fd, err) < 0)
		return -err->code;
	return ofd->kind->finish ? ofd->kind->finish(&f->make, ofd, fd, err) : 0;
}

/* As fd_make.made_fd: from whoever has it. */
static int made_fd(const struct fd_make *m, uint32_t ofd, int *fd, struct err *err)
{
	const struct finishing *f = (const void *)((const char *)m -
						   offsetof(struct finishing, make));

	for (size_t i = 0; i < f->nr; i++)
		for (size_t k = 0; k < f->jobs[i]->proc->nr_fds; k++)
			if (f->jobs[i]->proc->fds[k].ofd == ofd)
				return stops_getfd(
					f->jobs[i], (int)f->jobs[i]->proc->fds[k].num, fd, err);
	return err_set(err, ENOENT, "nobody has open file %u in a slot", ofd);
}

/* pidfds first: others may watch them. */
static int slots_finish(struct finishing *f, const struct job *job, bool pidfds, struct err *err)
{
	const struct snap *snap = job->snap;

	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		const struct snap_ofd *ofd = &snap->ofds[slot->ofd];
		OWNED_FD fd = -1;
		uint32_t flags;

		if (f->done[ofd->id] || !has_work(snap, ofd) ||
			(pidfd_later(snap, ofd, &flags) != 0) != pidfds)
			continue;
		if (stops_getfd(job, (int)slot->num, &fd, err) < 0 ||
			ofd_finish(f, ofd, fd, err) < 0)
			return err_wrap(err, "%s", ofd->label ? ofd->label : ofd->kind->name);
		if (pidfds)
			f->make.made[ofd->id] = take_fd(&fd);
		f->done[ofd->id] = true;
	}
	return 0;
}

int fds_finish(struct job *const *jobs, size_t nr, struct err *err)
{
	struct snap *snap = jobs[0]->snap;
	struct finishing f = { jobs, nr, jobs[0]->make,
		arena_array(snap->arena, snap->nr_ofds, sizeof *f.done) };
	int ret = 0;

	f.make.made_fd = made_fd;
	f.make.made = arena_array(snap->arena, snap->nr_ofds, sizeof *f.make.made);
	for (size_t i = 0; i < snap->nr_ofds; i++)
		f.make.made[i] = -1;
	for (size_t i = 0; !ret && i < 2 * nr; i++)
		ret = slots_finish(&f, jobs[i % nr], i < nr, err);
	for (size_t i = 0; i < snap->nr_ofds; i++)
		fd_close(&f.make.made[i]);
	return ret;
}
