/* The caller's terminal is lent to the program; see terminal.h. */
#include "restore/terminal.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "images/fd/pty_ctty.h"
#include "restore/job.h"
#include "restore/tree.h"

/* ---- whose -------------------------------------------------------------------------------------
 */

static int controlling_terminal(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		pid_t session;

		if (ioctl(fd, TIOCGSID, &session) == 0 && session == getsid(0))
			return fd;
	}
	return -1;
}

/* A session belongs to a terminal by its leader, and there is one already in the caller's. */
static void session_join(struct snap *snap)
{
	int32_t sid = snap->procs[0].sid;

	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].sid == sid)
			snap->procs[i].session_inherited = true;
	log_info("session %d: the caller's, as its terminal is", sid);
}

/* In another pid namespace than the caller's group, both are 0. */
static bool is_in_front(const struct terminal *t)
{
	pid_t group;

	return ioctl(t->fd, TIOCGPGRP, &group) == 0 && group == getpgrp();
}

void terminal_prepare(struct job *job)
{
	struct terminal *t = &job->terminal;
	const struct snap_proc *first = job->proc;

	t->fd = job->opts->detach ? -1 : controlling_terminal();
	if (t->fd < 0)
		return;
	t->group = getpgrp();
	t->lent = is_in_front(t) && ioctl(t->fd, TCGETS2, &t->ours) == 0;
	if (tree_leads_session(first) && first->tty && pty_ctty_of(job->snap, first) == ID_NONE)
		session_join(job->snap);
}

/* ---- to and fro --------------------------------------------------------------------------------
 */

/* Not the speeds, and what belongs to the line. */
static void attributes_merge(const struct snap_terminal *from, struct termios2 *to)
{
	to->c_iflag = from->iflag;
	to->c_oflag = from->oflag;
	to->c_lflag = from->lflag;
	memcpy(to->c_cc, from->cc, sizeof to->c_cc);
}

/* The group in front: as recorded, else that of the first process. 0: the caller's own. */
static pid_t group_in_front(const struct job *job)
{
	const struct snap *snap = job->snap;
	const struct snap_proc *front = NULL;

	for (size_t i = 0; i < snap->nr_procs && !front; i++)
		if (snap->procs[i].foreground && snap->procs[i].session_inherited)
			front = &snap->procs[i];
	if (!front)
		front = job->proc;
	if (front->group_inherited || !front->session_inherited)
		return 0;
	return job->pids == PIDS_NEW ? (front->pgid == job->proc->pid ? job->pid : 0) : front->pgid;
}

void terminal_give(const struct job *job)
{
	const struct terminal *t = &job->terminal;
	pid_t group = group_in_front(job);
	struct termios2 theirs;

	if (!t->lent)
		return;
	theirs = t->ours;
	if (job->snap->terminal.known) {
		attributes_merge(&job->snap->terminal, &theirs);
		ioctl(t->fd, TCSETS2, &theirs);
	}
	if (group && ioctl(t->fd, TIOCSPGRP, &group) < 0)
		log_debug("foreground group %d: %m", group);
}

void terminal_tell(const struct job *job)
{
	const struct snap_terminal *was = &job->snap->terminal;
	struct winsize size;
	pid_t group;

	if (!job->terminal.lent || !was->known || ioctl(job->terminal.fd, TIOCGWINSZ, &size) < 0 ||
		ioctl(job->terminal.fd, TIOCGPGRP, &group) < 0 || group <= 0)
		return;
	/* A program that edits lines or fills the screen has to draw it again in any case. */
	if (size.ws_row != was->rows || size.ws_col != was->cols || !(was->lflag & ICANON))
		kill(-group, SIGWINCH);
}

/* What stops in the background (bg) does not have it: it is the shell's. */
void terminal_back(struct terminal *t)
{
	if (!t->lent || t->away)
		return;
	t->away = true;
	ioctl(t->fd, TCGETS2, &t->theirs);
	ioctl(t->fd, TIOCGPGRP, &t->their_group);
	ioctl(t->fd, TIOCSPGRP, &t->group);
	ioctl(t->fd, TCSETS2, &t->ours);
}

void terminal_again(struct terminal *t)
{
	if (!t->lent || !is_in_front(t))
		return;
	t->away = false;
	ioctl(t->fd, TCSETS2, &t->theirs);
	if (t->their_group > 0)
		ioctl(t->fd, TIOCSPGRP, &t->their_group);
}
