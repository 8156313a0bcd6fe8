/* Where descriptors of our own stand meanwhile; see fds.h. */
#include "restore/fds.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "restore/fds_internal.h"
#include "restore/job.h"

/* With fewer above all slots nothing can be made. */
enum { PARK_LEAST = 8 };

/* Ours at one time: one for each ofd, file and memory object, and a few in passing. */
static uint32_t park_need(const struct job *job)
{
	const struct snap *snap = job->snap;

	return (uint32_t)(2 * snap->nr_ofds + 3 * snap->nr_files + 3 * snap->nr_mems +
			  2 * snap->nr_procs + 32);
}

/* One number above all slots of all processes. */
static uint32_t table_end(const struct snap_fd *fds, size_t nr, uint32_t end)
{
	return nr && fds[nr - 1].num >= end ? fds[nr - 1].num + 1 : end;
}

static uint32_t slots_end(const struct snap *snap)
{
	uint32_t end = 0;

	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		end = table_end(proc->fds, proc->nr_fds, end);
		for (size_t t = 0; t < proc->nr_thread_files; t++)
			end = table_end(
				proc->thread_files[t].fds, proc->thread_files[t].nr_fds, end);
	}
	return end;
}

/* ---- the slots of all processes, where there is no room above them --------------------------- */

struct slots {
	uint32_t *nums;
	size_t nr;
};

static void slots_add(struct slots *slots, const struct snap_fd *fds, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		slots->nums[slots->nr++] = fds[i].num;
}

static size_t slots_count(const struct snap *snap)
{
	size_t nr = 0;

	for (size_t i = 0; i < snap->nr_procs; i++) {
		nr += snap->procs[i].nr_fds;
		for (size_t t = 0; t < snap->procs[i].nr_thread_files; t++)
			nr += snap->procs[i].thread_files[t].nr_fds;
	}
	return nr;
}

int fds_num_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void slots_collect(const struct snap *snap, struct slots *slots)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		slots_add(slots, proc->fds, proc->nr_fds);
		for (size_t t = 0; t < proc->nr_thread_files; t++)
			slots_add(slots, proc->thread_files[t].fds, proc->thread_files[t].nr_fds);
	}
	qsort(slots->nums, slots->nr, sizeof *slots->nums, fds_num_compare);
}

/* Start of the widest gap below limit that has need numbers; 0: none. */
static uint32_t slots_gap(const struct slots *slots, uint32_t need, uint32_t limit)
{
	uint32_t start = 3, best = 0, widest = need;

	for (size_t i = 0; i <= slots->nr; i++) {
		uint32_t end = i < slots->nr ? slots->nums[i] : limit;

		if (end > start && end - start >= widest) {
			best = start;
			widest = end - start;
		}
		if (i < slots->nr && end >= start)
			start = end + 1;
	}
	return best;
}

/* Where no process of the tree has a slot. */
static int park_between(struct job *job, uint32_t limit, struct err *err)
{
	struct slots slots = { calloc(slots_count(job->snap) + 1, sizeof *slots.nums), 0 };

	if (!slots.nums)
		return err_set(err, ENOMEM, "out of memory");
	slots_collect(job->snap, &slots);
	job->park = (int)slots_gap(&slots, park_need(job), limit);
	free(slots.nums);
	return 0;
}

int fds_park(struct job *job, struct err *err)
{
	uint32_t above = slots_end(job->snap);
	uint32_t need = park_need(job);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "limit of open files");
	job->park = above < 3 ? 3 : (int)above;
	if (limit.rlim_cur >= above + need)
		return 0;
	/* The plan sets the target's own limit in the end. */
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "limit of open files");
	if (limit.rlim_max >= above + need)
		return 0;
	if (park_between(job, (uint32_t)limit.rlim_max, err) < 0)
		return -err->code;
	/* Most descriptors are made in their slots at once; if these do not suffice, open(2) says
	 * so. */
	if (!job->park && limit.rlim_max > above + PARK_LEAST)
		job->park = (int)above;
	if (!job->park || limit.rlim_max < above) {
		err_set(err, EMFILE,
			"the limit of open files is %llu here, and the program had descriptor %d "
			"open: some more are needed to make it",
			(unsigned long long)limit.rlim_max, (int)above - 1);
		return err_hint(err, "raise the limit (ulimit -Hn) before the restore");
	}
	return 0;
}
