/* The last look at descriptors; see fds_finish.h. */
#include "restore/fds_finish.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "restore/job.h"

static int slot_finish(const struct job *job, const struct snap_fd *slot, struct err *err)
{
	const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];
	OWNED_FD pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	OWNED_FD fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, slot->num, 0);

	if (fd < 0)
		return err_sys(err, "descriptor %u of process %d", slot->num, job->pid);
	if (ofd->kind->finish(&job->make, ofd, fd, err) < 0)
		return err_wrap(err, "%s", ofd->label ? ofd->label : ofd->kind->name);
	return 0;
}

static int slots_finish(const struct job *job, bool *finished, struct err *err)
{
	for (size_t i = 0; i < job->proc->nr_fds; i++) {
		const struct snap_fd *slot = &job->proc->fds[i];
		const struct snap_ofd *ofd = &job->snap->ofds[slot->ofd];

		if (ofd->inherited >= 0 || !ofd->kind->finish || finished[slot->ofd])
			continue;
		if (slot_finish(job, slot, err) < 0)
			return -err->code;
		finished[slot->ofd] = true;
	}
	return 0;
}

int fds_finish(struct job *const *jobs, size_t nr, struct err *err)
{
	struct snap *snap = jobs[0]->snap;
	bool *finished = arena_array(snap->arena, snap->nr_ofds, sizeof *finished);

	for (size_t i = 0; i < nr; i++)
		if (slots_finish(jobs[i], finished, err) < 0)
			return -err->code;
	return 0;
}
