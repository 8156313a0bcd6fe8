/*
 * Pipes and FIFOs made again. All ends of one pipe are made together, when the first of them is
 * asked for: so every end can be opened while there is a partner, nothing blocks, and afterwards
 * exactly the ends that were there are left, with their POLLHUP and POLLERR.
 *
 * An end without O_LARGEFILE came from pipe(2); others were opened through /proc/PID/fd or a path,
 * which F_GETFL shows on 64-bit machines.
 */
#include "images/fd/pipe.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/common.h"
#include "images/fd/pipe_contents.h"

/* O_LARGEFILE as F_GETFL shows it; fcntl.h defines it as 0 on 64-bit machines. */
enum { SHOWN_LARGEFILE = 0100000 };

/* ---- pipe(2) -------------------------------------------------------------------------------- */

/* Size and contents, through an end that can be written to. */
static int pipe_fill(const struct fd_make *m, const struct pipe_priv *priv, int fd, struct err *err)
{
	const struct snap_ofd *end = NULL;

	if (pipe_set_size(fd, priv->size, err) < 0)
		return -err->code;
	while ((end = pipe_next(m->snap, priv, end ? end->id + 1 : 0))) {
		const struct pipe_priv *other = end->priv;

		if (other->nr_buffers)
			return pipe_contents_write(fd, other->buffers, other->nr_buffers, err);
	}
	return 0;
}

/* One end for ofd: that of pipe(2) itself if it is still free, or one more opened like it. */
static int end_make(
	const struct snap_ofd *ofd, int ends[2], bool taken[2], int *fd, struct err *err)
{
	int side = pipe_can_write(ofd->flags);

	if (!(ofd->flags & SHOWN_LARGEFILE) && !taken[side] && (ofd->flags & O_ACCMODE) != O_RDWR) {
		taken[side] = true;
		*fd = ends[side];
		return 0;
	}
	return ofd_reopen_made(ends[0], ofd->flags & (O_ACCMODE | O_NONBLOCK), fd, err);
}

static int pipe_make_ends(const struct fd_make *m, const struct pipe_priv *priv, struct err *err)
{
	const struct snap_ofd *end = NULL;
	bool taken[2] = { false, false };
	int ends[2], ret;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	ret = pipe_fill(m, priv, ends[1], err);
	while (!ret && (end = pipe_next(m->snap, priv, end ? end->id + 1 : 0)))
		ret = end_make(end, ends, taken, &m->made[end->id], err);
	for (int side = 0; side < 2; side++)
		if (!taken[side])
			close(ends[side]);
	return ret;
}

/* ---- FIFOs ---------------------------------------------------------------------------------- */

/* Under its old name where that is free, so that the link in /proc reads as before. */
static int fifo_make_nameless(const struct pipe_priv *priv, int *fd, struct err *err)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof path, "%s", priv->path);
	ret = mkfifo(path, 0600);
	for (unsigned i = 0; ret < 0 && errno == EEXIST && i < 16; i++) {
		snprintf(path, sizeof path, "%.*s.%x.%u", PATH_MAX - 32, priv->path,
			(unsigned)getpid(), i);
		ret = mkfifo(path, 0600);
	}
	if (ret < 0) {
		err_sys(err, "make the FIFO %s, whose name was removed, again", priv->path);
		return err_hint(err, "its directory must exist and be writable");
	}
	*fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	ret = *fd < 0 ? err_sys(err, "open %s", path) : 0;
	if (!ret && fchmod(*fd, priv->mode) < 0)
		ret = err_sys(err, "mode of %s", path);
	if (unlink(path) < 0 && !ret)
		ret = err_sys(err, "unlink %s", path);
	return ret;
}

/*
 * A helper open for both, so that nobody waits for a partner; but not where there are only readers
 * that have never seen a writer, since with it they would see one go (POLLHUP).
 */
static bool fifo_needs_helper(const struct snap *snap, const struct pipe_priv *priv)
{
	const struct snap_ofd *end = NULL;

	if (priv->path)
		return true;
	while ((end = pipe_next(snap, priv, end ? end->id + 1 : 0))) {
		const struct pipe_priv *other = end->priv;

		if (pipe_can_write(end->flags) || other->hup || other->nr_buffers)
			return true;
	}
	return false;
}

static int fifo_helper(
	const struct fd_make *m, const struct pipe_priv *priv, int *fd, struct err *err)
{
	int len = 0;

	if (priv->path) {
		if (fifo_make_nameless(priv, fd, err) < 0)
			return -err->code;
	} else if (m->open_file(m, priv->file, O_RDWR | O_NONBLOCK, fd, err) < 0) {
		return -err->code;
	}
	if (ioctl(*fd, FIONREAD, &len) < 0)
		return err_sys(err, "FIONREAD");
	/* Somebody outside has kept it open since, and what is in it is still there, or theirs. */
	return len ? 0 : pipe_fill(m, priv, *fd, err);
}

static int fifo_make_ends(const struct fd_make *m, const struct pipe_priv *priv, struct err *err)
{
	const struct snap_ofd *end = NULL;
	OWNED_FD helper = -1;
	int ret = 0;

	if (fifo_needs_helper(m->snap, priv) && fifo_helper(m, priv, &helper, err) < 0)
		return -err->code;
	while (!ret && (end = pipe_next(m->snap, priv, end ? end->id + 1 : 0))) {
		uint32_t flags = end->flags & ~(uint32_t)(O_ASYNC | O_CREAT | O_EXCL | O_TRUNC);
		const struct pipe_priv *own = end->priv; /* it may have several names */

		if (priv->path)
			ret = ofd_reopen_made(
				helper, flags & ~(uint32_t)O_NOFOLLOW, &m->made[end->id], err);
		else
			ret = m->open_file(m, own->file != ID_NONE ? own->file : priv->file,
				(int)(flags | O_NONBLOCK), &m->made[end->id], err);
	}
	return ret;
}

int pipe_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct pipe_priv *priv = ofd->priv;
	bool fifo = priv->path || priv->file != ID_NONE;

	if (priv->like != ID_NONE)
		return ofd_reopen_made(
			m->made[priv->like], ofd->flags & ~(uint32_t)(O_ASYNC | O_DIRECT), fd, err);
	if ((fifo ? fifo_make_ends(m, priv, err) : pipe_make_ends(m, priv, err)) < 0)
		return -err->code;
	*fd = m->made[ofd->id];
	return 0;
}
