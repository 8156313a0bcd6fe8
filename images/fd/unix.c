/*
 * Unix sockets: stream, datagram, seqpacket. Looking at live ones is in unix_save.c and the files
 * it names, making them anew in unix_make.c. What cannot be set again: times of arrival are those
 * of the restore.
 */
#include "images/fd/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/sock_diag.h"
#include "proto/fd.pb-c.h"

static bool unix_is(const struct fd_seen *seen)
{
	int domain;
	socklen_t len = sizeof domain;

	return S_ISSOCK(seen->st.st_mode) &&
	       getsockopt(seen->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static int unix_check(const struct fd_seen *seen, struct err *err)
{
	return unix_sock_check(seen, err) < 0 ? err_wrap(err, "descriptor %d", seen->num) : 0;
}

/* "unix /run/x.sock", "unix to /dev/log"; NULL: no name has to do with it. */
static char *name_text(const struct unix_sock *sock, struct arena *arena)
{
	char text[UNIX_NAME_TEXT];

	if (sock->name.len)
		return arena_printf(arena, "unix %s", unix_name_text(&sock->name, text));
	if (sock->peer_name.len)
		return arena_printf(arena, "unix to %s", unix_name_text(&sock->peer_name, text));
	return NULL;
}

static int unix_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct unix_sock *sock = arena_alloc(arena, sizeof *sock);
	uint32_t id = ofd->id;
	char *name;

	if (unix_sock_save(seen, sock, err) < 0)
		return -err->code;
	/* Descriptors in its queue may have made the table grow. */
	ofd = &seen->dump->snap->ofds[id];
	ofd->priv = sock;
	name = name_text(sock, arena);
	if (name)
		ofd->label = name;
	return 0;
}

static int unix_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	return unix_sock_link(seen, ofd->id, ofd->priv, err);
}

static int unix_save_last(
	const struct fd_seen *seen, struct snap_ofd *ofd, size_t *bytes, struct err *err)
{
	struct unix_sock *sock = ofd->priv;

	return sock->state == UNIX_LISTEN ? unix_waiting_finish(seen, sock, bytes, err) : 0;
}

static int unix_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	if (unix_make_all(m, err) < 0)
		return -err->code;
	*fd = m->made[ofd->id];
	return 0;
}

/* ---- record -> message ----------------------------------------------------------------------- */

static void name_pack(
	const struct unix_name *name, protobuf_c_boolean *has, ProtobufCBinaryData *out)
{
	*has = name->len > 0;
	out->data = (uint8_t *)(uintptr_t)name->bytes;
	out->len = name->len;
}

static Pb__UnixFile *file_pack(struct arena *arena, const struct unix_file *file)
{
	Pb__UnixFile *m;

	if (file->place == UNIX_NO_FILE)
		return NULL;
	m = arena_alloc(arena, sizeof *m);
	pb__unix_file__init(m);
	m->has_place = m->has_mode = m->has_uid = m->has_gid = true;
	m->place = file->place;
	m->mode = file->mode;
	m->uid = file->uid;
	m->gid = file->gid;
	m->has_path = file->path != NULL;
	if (file->path)
		m->path = message_path(file->path);
	m->has_dir = file->dir != NULL;
	if (file->dir)
		m->dir = message_path(file->dir);
	m->n_links = file->nr_links;
	m->links = arena_array(arena, file->nr_links, sizeof *m->links);
	for (size_t i = 0; i < file->nr_links; i++)
		m->links[i] = message_path(file->links[i]);
	return m;
}

static int unix_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct unix_sock *sock = ofd->priv;
	Pb__UnixSock *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__unix_sock__init(m);
	m->has_type = m->has_state = m->has_backlog = m->has_shutdown = true;
	m->type = (uint32_t)sock->type;
	m->state = sock->state;
	m->backlog = sock->backlog;
	m->shutdown = sock->shutdown;
	m->has_reset = m->reset = sock->reset;
	m->has_peer = sock->state == UNIX_PEER;
	m->peer = sock->peer;
	name_pack(&sock->name, &m->has_name, &m->name);
	name_pack(&sock->peer_name, &m->has_peer_name, &m->peer_name);
	m->file = file_pack(snap->arena, &sock->file);
	unix_queue_pack(snap, sock, &m->queue, &m->n_queue);
	unix_waiting_pack(snap, sock, m);
	m->has_peer_pid = m->has_peer_uid = m->has_peer_gid = sock->peercred.pid != 0;
	m->peer_pid = sock->peercred.pid;
	m->peer_uid = sock->peercred.uid;
	m->peer_gid = sock->peercred.gid;
	m->has_peer_groups_known = m->peer_groups_known = sock->peercred.has_groups;
	m->peer_groups = sock->peercred.groups;
	m->n_peer_groups = sock->peercred.nr_groups;
	sockopt_pack(snap, &sock->options, &m->options, &m->n_options);
	msg->unix = m;
	return 0;
}

/* ---- message -> record ----------------------------------------------------------------------- */

static int links_unpack(
	struct snap *snap, const Pb__UnixFile *m, struct unix_file *file, struct err *err)
{
	if (m->n_links && m->place == UNIX_UNLINKED)
		return err_set(err, EBADMSG, "unix socket: an unlinked file with other names");
	file->links = arena_array(snap->arena, m->n_links, sizeof *file->links);
	for (size_t i = 0; i < m->n_links; i++)
		if (message_path_read(snap, &m->links[i], "unix socket", &file->links[i], err) < 0)
			return -err->code;
	file->nr_links = m->n_links;
	return 0;
}

static int file_unpack(
	struct snap *snap, const Pb__UnixFile *m, struct unix_sock *sock, struct err *err)
{
	struct unix_file *file = &sock->file;
	bool path = unix_is_path(&sock->name);

	if (!m != !path)
		return err_set(err, EBADMSG, "unix socket: name and file contradict each other");
	if (!m)
		return 0;
	if (m->place < UNIX_AT_NAME || m->place > UNIX_UNLINKED || m->mode > 07777)
		return err_set(
			err, EBADMSG, "unix socket: file in place %u, mode %o", m->place, m->mode);
	if ((m->place == UNIX_MOVED) != m->has_path || (sock->name.bytes[0] != '/') != m->has_dir)
		return err_set(
			err, EBADMSG, "unix socket: path or directory of its file is missing");
	file->place = (enum unix_place)m->place;
	file->mode = m->mode;
	file->uid = m->uid;
	file->gid = m->gid;
	if (m->has_path && message_path_read(snap, &m->path, "unix socket", &file->path, err) < 0)
		return -err->code;
	if (m->has_dir && message_path_read(snap, &m->dir, "unix socket", &file->dir, err) < 0)
		return -err->code;
	return links_unpack(snap, m, file, err);
}

static bool state_fits(const Pb__UnixSock *m)
{
	bool dgram = m->type == SOCK_DGRAM;

	switch (m->state) {
	case UNIX_IDLE:
		return true;
	case UNIX_LISTEN:
		return !dgram && m->has_name && m->backlog <= INT32_MAX;
	case UNIX_PEER:
	case UNIX_ORPHAN:
		return true;
	case UNIX_OUTSIDE:
		return dgram && m->has_peer_name;
	case UNIX_PENDING:
		return !dgram;
	default:
		return false;
	}
}

static int peer_unpack(const struct snap *snap, const Pb__UnixSock *m, const struct snap_ofd *ofd,
	struct unix_sock *sock, struct err *err)
{
	sock->peer = ID_NONE;
	if (m->has_peer != (m->state == UNIX_PEER))
		return err_set(err, EBADMSG, "unix socket: state and peer contradict each other");
	if (!m->has_peer)
		return 0;
	if (message_id_check(m->peer, snap->nr_ofds, "unix socket: peer", err) < 0)
		return -err->code;
	if (snap->ofds[m->peer].kind != &fd_unix || snap->ofds[m->peer].inherited >= 0)
		return err_set(err, EBADMSG, "unix socket: peer %u is no unix socket of the image",
			m->peer);
	if (m->peer == ofd->id && m->type != SOCK_DGRAM)
		return err_set(err, EBADMSG, "unix connection with itself");
	sock->peer = m->peer;
	return 0;
}

static int unix_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct unix_sock *sock = arena_alloc(snap->arena, sizeof *sock);
	const Pb__UnixSock *m = msg->unix;

	if (!m)
		return message_missing("unix", err);
	if ((m->type != SOCK_STREAM && m->type != SOCK_DGRAM && m->type != SOCK_SEQPACKET) ||
		!state_fits(m) || m->shutdown > (UNIX_SHUT_RCV | UNIX_SHUT_SEND))
		return err_set(
			err, EBADMSG, "unix socket of type %u in state %u", m->type, m->state);
	sock->type = (int)m->type;
	sock->state = (enum unix_state)m->state;
	sock->backlog = m->backlog;
	sock->shutdown = m->shutdown;
	sock->reset = m->reset;
	ofd->priv = sock;
	if (unix_creds_unpack(snap->arena, m->peer_pid, m->peer_uid, m->peer_gid,
		    m->peer_groups_known, m->peer_groups, m->n_peer_groups, &sock->peercred,
		    err) < 0 ||
		unix_name_unpack(m->has_name, m->name.data, m->name.len, &sock->name, err) < 0 ||
		unix_name_unpack(m->has_peer_name, m->peer_name.data, m->peer_name.len,
			&sock->peer_name, err) < 0 ||
		peer_unpack(snap, m, ofd, sock, err) < 0 ||
		file_unpack(snap, m->file, sock, err) < 0 ||
		unix_queue_unpack(snap, m->queue, m->n_queue, sock, err) < 0 ||
		unix_waiting_unpack(snap, m, sock, err) < 0)
		return -err->code;
	return sockopt_unpack(snap, m->options, m->n_options, &sock->options, err);
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *type_text(int type)
{
	return type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "datagrams" : "seqpacket";
}

static const char *state_text(const struct unix_sock *sock, struct arena *arena)
{
	char name[UNIX_NAME_TEXT];

	switch (sock->state) {
	case UNIX_LISTEN:
		return arena_printf(arena, ", listens, backlog %u%s", sock->backlog,
			sock->nr_waiting ? arena_printf(arena, ", %zu to accept", sock->nr_waiting)
					 : "");
	case UNIX_PEER:
		return arena_printf(arena, ", connected to ofd %u", sock->peer);
	case UNIX_ORPHAN:
		return ", the other end is closed";
	case UNIX_OUTSIDE:
		return arena_printf(arena, ", sends to %s", unix_name_text(&sock->peer_name, name));
	case UNIX_PENDING:
		return ", connected, not accepted yet";
	case UNIX_IDLE:
		break;
	}
	return sock->name.len ? "" : ", not bound";
}

static const char *file_text(const struct unix_file *file, struct arena *arena)
{
	if (file->place == UNIX_MOVED)
		return arena_printf(arena, " (now at %s)", file->path);
	return file->place == UNIX_UNLINKED ? " (unlinked)" : "";
}

static char *unix_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct unix_sock *sock = ofd->priv;
	const char *queue = "", *name = name_text(sock, arena);
	size_t bytes = 0, fds = 0;

	(void)snap;
	for (size_t i = 0; i < sock->nr_queue; i++) {
		bytes += sock->queue[i].len;
		fds += sock->queue[i].nr_fds;
	}
	if (sock->nr_queue)
		queue = arena_printf(arena, ", %zu bytes queued", bytes);
	if (fds)
		queue = arena_printf(
			arena, "%s with %zu descriptor%s", queue, fds, fds == 1 ? "" : "s");
	return arena_printf(arena, "%s%s%s%s%s%s", name ? name : "", name ? ", " : "",
		type_text(sock->type), file_text(&sock->file, arena), state_text(sock, arena),
		queue);
}

const struct fd_kind fd_unix = {
	.name = "unix",
	.is = unix_is,
	.check = unix_check,
	.save = unix_save,
	.save_link = unix_save_link,
	.save_last = unix_save_last,
	.pack = unix_pack,
	.unpack = unix_unpack,
	.make = unix_make,
	.describe = unix_describe,
};
