/*
 * Contexts of asynchronous I/O: made anew, moved to where they were (the kernel takes the new
 * address for their id, aio_ring_mremap() in fs/aio.c). Where the next event goes, the kernel knows
 * from counting, and a program may hold pointers to events: so as many requests are made as it
 * takes to get there.
 */
#include "restore/aio.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "images/aio.h"
#include "restore/birth.h"
#include "restore/job.h"
#include "restore/stops.h"

int aio_plan_place(struct job *job, const struct snap_vma *vma, struct err *err)
{
	if (!vma->nr_ring)
		return err_set(err, EINVAL,
			"a ring of asynchronous I/O at %llx, which no other process has",
			(unsigned long long)vma->start);
	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){ { vma->start, vma->end - vma->start, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, (uint64_t)-1 } });
	return 0;
}

/* Scratch memory, the half of the stack that the parked thread is far from: pointers to one iocb,
 * which follows. */
enum { SCRATCH_POINTERS = (BLOB_STACK / 2 - sizeof(struct iocb)) / sizeof(uint64_t) };

struct scratch {
	uint64_t pointers[SCRATCH_POINTERS];
	struct iocb iocb;
};

/* A request that is done at once: an eventfd can be written to. */
static int scratch_write(const struct job *job, int64_t eventfd, struct err *err)
{
	struct scratch s = { .iocb = { .aio_lio_opcode = IOCB_CMD_POLL,
				     .aio_fildes = (uint32_t)eventfd,
				     .aio_buf = POLLOUT } };
	uint64_t at = birth_scratch(job);

	for (size_t i = 0; i < SCRATCH_POINTERS; i++)
		s.pointers[i] = at + offsetof(struct scratch, iocb);
	return stops_write(job, at, &s, sizeof s, err);
}

static int head_set(
	const struct job *job, const struct snap_vma *vma, uint32_t head, struct err *err)
{
	return stops_write(
		job, vma->start + offsetof(struct aio_head, head), &head, sizeof head, err);
}

static int requests_make(
	const struct job *job, const struct snap_vma *vma, uint32_t nr, struct err *err)
{
	uint64_t lot = nr < SCRATCH_POINTERS ? nr : SCRATCH_POINTERS;
	const struct remote call = { SYS_io_submit, { vma->start, lot, birth_scratch(job) } };
	int64_t done;

	if (stops_blob_syscall(job, &call, "io_submit", &done, err) < 0)
		return -err->code;
	return done > 0 ? (int)done : err_set(err, EBUSY, "io_submit does nothing");
}

/* From a fresh ring to one whose unread events are where they were. */
static int ring_advance(const struct job *job, const struct snap_vma *vma,
	const struct aio_head *was, struct err *err)
{
	uint32_t unread = aio_between(was, was->head, was->tail);
	int done;

	for (uint32_t at = 0; at < was->head; at += (uint32_t)done) {
		done = requests_make(job, vma, was->head - at, err);
		if (done < 0 || head_set(job, vma, at + (uint32_t)done, err) < 0)
			return -err->code;
	}
	for (uint32_t at = 0; at < unread; at += (uint32_t)done) {
		done = requests_make(job, vma, unread - at, err);
		if (done < 0)
			return done;
	}
	return 0;
}

/* All but the head, which the kernel has written. */
static int ring_fill(const struct job *job, const struct snap_vma *vma, const struct aio_head *was,
	struct err *err)
{
	const struct remote make = { SYS_eventfd2, { 0, 0 } };
	struct remote close = { SYS_close, { 0 } };
	int64_t fd;

	if (was->tail || was->head) {
		if (stops_blob_syscall(job, &make, "eventfd", &fd, err) < 0)
			return -err->code;
		close.args[0] = (uint64_t)fd;
		if (scratch_write(job, fd, err) < 0 || ring_advance(job, vma, was, err) < 0 ||
			stops_blob_syscall(job, &close, "close", NULL, err) < 0)
			return -err->code;
	}
	return stops_write(job, vma->start + sizeof *was, vma->ring + sizeof *was,
		vma->nr_ring - sizeof *was, err);
}

static int context_make(const struct job *job, const struct aio_head *was, uint64_t *at,
	struct aio_head *head, struct err *err)
{
	uint64_t scratch = birth_scratch(job);
	const struct remote call = { SYS_io_setup, { aio_requests(was), scratch } };

	*at = 0;
	if (stops_write(job, scratch, at, sizeof *at, err) < 0)
		return -err->code;
	if (stops_blob_syscall(job, &call, "io_setup", NULL, err) < 0)
		return err->code == EAGAIN
			       ? err_hint(err, "there are too many already: raise fs.aio-max-nr")
			       : -err->code;
	if (stops_read(job, scratch, at, sizeof *at, err) < 0)
		return -err->code;
	return stops_read(job, *at, head, sizeof *head, err);
}

static int context_place(const struct job *job, const struct snap_vma *vma, struct err *err)
{
	const struct aio_head *was = (const struct aio_head *)(const void *)vma->ring;
	uint64_t at, len = vma->end - vma->start;
	struct remote move = { SYS_mremap,
		{ 0, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, vma->start } };
	const struct remote protect = { SYS_mprotect, { vma->start, len, vma->prot } };
	struct aio_head head;

	if (context_make(job, was, &at, &head, err) < 0)
		return -err->code;
	if (head.nr != was->nr)
		return err_set(err, ENOTSUP,
			"this kernel makes it of %u events, and not of %u: it has more processors",
			head.nr, was->nr);
	move.args[0] = at;
	if (stops_blob_syscall(job, &move, "mremap", NULL, err) < 0 ||
		ring_fill(job, vma, was, err) < 0)
		return -err->code;
	return vma->prot == (PROT_READ | PROT_WRITE)
		       ? 0
		       : stops_blob_syscall(job, &protect, "mprotect", NULL, err);
}

static uint32_t context_id(const struct snap_vma *vma)
{
	return ((const struct aio_head *)(const void *)vma->ring)->id;
}

/* In the order in which they stand in the kernel's table. */
static bool comes_after(const struct snap_vma *vma, const struct snap_vma *last)
{
	if (!last || context_id(vma) != context_id(last))
		return !last || context_id(vma) > context_id(last);
	return vma > last;
}

static const struct snap_vma *next_context(const struct snap_mm *mm, const struct snap_vma *last)
{
	const struct snap_vma *next = NULL;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];

		if (vma->nr_ring && comes_after(vma, last) && (!next || comes_after(next, vma)))
			next = vma;
	}
	return next;
}

int aio_make(struct job *job, struct err *err)
{
	const struct snap_vma *vma = NULL;

	if (job->shares_vm)
		return 0;
	while ((vma = next_context(job->mm, vma)))
		if (context_place(job, vma, err) < 0)
			return err_wrap(err, "context %llx of asynchronous I/O",
				(unsigned long long)vma->start);
	return 0;
}
