/* The descriptor tables after the exec, as steps of the plan; see fds.h. */
#include "restore/fds.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "restore/fds_internal.h"
#include "restore/job.h"
#include "restore/unshared.h"

/* A table as steps of the thread that has it. */
struct table {
	struct job *job;
	size_t thread;
	const struct snap_fd *fds;
	size_t nr;
};

static void plan_close_range(const struct table *t, uint32_t first, uint32_t last, uint32_t flags)
{
	plan_syscall(&t->job->plan, t->thread, SYS_close_range,
		(struct plan_args){ { first, last, flags } });
}

static void plan_cloexec(const struct table *t)
{
	for (size_t i = 0, end; i < t->nr; i = end) {
		end = i + 1;
		if (!t->fds[i].cloexec)
			continue;
		while (end < t->nr && t->fds[end].cloexec &&
			t->fds[end].num == t->fds[end - 1].num + 1)
			end++;
		plan_close_range(t, t->fds[i].num, t->fds[end - 1].num, CLOSE_RANGE_CLOEXEC);
	}
}

/* What the table it begins with does not have in the right slots. */
static void plan_take(const struct table *t, const struct snap_proc *from)
{
	for (size_t i = 0; i < t->nr; i++) {
		const struct snap_fd *slot = &t->fds[i], *there = fds_slot(from, slot->num);

		if (!there || there->ofd != slot->ofd)
			plan_syscall(&t->job->plan, t->thread, SYS_dup2,
				(struct plan_args){
					{ (uint64_t)t->job->parked[slot->ofd], slot->num } });
		else if (t->thread && there->cloexec && !slot->cloexec)
			plan_syscall(&t->job->plan, t->thread, SYS_fcntl,
				(struct plan_args){ { slot->num, F_SETFD, 0 } });
	}
}

/* Ours that threads take later, in order; gives how many. */
static size_t kept_for_threads(const struct job *job, uint32_t *kept)
{
	const struct snap *snap = job->snap;
	size_t nr = 0;

	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (fds_threads_have(job->proc, i))
			kept[nr++] = (uint32_t)job->parked[i];
	for (uint32_t i = 0; job->proc->nr_thread_fs && i < snap->nr_files; i++)
		if (unshared_keeps(job, i))
			kept[nr++] = (uint32_t)job->dir_fds[i];
	qsort(kept, nr, sizeof *kept, fds_num_compare);
	return nr;
}

/* A gap of the slots, but for what is kept in it. */
static void plan_close_gap(
	const struct table *t, uint32_t first, uint32_t last, const uint32_t *kept, size_t nr)
{
	for (size_t i = 0; i < nr && first <= last; i++) {
		if (kept[i] < first || kept[i] > last)
			continue;
		if (kept[i] > first)
			plan_close_range(t, first, kept[i] - 1, 0);
		first = kept[i] + 1;
	}
	if (first <= last)
		plan_close_range(t, first, last, 0);
}

/* Our own stand in the gaps between the slots, and above them; some have to stay for threads. */
static void plan_close_others(const struct table *t, bool keep_for_threads)
{
	const struct snap *snap = t->job->snap;
	uint32_t start = 0, *kept = NULL;
	size_t nr_kept = 0;

	if (keep_for_threads && (t->job->proc->nr_thread_files || t->job->proc->nr_thread_fs)) {
		kept = arena_array(snap->arena, snap->nr_ofds + snap->nr_files, sizeof *kept);
		nr_kept = kept_for_threads(t->job, kept);
	}

	for (size_t i = 0; i < t->nr; i++) {
		if (t->fds[i].num > start)
			plan_close_gap(t, start, t->fds[i].num - 1, kept, nr_kept);
		start = t->fds[i].num + 1;
	}
	plan_close_gap(t, start, UINT32_MAX, kept, nr_kept);
}

/*
 * POSIX locks go with the first close(2) of any descriptor of their file (fcntl_locking(2)), and
 * ours have just been closed; so the program itself takes them again.
 */
static void plan_posix_locks(struct job *job, const struct snap_fd *slot)
{
	const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];

	for (size_t i = 0; i < ofd->nr_locks; i++) {
		const struct snap_lock *lock = &ofd->locks[i];
		struct flock want = { .l_type = (short)lock->type,
			.l_whence = SEEK_SET,
			.l_start = (off_t)lock->start,
			.l_len = (off_t)lock->len };

		if (lock->kind == LOCK_POSIX && lock->proc == job->proc - job->snap->procs)
			plan_syscall(&job->plan, 0, SYS_fcntl,
				(struct plan_args){ { slot->num, F_SETLK,
					plan_data(&job->plan, &want, sizeof want) } });
	}
}

void fds_plan(struct job *job)
{
	const struct snap_proc *proc = job->proc;
	struct table t = { job, 0, proc->fds, proc->nr_fds };

	/* All processes begin with the table of the first one. */
	if (proc != job->snap->procs)
		plan_take(&t, job->snap->procs);
	plan_close_others(&t, true);
	plan_cloexec(&t);
	for (size_t i = 0; i < proc->nr_fds; i++)
		if (job->snap->ofds[proc->fds[i].ofd].nr_locks)
			plan_posix_locks(job, &proc->fds[i]);
}

void fds_plan_thread(struct job *job, size_t thread, const struct snap_thread_files *files)
{
	struct table t = { job, thread, files->fds, files->nr_fds };

	/* What it begins with; a table that is another process's, too, is still the first one's. */
	plan_take(&t, job->proc->shares_files ? job->snap->procs : job->proc);
	plan_close_others(&t, false);
	plan_cloexec(&t);
}

void fds_plan_end(struct job *job)
{
	struct table t = { job, 0, job->proc->fds, job->proc->nr_fds };

	plan_close_others(&t, false);
}
