/* Rings of io_uring(7); see ring.h. */
#include "dump/ring.h"

#include <errno.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "dump/vma.h"

/* linux/io_uring.h: IORING_ENTER_REGISTERED_RING; io_uring/tctx.h: IO_RINGFD_REG_MAX */
enum { ENTER_REGISTERED_RING = 1 << 4, NR_REGISTERED = 16 };

int ring_ofd(struct dumping_proc *p, const struct proc_vma *vma, uint32_t *ofd, struct err *err)
{
	struct fd_dump *hooks = &p->d->fd_dump;

	*ofd = hooks->ofd_of_inode(hooks, vma->dev, vma->ino, ID_NONE);
	if (*ofd != ID_NONE)
		return 0;
	err_set(err, ENOTSUP, "mapping %llx-%llx: a ring of io_uring whose descriptor is closed",
		(unsigned long long)vma->start, (unsigned long long)vma->end);
	return err_hint(err, "start the program without io_uring");
}

/* Nothing shows them, but to enter one that is there succeeds, and does nothing. */
static int check_thread(struct dumping_proc *p, struct tracee_thread *th, struct err *err)
{
	struct tracee_call calls[NR_REGISTERED];
	int ret;

	for (uint64_t i = 0; i < NR_REGISTERED; i++)
		calls[i] = (struct tracee_call){ SYS_io_uring_enter,
			{ i, 0, 0, ENTER_REGISTERED_RING }, 0 };
	ret = tracee_syscalls(p->t, th, calls, NR_REGISTERED, err);
	for (int i = 0; !ret && i < NR_REGISTERED; i++)
		if (calls[i].ret != -EBADF && calls[i].ret != -EINVAL) {
			err_set(err, ENOTSUP,
				"thread %d has registered a ring of io_uring "
				"(IORING_REGISTER_RING_FDS), which is not supported yet",
				th->tid);
			return err_hint(err, "let the program unregister it before the dump");
		}
	return ret;
}

int ring_check_threads(struct dumping_proc *p, struct err *err)
{
	bool any = false;
	int ret = 0;

	for (size_t i = 0; i < p->nr_vmas; i++)
		any = any || vma_is_ring(&p->vmas[i]);
	for (size_t i = 0; any && !ret && i < p->t->nr_threads; i++)
		if (i > 0 || p->th == &p->t->threads[0])
			ret = check_thread(p, &p->t->threads[i], err);
	return ret;
}
