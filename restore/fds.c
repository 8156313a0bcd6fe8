/* The descriptor table of the target; see fds.h. */
#include "restore/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "images/fd/common.h"
#include "restore/fds_internal.h"
#include "restore/job.h"

const struct snap_fd *fds_slot(const struct snap_proc *proc, uint32_t num)
{
	size_t low = 0, high = proc->nr_fds;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (proc->fds[mid].num < num)
			low = mid + 1;
		else
			high = mid;
	}
	return low < proc->nr_fds && proc->fds[low].num == num ? &proc->fds[low] : NULL;
}

/* Say which one, unless the message begins with that already. */
static int ofd_wrap(const struct snap_ofd *ofd, struct err *err)
{
	const char *name = ofd->label ? ofd->label : ofd->kind->name;

	return text_starts(err->msg, name) ? -err->code : err_wrap(err, "%s", name);
}

static int ofd_make(struct job *job, struct snap_ofd *ofd, struct err *err)
{
	int *fd = &job->make.made[ofd->id];

	if (*fd < 0)
		*fd = job->born_with[ofd->id];
	if (*fd < 0 && ofd->kind->make(&job->make, ofd, fd, err) < 0)
		return ofd_wrap(ofd, err);
	if (ofd_make_common(&job->make, ofd, *fd, err) < 0)
		return ofd_wrap(ofd, err);
	return 0;
}

static int fds_make_all(struct job *job, struct err *err)
{
	const struct snap_proc *proc = job->proc;

	/* In the order of slots: open(2) takes the lowest free number, which mostly is the slot
	 * itself. */
	for (size_t i = 0; i < proc->nr_fds; i++) {
		struct snap_ofd *ofd = &job->snap->ofds[proc->fds[i].ofd];

		if (ofd->inherited >= 0 || job->settled[ofd->id])
			continue;
		if (ofd_make(job, ofd, err) < 0)
			return -err->code;
		job->settled[ofd->id] = true;
	}
	/* Those in no slot: queued in a socket, or only watched by an epoll. */
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (!job->settled[i] && job->snap->ofds[i].inherited < 0 &&
			ofd_make(job, &job->snap->ofds[i], err) < 0)
			return -err->code;
	return 0;
}

/* A descriptor that happens to sit in a slot of another one is parked. */
static int fds_clear_slots(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		int fd = job->make.made[i], moved;
		const struct snap_fd *slot = fds_slot(job->proc, (uint32_t)fd);

		if (!slot || slot->ofd == i)
			continue;
		moved = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
		if (moved < 0)
			return err_sys(err, "move descriptor %d", fd);
		close(fd);
		job->make.made[i] = moved;
	}
	return 0;
}

static bool is_first_slot(const struct snap_proc *proc, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (proc->fds[j].ofd == proc->fds[i].ofd)
			return false;
	return true;
}

/* The kernel notes the number through which O_ASYNC was set: it is the si_fd of the signals. */
static int slot_async(const struct snap_ofd *ofd, int num, struct err *err)
{
	int flags = (int)(ofd->flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME));

	if (fcntl(num, F_SETFL, flags) < 0 || fcntl(num, F_SETFL, flags | O_ASYNC) < 0)
		return err_sys(err, "asynchronous input of descriptor %d", num);
	return 0;
}

static int fds_place(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];
		int fd = job->make.made[slot->ofd];
		int ret = fd == (int)slot->num ? fcntl(fd, F_SETFD, 0) : dup2(fd, (int)slot->num);

		if (ret < 0)
			return err_sys(err, "put descriptor %u in place", slot->num);
		if (ofd->flags & O_ASYNC && ofd->inherited < 0 && is_first_slot(job->proc, i) &&
			slot_async(ofd, (int)slot->num, err) < 0)
			return -err->code;
	}
	return 0;
}

/* Where the program has it, for the same reason: a lease tells by that number (F_SETSIG). */
static int lock_slot(const struct job *job, uint32_t ofd)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++)
		if (job->proc->fds[i].ofd == ofd)
			return (int)job->proc->fds[i].num;
	return job->make.made[ofd];
}

/*
 * What needs the others in their slots. Each once, through its first slot; locks when all links are
 * made, since those use and close other slots for a moment, which loses POSIX locks.
 */
static int fds_link(struct job *job, struct err *err)
{
	struct snap_ofd *ofds = job->snap->ofds;
	const int *made = job->make.made;

	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (ofds[i].inherited < 0 && ofds[i].kind->make_link &&
			ofds[i].kind->make_link(&job->make, &ofds[i], made[i], err) < 0)
			return ofd_wrap(&ofds[i], err);
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (ofds[i].inherited < 0 && ofds[i].nr_locks &&
			ofd_make_locks(&job->make, &ofds[i], lock_slot(job, i), err) < 0)
			return ofd_wrap(&ofds[i], err);
	return 0;
}

static bool has_ofd(const struct snap_fd *fds, size_t nr, uint32_t ofd)
{
	for (size_t i = 0; i < nr; i++)
		if (fds[i].ofd == ofd)
			return true;
	return false;
}

bool fds_threads_have(const struct snap_proc *proc, uint32_t ofd)
{
	for (size_t i = 0; i < proc->nr_thread_files; i++)
		if (has_ofd(proc->thread_files[i].fds, proc->thread_files[i].nr_fds, ofd))
			return true;
	return false;
}

bool fds_process_has(const struct snap_proc *proc, uint32_t ofd)
{
	return has_ofd(proc->fds, proc->nr_fds, ofd) || fds_threads_have(proc, ofd);
}

static bool is_used_by_others(const struct snap *snap, uint32_t ofd)
{
	for (size_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (i ? fds_process_has(proc, ofd) : fds_threads_have(proc, ofd))
			return true;
	}
	return false;
}

/* Other processes inherit all of them, over an exec too, and take what they need. */
static int fds_leave(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		if (!is_used_by_others(job->snap, i))
			continue;
		job->parked[i] = fcntl(job->make.made[i], F_DUPFD, job->park);
		if (job->parked[i] >= 0)
			continue;
		err_sys(err, "park descriptor %d", job->make.made[i]);
		return err_hint(err, "so many open files need a higher limit while they are "
				     "restored: raise it before (ulimit -Hn)");
	}
	return 0;
}

int fds_make(struct job *job, struct err *err)
{
	if (fds_inherit(job, err) < 0 || fds_make_all(job, err) < 0 ||
		fds_clear_slots(job, err) < 0 || fds_place(job, err) < 0 ||
		fds_link(job, err) < 0 || fds_leave(job, err) < 0)
		return -err->code;
	return 0;
}
