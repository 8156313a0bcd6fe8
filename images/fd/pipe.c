/*
 * Pipes and FIFOs: what is looked at and how it is written down. How they are made again:
 * pipe_make.c.
 */
#include "images/fd/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/pipe_contents.h"
#include "images/fd/unix.h"

enum { PIPE_LEAST = 4096, PIPE_MOST = 1 << 30 };

static bool pipe_is(const struct fd_seen *seen)
{
	return S_ISFIFO(seen->st.st_mode) && !(fcntl(seen->fd, F_GETFL) & O_PATH);
}

static bool is_anonymous(const struct fd_seen *seen)
{
	return text_starts(seen->link, "pipe:[");
}

struct snap_ofd *pipe_next(const struct snap *snap, const struct pipe_priv *priv, uint32_t from)
{
	for (uint32_t i = from; i < snap->nr_ofds; i++) {
		const struct pipe_priv *other = snap->ofds[i].priv;

		if (snap->ofds[i].kind == &fd_pipe && other && snap->ofds[i].inherited < 0 &&
			other->dev == priv->dev && other->ino == priv->ino)
			return &snap->ofds[i];
	}
	return NULL;
}

/* ---- alive -> record ------------------------------------------------------------------------ */

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* The kernel tells by POLLHUP or POLLERR that an end has no partner left anywhere. */
bool pipe_is_broken(int fd)
{
	return poll_now(fd) & (pipe_can_read((uint32_t)fcntl(fd, F_GETFL)) ? POLLHUP : POLLERR);
}

static int refuse_partner(const struct fd_seen *seen, uint32_t flags, struct err *err)
{
	char name[256];

	err_set(err, ENOTSUP,
		"%s is the %s end of a pipe whose other end is in a process outside the dump",
		fd_seen_name(seen, name, sizeof name), pipe_can_read(flags) ? "read" : "write");
	return err_hint(err,
		"start the program so that the pipe is its standard input or output, or use a "
		"FIFO (mkfifo), which is opened again by its name");
}

static int pipe_check(const struct fd_seen *seen, struct err *err)
{
	struct fd_dump *d = seen->dump;
	uint32_t flags = (uint32_t)fcntl(seen->fd, F_GETFL), self;

	if (!is_anonymous(seen) || (flags & O_ACCMODE) == O_RDWR || !d->ofd_of_slot ||
		!d->ofd_of_inode)
		return 0;
	if (ofd_like_inherited(d->snap, seen->link) != ID_NONE)
		return 0;
	/* Whether another end inside is the right one is found out by save_link. */
	self = d->ofd_of_slot(d, seen->pid, seen->num);
	if (self == ID_NONE ||
		d->ofd_of_inode(d, seen->st.st_dev, seen->st.st_ino, self) != ID_NONE ||
		unix_queues_hold(d))
		return 0;
	return pipe_is_broken(seen->fd) ? 0 : refuse_partner(seen, flags, err);
}

static const char DELETED[] = " (deleted)";

/* A FIFO is opened again by its name, or made again where that was removed. */
static int fifo_save(const struct fd_seen *seen, struct pipe_priv *priv, struct err *err)
{
	struct fd_dump *d = seen->dump;
	struct stat st;

	/* One that has lost this name and kept another is found by that, as regular files are. */
	if ((lstat(seen->link, &st) == 0 && st.st_dev == seen->st.st_dev &&
		    st.st_ino == seen->st.st_ino) ||
		(text_ends(seen->link, DELETED) && seen->st.st_nlink))
		return d->file_of(d, seen->pid, seen->fd, seen->link, &priv->file, err);
	if (!text_ends(seen->link, DELETED)) {
		err_set(err, ENOTSUP,
			"the path of FIFO %s leads to something else or nothing, seen from here",
			seen->link);
		return err_hint(err,
			"run snapctl in the mount namespace and root directory of the program");
	}
	priv->path = arena_strndup(
		d->snap->arena, seen->link, strlen(seen->link) - strlen(DELETED));
	priv->mode = seen->st.st_mode & 07777;
	return 0;
}

static int pipe_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct snap *snap = seen->dump->snap;
	struct pipe_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	int size = fcntl(seen->fd, F_GETPIPE_SZ);

	if (size < 0)
		return err_sys(err, "F_GETPIPE_SZ");
	priv->dev = seen->st.st_dev;
	priv->ino = seen->st.st_ino;
	priv->file = ID_NONE;
	priv->like = is_anonymous(seen) ? ofd_like_inherited(snap, seen->link) : ID_NONE;
	priv->size = (uint32_t)size;
	priv->hup = pipe_can_read(ofd->flags) && poll_now(seen->fd) & POLLHUP;
	if (!is_anonymous(seen) && fifo_save(seen, priv, err) < 0)
		return -err->code;
	if (priv->like == ID_NONE && !pipe_next(snap, priv, 0) &&
		pipe_contents_read(seen->fd, snap->arena, &priv->buffers, &priv->nr_buffers, err) <
			0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

static int pipe_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	const struct pipe_priv *priv = ofd->priv;
	const struct snap_ofd *end = NULL;
	bool partner = false;

	if (!is_anonymous(seen) || priv->like != ID_NONE)
		return 0;
	while (!partner && (end = pipe_next(seen->dump->snap, priv, end ? end->id + 1 : 0)))
		partner = pipe_can_read(ofd->flags) ? pipe_can_write(end->flags)
						    : pipe_can_read(end->flags);
	if (partner || pipe_is_broken(seen->fd))
		return 0;
	return refuse_partner(seen, ofd->flags, err);
}

/* ---- record <-> message --------------------------------------------------------------------- */

static void buffers_pack(const struct snap *snap, const struct pipe_priv *priv, Pb__PipeFd *m)
{
	Pb__PipeBuffer *buffers = arena_array(snap->arena, priv->nr_buffers, sizeof *buffers);

	m->n_buffers = priv->nr_buffers;
	m->buffers = arena_array(snap->arena, priv->nr_buffers, sizeof *m->buffers);
	for (size_t i = 0; i < priv->nr_buffers; i++) {
		pb__pipe_buffer__init(&buffers[i]);
		buffers[i].has_data = true;
		buffers[i].data.data = priv->buffers[i].data;
		buffers[i].data.len = priv->buffers[i].len;
		buffers[i].has_packet = true;
		buffers[i].packet = priv->buffers[i].packet;
		m->buffers[i] = &buffers[i];
	}
}

static int pipe_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct pipe_priv *priv = ofd->priv;
	Pb__PipeFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__pipe_fd__init(m);
	m->has_ino = m->has_dev = m->has_size = m->has_hup = true;
	m->ino = priv->ino;
	m->dev = priv->dev;
	m->size = priv->size;
	m->hup = priv->hup;
	m->has_file = priv->file != ID_NONE;
	m->file = priv->file;
	m->has_like = priv->like != ID_NONE;
	m->like = priv->like;
	if (priv->path) {
		m->has_path = m->has_mode = true;
		m->path = message_path(priv->path);
		m->mode = priv->mode;
	}
	buffers_pack(snap, priv, m);
	msg->pipe = m;
	return 0;
}

static int buffers_unpack(
	struct snap *snap, const Pb__PipeFd *m, struct pipe_priv *priv, struct err *err)
{
	size_t slots = 0;

	priv->nr_buffers = m->n_buffers;
	priv->buffers = arena_array(snap->arena, m->n_buffers, sizeof *priv->buffers);
	for (size_t i = 0; i < m->n_buffers; i++) {
		const Pb__PipeBuffer *from = m->buffers[i];

		if (from->data.len == 0)
			return err_set(err, EBADMSG, "pipe: an empty buffer");
		slots += (from->data.len + PIPE_LEAST - 1) / PIPE_LEAST;
		priv->buffers[i].data = arena_copy(snap->arena, from->data.data, from->data.len);
		priv->buffers[i].len = from->data.len;
		priv->buffers[i].packet = from->packet;
	}
	if (slots > m->size / PIPE_LEAST)
		return err_set(
			err, EBADMSG, "pipe: %zu pages in a pipe of %u bytes", slots, m->size);
	return 0;
}

static int fifo_unpack(
	struct snap *snap, const Pb__PipeFd *m, struct pipe_priv *priv, struct err *err)
{
	priv->file = m->has_file ? m->file : ID_NONE;
	priv->mode = m->mode & 07777;
	if (m->has_file && m->has_path)
		return err_set(err, EBADMSG, "pipe: a FIFO with a name and without");
	if (m->has_path)
		return message_path_read(snap, &m->path, "pipe", &priv->path, err);
	if (!m->has_file)
		return 0;
	if (message_id_check(m->file, snap->nr_files, "pipe: file", err) < 0)
		return -err->code;
	if (!S_ISFIFO(snap->files[m->file].mode))
		return err_set(err, EBADMSG, "pipe: file %u is no FIFO", m->file);
	return 0;
}

static int pipe_like_unpack(
	const struct snap *snap, const Pb__PipeFd *m, struct pipe_priv *priv, struct err *err)
{
	priv->like = m->has_like ? m->like : ID_NONE;
	if (!m->has_like)
		return 0;
	if (message_id_check(m->like, snap->nr_ofds, "pipe: descriptor", err) < 0)
		return -err->code;
	if (snap->ofds[m->like].inherited < 0)
		return err_set(err, EBADMSG, "pipe: descriptor %u is not inherited", m->like);
	return 0;
}

static int pipe_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct pipe_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__PipeFd *m = msg->pipe;

	if (!m)
		return message_missing("pipe", err);
	if (m->size < PIPE_LEAST || m->size > PIPE_MOST)
		return err_set(err, EBADMSG, "pipe: %u bytes large", m->size);
	priv->dev = m->dev;
	priv->ino = m->ino;
	priv->size = m->size;
	priv->hup = m->hup;
	if (fifo_unpack(snap, m, priv, err) < 0 || pipe_like_unpack(snap, m, priv, err) < 0 ||
		buffers_unpack(snap, m, priv, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

static char *pipe_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct pipe_priv *priv = ofd->priv;
	const char *end = !pipe_can_write(ofd->flags) ? "read end"
			  : pipe_can_read(ofd->flags) ? "both ends"
						      : "write end";
	const struct snap_ofd *other = NULL;
	size_t len = 0;

	if (priv->like != ID_NONE)
		return arena_printf(arena, "%s, opened again from the caller's %d", end,
			snap->ofds[priv->like].inherited);
	while ((other = pipe_next(snap, priv, other ? other->id + 1 : 0))) {
		const struct pipe_priv *p = other->priv;

		for (size_t i = 0; i < p->nr_buffers; i++)
			len += p->buffers[i].len;
	}
	return arena_printf(arena, "%s, %zu of %u bytes used%s", end, len, priv->size,
		ofd->flags & O_DIRECT ? ", packets" : "");
}

const struct fd_kind fd_pipe = {
	.name = "pipe",
	.is = pipe_is,
	.check = pipe_check,
	.save = pipe_save,
	.save_link = pipe_save_link,
	.pack = pipe_pack,
	.unpack = pipe_unpack,
	.make = pipe_make,
	.describe = pipe_describe,
};
