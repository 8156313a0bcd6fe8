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

/* All of the foreground group have ended, and the leader is in the background: so it is with a
 * group that is about to end. */
static int group_of_nobody(struct tree *tree, struct job *job, int32_t *group, struct err *err)
{
	struct job helper;
	pid_t pid;

	if (helper_clone(tree, job, SIGCHLD, group, &pid, err) < 0)
		return -err->code;
	helper = birth_copy(job, pid);
	if (birth_call(&helper, SYS_setpgid, 0, 0, "setpgid", err) < 0)
		return -err->code;
	return helper_end(tree, job, &helper, *group, err);
}

static int foreground_set(struct tree *tree, struct job *job, uint32_t master, struct err *err)
{
	int32_t group = pty_foreground_of(job->snap, job->proc);
	uint64_t at = birth_scratch(job);
	bool opened;
	int fd;

	/* With new ids there is one process, and its group has its id. */
	if (job->pids == PIDS_NEW)
		group = group ? job->pid : 0;
	else if (!group && group_of_nobody(tree, job, &group, err) < 0)
		return -err->code;
	if (!group)
		return 0;
	if (slave_borrow(job, master, &fd, &opened, err) < 0 ||
		stops_write(job, at, &group, sizeof group, err) < 0 ||
		remote_ioctl(
			job, fd, TIOCSPGRP, at, "foreground group of the terminal", NULL, err) < 0)
		return -err->code;
	return slave_return(job, fd, opened, err);
}

/* It has given up the terminal of its session, or is older than that: TIOCNOTTY of ioctl_tty(2). */
static int ctty_leave(const struct job *job, uint32_t master, struct err *err)
{
	bool opened;
	int fd;

	if (slave_borrow(job, master, &fd, &opened, err) < 0 ||
		remote_ioctl(job, fd, TIOCNOTTY, 0, "give up the controlling terminal", NULL, err) <
			0)
		return -err->code;
	return slave_return(job, fd, opened, err);
}

static int ctty_leave_all(struct tree *tree, const struct job *leader, struct err *err)
{
	uint32_t master = terminal_of(leader);

	for (size_t i = 0; i < tree->snap->nr_procs; i++) {
		const struct job *job = tree->jobs[i];

		if (job != leader && job->session == leader->session && !job->proc->tty &&
			ctty_leave(job, master, err) < 0)
			return err_wrap(err, "process %d", job->proc->pid);
	}
	return 0;
}

int ctty_finish(struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < tree->snap->nr_procs; i++) {
		struct job *job = tree->jobs[i];
		uint32_t master = terminal_of(job);

		if (master == ID_NONE)
			continue;
		if (foreground_set(tree, job, master, err) < 0)
			return err_wrap(err, "process %d", job->proc->pid);
		if (ctty_leave_all(tree, job, err) < 0)
			return -err->code;
	}
	return 0;
}
