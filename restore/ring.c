/*
 * Rings of io_uring(7), mapped where they were. The kernel takes no wishes for that, not even from
 * mremap(2) (io_uring_get_unmapped_area() in io_uring/memmap.c): it takes the first place that is
 * free. So all others are taken for a moment.
 */
#include "restore/ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/fd.h"
#include "restore/fds_finish.h"
#include "restore/job.h"
#include "restore/stops.h"
#include "tracee/proc.h"

/* What lies below is nobody's (vm.mmap_min_addr). */
static const uint64_t LOWEST = 0x10000, USER_END = 0x7ffffffff000;

struct gaps {
	struct snap_range *all;
	size_t nr;
};

static int gaps_read(const struct job *job, struct gaps *gaps, struct err *err)
{
	struct proc_vma *vmas;
	OWNED_FD procfd = -1;
	uint64_t at = LOWEST;
	size_t nr;

	if (proc_open(job->pid, &procfd, err) < 0 ||
		proc_maps(procfd, job->snap->arena, &vmas, &nr, err) < 0)
		return -err->code;
	gaps->all = arena_array(job->snap->arena, nr + 1, sizeof *gaps->all);
	gaps->nr = 0;
	for (size_t i = 0; i <= nr && at < USER_END; i++) {
		uint64_t next = i < nr && vmas[i].start < USER_END ? vmas[i].start : USER_END;

		if (at < next)
			gaps->all[gaps->nr++] = (struct snap_range){ at, next };
		if (i < nr && vmas[i].end > at)
			at = vmas[i].end;
	}
	return 0;
}

static int take(const struct job *job, const struct snap_range *range, struct err *err)
{
	const struct remote call = { SYS_mmap,
		{ range->start, range->end - range->start, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
			(uint64_t)-1, 0 } };

	return stops_blob_syscall(job, &call, "take a place", NULL, err);
}

static int give(const struct job *job, uint64_t start, uint64_t end, struct err *err)
{
	const struct remote call = { SYS_munmap, { start, end - start } };

	return start < end ? stops_blob_syscall(job, &call, "give back a place", NULL, err) : 0;
}

static int one_map(const struct job *job, const struct snap_vma *vma, struct err *err)
{
	const struct remote call = { SYS_mmap,
		{ 0, vma->end - vma->start, vma->prot, MAP_SHARED,
			(uint64_t)fds_number_of(job, vma->ofd), vma->offset } };
	int64_t at = 0;

	if (give(job, vma->start, vma->end, err) < 0 ||
		stops_blob_syscall(job, &call, "map an io_uring", &at, err) < 0)
		return -err->code;
	if ((uint64_t)at == vma->start)
		return 0;
	return err_set(err, EBUSY, "an io_uring was to be mapped at %llx, and is at %llx",
		(unsigned long long)vma->start, (unsigned long long)at);
}

/* What is left of a gap when its rings are there. */
static int gap_give(const struct job *job, const struct snap_range *gap, struct err *err)
{
	const struct snap_mm *mm = job->mm;
	uint64_t at = gap->start;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];

		if (vma->kind != VMA_FD || vma->start < gap->start || vma->end > gap->end)
			continue;
		if (give(job, at, vma->start, err) < 0)
			return -err->code;
		at = vma->end;
	}
	return give(job, at, gap->end, err);
}

static bool has_rings(const struct job *job)
{
	for (size_t i = 0; !job->shares_vm && i < job->mm->nr_vmas; i++)
		if (job->mm->vmas[i].kind == VMA_FD)
			return true;
	return false;
}

int ring_map(struct job *job, struct err *err)
{
	struct gaps gaps = { 0 };
	int ret = 0;

	if (!has_rings(job))
		return 0;
	if (gaps_read(job, &gaps, err) < 0)
		return -err->code;
	for (size_t i = 0; !ret && i < gaps.nr; i++)
		ret = take(job, &gaps.all[i], err);
	for (size_t i = 0; !ret && i < job->mm->nr_vmas; i++)
		if (job->mm->vmas[i].kind == VMA_FD)
			ret = one_map(job, &job->mm->vmas[i], err);
	for (size_t i = 0; !ret && i < gaps.nr; i++)
		ret = gap_give(job, &gaps.all[i], err);
	return ret;
}
