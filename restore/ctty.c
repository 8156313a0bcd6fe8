/* Controlling terminals; see ctty.h. */
#include "restore/ctty.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "images/fd/pty_ctty.h"
#include "restore/birth.h"
#include "restore/fds_finish.h"
#include "restore/job.h"
#include "restore/stops.h"

static uint32_t terminal_of(const struct job *job)
{
	const struct snap_proc *proc = job->proc;

	if (proc->session_inherited || proc->sid != proc->pid)
		return ID_NONE;
	return pty_ctty_of(job->snap, proc);
}

static int remote_ioctl(const struct job *job, int fd, unsigned long request, uint64_t arg,
	const char *what, int64_t *ret, struct err *err)
{
	struct remote call = { SYS_ioctl, { (uint64_t)fd, request, arg } };

	return stops_blob_syscall(job, &call, what, ret, err);
}

/* A number of the slave in the process; *opened: it has to be closed again. */
static int slave_borrow(
	const struct job *job, uint32_t master, int *fd, bool *opened, struct err *err)
{
	uint32_t slave = pty_slave_of(job->snap, master);
	int64_t fresh = -1;

	*opened = slave == ID_NONE;
	*fd = *opened ? -1 : fds_number_of(job, slave);
	if (!*opened)
		return 0;
	if (remote_ioctl(job, fds_number_of(job, master), TIOCGPTPEER, O_RDWR | O_NOCTTY,
		    "open the controlling terminal", &fresh, err) < 0)
		return -err->code;
	*fd = (int)fresh;
	return 0;
}

static int slave_return(const struct job *job, int fd, bool opened, struct err *err)
{
	struct remote call = { SYS_close, { (uint64_t)fd } };

	return opened ? stops_blob_syscall(job, &call, "close", NULL, err) : 0;
}

int ctty_take(const struct job *job, struct err *err)
{
	uint32_t master = terminal_of(job);
	bool opened;
	int fd;

	if (master == ID_NONE)
		return 0;
	if (slave_borrow(job, master, &fd, &opened, err) < 0 ||
		remote_ioctl(job, fd, TIOCSCTTY, 0, "take the controlling terminal", NULL, err) < 0)
		return -err->code;
	return slave_return(job, fd, opened, err);
}

static int foreground_set(const struct job *job, uint32_t master, struct err *err)
{
	int32_t group = pty_foreground_of(job->snap, job->proc);
	uint64_t at = birth_scratch(job);
	bool opened;
	int fd;

	/* With new ids there is one process, and its group has its id. */
	if (group && job->pids == PIDS_NEW)
		group = job->pid;
	if (!group)
		return 0;
	if (slave_borrow(job, master, &fd, &opened, err) < 0 ||
		stops_write(job, at, &group, sizeof group, err) < 0 ||
		remote_ioctl(
			job, fd, TIOCSPGRP, at, "foreground group of the terminal", NULL, err) < 0)
		return -err->code;
	return slave_return(job, fd, opened, err);
}

int ctty_foreground(struct job *const *jobs, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		uint32_t master = terminal_of(jobs[i]);

		if (master != ID_NONE && foreground_set(jobs[i], master, err) < 0)
			return err_wrap(err, "process %d", jobs[i]->proc->pid);
	}
	return 0;
}
