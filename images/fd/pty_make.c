/*
 * Pseudo-terminals made again. The kernel gives out the lowest free number, so numbers below the
 * recorded one are taken up for a moment. Where another program has the number by now, the terminal
 * gets a new one: a name that the program remembers is then somebody else's, which is said aloud.
 */
#include "images/fd/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kinds.h"

/* ---- a pair of a certain number ------------------------------------------------------------- */

/* Some terminal of the dump is to have this number. */
static bool is_wanted(const struct snap *snap, uint32_t index)
{
	for (size_t i = 0; i < snap->nr_ofds; i++) {
		const struct pty_priv *other = snap->ofds[i].priv;

		if (snap->ofds[i].kind == &fd_pty && other && other->index == index)
			return true;
	}
	return false;
}

static int ptmx_open(const char *path, uint32_t *index, int *fd, struct err *err)
{
	OWNED_FD fresh = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int open_it = 0;

	if (fresh < 0) {
		err_sys(err, "open %s", path);
		if (err->code == ENOSPC)
			err_hint(err, "raise kernel.pty.max (sysctl)");
		return -err->code;
	}
	if (ioctl(fresh, TIOCGPTN, index) < 0 || ioctl(fresh, TIOCSPTLCK, &open_it) < 0)
		return err_sys(err, "a new terminal of %s", path);
	*fd = take_fd(&fresh);
	return 0;
}

/* A master of that number, or of one that nobody wants. What was opened on the way is closed. */
static int ptmx_of_index(
	const struct snap *snap, const char *path, uint32_t index, int *fd, struct err *err)
{
	int *passed = NULL, ret, fresh = -1;
	uint32_t got = 0;
	size_t nr = 0;

	for (;;) {
		ret = ptmx_open(path, &got, &fresh, err);
		if (ret < 0 || got == index || (got > index && !is_wanted(snap, got)))
			break;
		passed = realloc(passed, (nr + 1) * sizeof *passed);
		if (!passed)
			memory_none();
		passed[nr++] = fresh;
	}
	while (nr)
		close(passed[--nr]);
	free(passed);
	if (ret < 0)
		return err_wrap(err, "terminal %u", index);
	if (got != index)
		log_warn("terminal /dev/pts/%u is in use by another program, so the program's "
			 "is /dev/pts/%u now",
			index, got);
	*fd = fresh;
	return 0;
}

/* ---- slaves --------------------------------------------------------------------------------- */

static int open_flags(const struct snap_ofd *ofd)
{
	return (int)(ofd->flags & ~(uint32_t)(O_ASYNC | O_CREAT | O_EXCL | O_TRUNC)) | O_NOCTTY;
}

/* In a process of its own, whose descriptors are ours: only async-signal-safe calls. */
static int tty_open_child(int slave, int flags, int place)
{
	int fd;

	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		return errno;
	fd = open("/dev/tty", flags);
	if (fd < 0 || dup3(fd, place, O_CLOEXEC) < 0)
		return errno;
	return close(fd) < 0 ? errno : 0;
}

/*
 * /dev/tty is the controlling terminal of who opens it. Somebody has to be that who is not yet
 * anybody: a child in a session of its own, gone a moment later. Its end must not leave a SIGCHLD
 * with us, so it sends none.
 */
static int tty_open(int slave, int flags, int *out, struct err *err)
{
	OWNED_FD place = fcntl(slave, F_DUPFD_CLOEXEC, 3);
	int status;
	pid_t pid;

	if (place < 0)
		return err_sys(err, "pty: duplicate a descriptor");
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, 0);
	if (pid == 0)
		_exit(tty_open_child(slave, flags, place));
	if (pid < 0)
		return err_sys(err, "pty: clone");
	if (waitpid(pid, &status, __WALL) < 0)
		return err_sys(err, "pty: wait for a child");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_ret(
			err, WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO, "pty: open /dev/tty");
	*out = take_fd(&place);
	return 0;
}

static bool is_dev_tty(const struct pty_priv *priv)
{
	return !strcmp(priv->path, "/dev/tty");
}

/* TIOCGPTPEER, other than open(2), leaves O_CLOEXEC among the flags that F_GETFL shows. */
static int peer_open(int master, const struct snap_ofd *ofd, int *out, struct err *err)
{
	OWNED_FD fd = ioctl(master, TIOCGPTPEER, open_flags(ofd));

	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "pty: open the slave (TIOCGPTPEER)");
	*out = take_fd(&fd);
	return 0;
}

static int slave_make(int master, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	OWNED_FD slave = -1;

	if (!is_dev_tty(ofd->priv))
		return peer_open(master, ofd, fd, err);
	if (pty_slave_open(master, &slave, err) < 0)
		return -err->code;
	return tty_open(slave, open_flags(ofd) | O_CLOEXEC, fd, err);
}

/* All hung up slaves of one terminal: those of an ofd, or of a number whose master is closed. */
static int hung_up_slaves_make(const struct fd_make *m, uint32_t pair, uint32_t index, int master,
	int *last, struct err *err)
{
	for (uint32_t i = 0; i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &m->snap->ofds[i];
		const struct pty_priv *priv = ofd->priv;

		if (ofd->kind != &fd_pty || ofd->inherited >= 0 || !priv->hung_up ||
			priv->pair != pair || priv->index != index || is_dev_tty(priv))
			continue;
		if (slave_make(master, ofd, &m->made[i], err) < 0)
			return -err->code;
		*last = m->made[i];
	}
	return 0;
}

/* ---- masters -------------------------------------------------------------------------------- */

/* Those of its slaves that were hung up (vhangup) come first: that hangs up all there are. */
static int master_make(const struct fd_make *m, const struct snap_ofd *ofd, struct err *err)
{
	const struct pty_priv *priv = ofd->priv;
	int *master = &m->made[ofd->id], hung_up = -1;

	if (ptmx_of_index(m->snap, priv->path, priv->index, master, err) < 0 ||
		hung_up_slaves_make(m, ofd->id, priv->index, *master, &hung_up, err) < 0)
		return -err->code;
	if (hung_up < 0 || ioctl(hung_up, TIOCVHANGUP) == 0)
		return 0;
	err_sys(err, "pty: hang up the terminal (TIOCVHANGUP)");
	return err_hint(err, "the program had a terminal that was hung up: restore it as root");
}

/* Their master was closed, which hung them up; so one is made for that purpose. */
static int orphan_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct pty_priv *priv = ofd->priv;
	OWNED_FD master = -1;
	uint32_t any;
	int last;

	/* Which terminal a hung up /dev/tty was cannot be seen any more. */
	if (is_dev_tty(priv)) {
		if (ptmx_open("/dev/ptmx", &any, &master, err) < 0)
			return -err->code;
		return slave_make(master, ofd, fd, err);
	}
	if (ptmx_of_index(m->snap, "/dev/ptmx", priv->index, &master, err) < 0 ||
		hung_up_slaves_make(m, ID_NONE, priv->index, master, &last, err) < 0)
		return -err->code;
	*fd = m->made[ofd->id];
	return 0;
}

int pty_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct pty_priv *priv = ofd->priv;
	uint32_t master = priv->master ? ofd->id : priv->pair;

	if (master == ID_NONE)
		return orphan_make(m, ofd, fd, err);
	if (m->made[master] < 0 && master_make(m, &m->snap->ofds[master], err) < 0)
		return -err->code;
	if (priv->master || priv->hung_up) {
		*fd = m->made[ofd->id];
		return 0;
	}
	return slave_make(m->made[master], ofd, fd, err);
}

/* ---- the pair, when all its descriptors are there ------------------------------------------- */

static int slave_settle(int master, int slave, const struct pty_state *state, struct err *err)
{
	if (state->exclusive[0] && slave >= 0 && ioctl(slave, TIOCEXCL) < 0)
		return err_sys(err, "pty: TIOCEXCL");
	if (!pty_has_lock(&state->lock) || ioctl(master, TIOCSLCKTRMIOS, &state->lock) == 0)
		return 0;
	err_sys(err, "pty: TIOCSLCKTRMIOS");
	return err_hint(err, "the attributes of a terminal can be locked by root only");
}

int pty_make_link(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct pty_priv *priv = ofd->priv;
	const struct pty_state *state = priv->state;
	OWNED_FD slave = -1;
	int index, locked = 1;

	(void)m;
	if (!priv->master)
		return 0;
	index = pty_index(fd);
	if (state->slaves != PTY_NEVER_OPENED && pty_slave_open(fd, &slave, err) < 0)
		return -err->code;
	if (pty_state_make(fd, priv->path, (uint32_t)index, state, err) < 0 ||
		pty_queue_put(fd, slave, state, err) < 0 || slave_settle(fd, slave, state, err) < 0)
		return -err->code;
	if (state->locked && ioctl(fd, TIOCSPTLCK, &locked) < 0)
		return err_sys(err, "pty: TIOCSPTLCK");
	return 0;
}
