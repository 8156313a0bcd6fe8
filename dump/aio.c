/* Contexts of asynchronous I/O; see aio.h. */
#include "dump/aio.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "images/aio.h"
#include "images/tree.h"

/* Reads and writes of a disk, and a sync of a file, are done by then; a poll may never be. */
enum { LOOKS = 20, LOOK_MS = 10 };

static int refuse(const struct snap_vma *vma, const char *why, const char *remedy, struct err *err)
{
	err_set(err, ENOTSUP, "mapping %llx-%llx: a ring of asynchronous I/O (io_setup) %s",
		(unsigned long long)vma->start, (unsigned long long)vma->end, why);
	return err_hint(err, "%s", remedy);
}

/* To ask for no event at all succeeds where there is a context, and does nothing. */
static int is_context(struct dumping_proc *p, uint64_t addr, bool *is, struct err *err)
{
	int64_t ret;

	if (tracee_syscall(p->t, p->th, SYS_io_getevents, (uint64_t[6]){ addr }, &ret, err) < 0)
		return err_wrap(err, "io_getevents");
	*is = ret == 0;
	return 0;
}

/* The parent's: fork(2) copies the mapping, and not the context. */
static bool is_of_base(const struct dumping_proc *p, const struct proc_vma *vma)
{
	uint32_t base = snap_base_of(p->d->snap, p->id);
	const struct dumping_proc *of = base == ID_NONE ? NULL : &p->d->procs[base];

	for (size_t i = 0; of && i < of->nr_vmas; i++) {
		const struct proc_vma *theirs = &of->vmas[i];

		if (theirs->start == vma->start)
			return theirs->end == vma->end && theirs->ino == vma->ino &&
			       theirs->dev == vma->dev && theirs->prot == vma->prot &&
			       !strcmp(theirs->path, vma->path);
	}
	return false;
}

static int ring_read(struct dumping_proc *p, struct snap_vma *vma, struct err *err)
{
	int ret = tracee_read(p->t, vma->start, vma->ring, vma->nr_ring, err);

	if (ret < 0 || aio_head_is_sound((const void *)vma->ring, vma->nr_ring))
		return ret;
	return refuse(vma, "whose head the program has written over",
		"let the program call io_destroy first", err);
}

static int refuse_busy(
	const struct dumping_proc *p, const struct snap_vma *vma, uint32_t busy, struct err *err)
{
	err_set(err, ENOTSUP,
		"process %d: context %llx of asynchronous I/O (io_setup) has %u request%s under "
		"way, and nothing tells what %s",
		p->t->pid, (unsigned long long)vma->start, busy, busy == 1 ? "" : "s",
		busy == 1 ? "it is" : "they are");
	return err_hint(err, "dump the program when it waits for none; a poll (IOCB_CMD_POLL) has "
			     "to be cancelled (io_cancel) first");
}

/* With the events that nobody has read. */
static int own_collect(struct dumping_proc *p, struct snap_vma *vma, struct err *err)
{
	uint32_t busy = 0;
	int ret = 0;

	vma->nr_ring = vma->end - vma->start;
	vma->ring = arena_alloc(p->d->snap->arena, vma->nr_ring);
	for (int i = 0; i < LOOKS; i++) {
		ret = ring_read(p, vma, err);
		if (!ret)
			ret = aio_under_way(p, vma->start, vma->ring, &busy, err);
		if (ret < 0 || !busy)
			return ret;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
	}
	return refuse_busy(p, vma, busy, err);
}

static int one_collect(
	struct dumping_proc *p, const struct proc_vma *seen, struct snap_vma *vma, struct err *err)
{
	bool own = false;
	int ret = is_context(p, vma->start, &own, err);

	if (ret < 0)
		return ret;
	if (own)
		return own_collect(p, vma, err);
	if (is_of_base(p, seen))
		return 0;
	return refuse(vma,
		"that is only a part of one, of a context of another process, or of one that was "
		"destroyed",
		"let the program unmap it; a child after its fork", err);
}

int aio_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_mm *mm = &p->d->snap->mms[dumping_snap_proc(p)->mm];
	int ret = 0;

	for (size_t i = 0; !ret && i < mm->nr_vmas; i++)
		if (mm->vmas[i].kind == VMA_AIO)
			ret = one_collect(p, &p->vmas[i], &mm->vmas[i], err);
	return ret;
}
