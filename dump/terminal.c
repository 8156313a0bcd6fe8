/* The terminal that the program has from its launcher: how it is set; and as it was before. */
#include "dump/terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/fds.h"

static bool terminal_read(int fd, struct snap_terminal *terminal)
{
	struct termios2 termios;
	struct winsize size;

	if (ioctl(fd, TCGETS2, &termios) < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0)
		return false;
	*terminal = (struct snap_terminal){
		.known = true,
		.iflag = termios.c_iflag,
		.oflag = termios.c_oflag,
		.cflag = termios.c_cflag,
		.lflag = termios.c_lflag,
		.rows = size.ws_row,
		.cols = size.ws_col,
	};
	_Static_assert(sizeof terminal->cc == sizeof termios.c_cc, "control characters");
	memcpy(terminal->cc, termios.c_cc, sizeof terminal->cc);
	return true;
}

void terminal_collect(struct dumping *d)
{
	const struct snap *snap = d->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (snap->ofds[i].inherited >= 0 &&
			terminal_read(d->slots->seen[i].seen.fd, &d->snap->terminal))
			return;
}

/* ---- the caller's ------------------------------------------------------------------------------
 */

void terminal_note(struct terminal_before *t)
{
	pid_t session, front;

	t->group = getpgrp();
	for (t->fd = STDERR_FILENO; t->fd >= 0; t->fd--)
		if (ioctl(t->fd, TIOCGSID, &session) == 0 && session == getsid(0) &&
			ioctl(t->fd, TIOCGPGRP, &front) == 0 && front == t->group &&
			ioctl(t->fd, TCGETS2, &t->ours) == 0)
			return;
}

/* With the processes of the program that were in it: at most a zombie is left, until init looks. */
static bool group_has_ended(pid_t group)
{
	struct proc_stat leader;
	OWNED_FD fd = -1;

	if (kill(-group, 0) < 0)
		return errno == ESRCH;
	return proc_open(group, &fd, NULL) == 0 && proc_stat(fd, "stat", &leader, NULL) == 0 &&
	       leader.state == 'Z';
}

void terminal_reset(const struct terminal_before *t)
{
	sigset_t ttou, before;
	pid_t front;

	if (t->fd < 0 || ioctl(t->fd, TIOCGPGRP, &front) < 0 || front <= 0 ||
		(front != t->group && !group_has_ended(front)))
		return;
	/* What would stop us, as we are not in front yet. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &before);
	ioctl(t->fd, TIOCSPGRP, &t->group);
	ioctl(t->fd, TCSETS2, &t->ours);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
