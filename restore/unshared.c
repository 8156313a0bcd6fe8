/* Who makes which thread, and what threads do not share with the first one; see unshared.h. */
#include "restore/unshared.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/fd.h"
#include "images/makers.h"
#include "restore/fds.h"
#include "restore/files.h"
#include "restore/job.h"

static const struct snap_thread_files *files_of(const struct snap_proc *proc, size_t i)
{
	for (size_t f = 0; f < proc->nr_thread_files; f++)
		if (proc->thread_files[f].tid == proc->tasks[i].tid)
			return &proc->thread_files[f];
	return NULL;
}

static const struct snap_thread_fs *fs_of(const struct snap_proc *proc, size_t i)
{
	for (size_t f = 0; f < proc->nr_thread_fs; f++)
		if (proc->thread_fs[f].tid == proc->tasks[i].tid)
			return &proc->thread_fs[f];
	return NULL;
}

/* The thread that lists the table; 0: the first one has it. */
static int32_t files_owner(const struct snap_proc *proc, size_t i)
{
	const struct snap_thread_files *files = files_of(proc, i);

	return !files ? 0 : files->with ? files->with : files->tid;
}

static int32_t fs_owner(const struct snap_proc *proc, size_t i)
{
	const struct snap_thread_fs *fs = fs_of(proc, i);

	return !fs ? 0 : fs->with ? fs->with : fs->tid;
}

/* ---- directories -------------------------------------------------------------------------------
 */

static int dir_open(struct job *job, uint32_t file, struct err *err)
{
	OWNED_FD fd = -1;

	if (job->dir_fds[file] >= 0)
		return 0;
	if (files_open(&job->make, file, O_RDONLY | O_DIRECTORY | O_PATH, &fd, err) < 0)
		return -err->code;
	/* Other processes inherit it over an exec. */
	job->dir_fds[file] = fcntl(fd, F_DUPFD, job->park);
	return job->dir_fds[file] < 0 ? err_sys(err, "park %s", job->snap->files[file].path) : 0;
}

int unshared_open(struct job *job, struct err *err)
{
	const struct snap *snap = job->snap;

	for (size_t i = 0; i < snap->nr_procs; i++)
		for (size_t f = 0; f < snap->procs[i].nr_thread_fs; f++) {
			const struct snap_thread_fs *fs = &snap->procs[i].thread_fs[f];

			if (fs->with)
				continue;
			if (dir_open(job, fs->cwd, err) < 0 ||
				(fs->root != ID_NONE && dir_open(job, fs->root, err) < 0))
				return err_wrap(err, "working directory of thread %d", fs->tid);
		}
	return 0;
}

bool unshared_keeps(const struct job *job, uint32_t file)
{
	for (size_t f = 0; f < job->proc->nr_thread_fs; f++) {
		const struct snap_thread_fs *fs = &job->proc->thread_fs[f];

		if (!fs->with && (fs->cwd == file || fs->root == file))
			return true;
	}
	return false;
}

static void plan_fchdir(struct job *job, size_t i, uint32_t file)
{
	plan_syscall(
		&job->plan, i, SYS_fchdir, (struct plan_args){ { (uint64_t)job->dir_fds[file] } });
}

static void plan_fs(struct job *job, size_t i, const struct snap_thread_fs *fs)
{
	if (fs->root != ID_NONE) {
		plan_fchdir(job, i, fs->root);
		plan_syscall(&job->plan, i, SYS_chroot,
			(struct plan_args){ { plan_data(&job->plan, ".", 2) } });
	}
	plan_fchdir(job, i, fs->cwd);
	plan_syscall(&job->plan, i, SYS_umask, (struct plan_args){ { fs->umask } });
}

/* ---- births ------------------------------------------------------------------------------------
 */

static size_t maker_of(const struct job *job, size_t i)
{
	return job->makers ? job->makers[i] : 0;
}

static void plan_spawns(struct job *job, size_t maker)
{
	const struct snap_proc *proc = job->proc;

	for (size_t i = 1; i < proc->nr_tasks; i++) {
		struct blob_step *step;

		if (maker_of(job, i) != maker)
			continue;
		step = plan_step(&job->plan, maker, BLOB_SPAWN);
		step->args[0] = i;
		step->args[1] = (files_owner(proc, i) != files_owner(proc, maker) ? CLONE_FILES
										  : 0) |
				(fs_owner(proc, i) != fs_owner(proc, maker) ? CLONE_FS : 0);
	}
}

/* Whoever is born with a copy takes one of what all have begun with. */
static void plan_await_births(struct job *job, size_t i)
{
	for (size_t other = 1; job->makers && other < job->proc->nr_tasks; other++)
		if (job->makers[other] && job->makers[other] != i)
			plan_step(&job->plan, i, BLOB_AWAIT)->args[0] = other;
}

/* Those that take their directories from descriptors of the same table. */
static void plan_await_dirs(struct job *job, size_t i)
{
	const struct snap_proc *proc = job->proc;

	for (size_t other = 1; proc->nr_thread_fs && other < proc->nr_tasks; other++) {
		const struct snap_thread_fs *fs = fs_of(proc, other);
		struct blob_step *step;

		if (!fs || fs->with || other == i ||
			files_owner(proc, other) != files_owner(proc, i))
			continue;
		step = plan_step(&job->plan, i, BLOB_AWAIT);
		step->args[0] = other;
		step->args[1] = 1;
	}
}

void unshared_plan_first(struct job *job)
{
	job->makers = makers_needed(job->proc) ? makers_of(job->snap->arena, job->proc) : NULL;
	plan_spawns(job, 0);
	if (job->proc->shares_files || (!job->proc->nr_thread_files && !job->proc->nr_thread_fs))
		return;
	plan_await_births(job, 0);
	plan_await_dirs(job, 0);
	fds_plan_end(job);
}

void unshared_plan(struct job *job, size_t thread)
{
	const struct snap_thread_files *files = files_of(job->proc, thread);
	const struct snap_thread_fs *fs = fs_of(job->proc, thread);

	if (!files && !fs)
		return;
	if (job->makers)
		plan_spawns(job, thread);
	plan_await_births(job, thread);
	if (fs && !fs->with) {
		plan_fs(job, thread, fs);
		plan_step(&job->plan, thread, BLOB_READY);
	}
	if (files && !files->with) {
		plan_await_dirs(job, thread);
		fds_plan_thread(job, thread, files);
	}
}
