/* Queued messages of unix sockets: record <-> message; see unix.h. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/message.h"
#include "images/fd/unix.h"
#include "images/snap.h"
#include "proto/socket.pb-c.h"

static Pb__UnixMessage *message_pack(struct arena *arena, const struct unix_msg *msg)
{
	Pb__UnixMessage *m = arena_alloc(arena, sizeof *m);

	pb__unix_message__init(m);
	m->has_data = true;
	m->data.data = msg->data;
	m->data.len = msg->len;
	m->has_from = msg->from.len > 0;
	m->from.data = (uint8_t *)(uintptr_t)msg->from.bytes;
	m->from.len = msg->from.len;
	m->fds = msg->fds;
	m->n_fds = msg->nr_fds;
	m->has_pid = m->has_uid = m->has_gid = msg->creds.pid != 0;
	m->pid = msg->creds.pid;
	m->uid = msg->creds.uid;
	m->gid = msg->creds.gid;
	m->has_urgent = msg->urgent != UNIX_NOT_URGENT;
	m->urgent = msg->urgent;
	return m;
}

void unix_queue_pack(
	const struct snap *snap, const struct unix_sock *sock, Pb__UnixMessage ***msgs, size_t *nr)
{
	*nr = sock->nr_queue;
	*msgs = arena_array(snap->arena, sock->nr_queue, sizeof **msgs);
	for (size_t i = 0; i < sock->nr_queue; i++)
		(*msgs)[i] = message_pack(snap->arena, &sock->queue[i]);
}

int unix_name_unpack(
	bool has, const uint8_t *data, size_t len, struct unix_name *out, struct err *err)
{
	memset(out, 0, sizeof *out);
	if (!has)
		return 0;
	if (len == 0 || len > UNIX_NAME_MAX)
		return err_set(err, EBADMSG, "unix socket name of %zu bytes", len);
	if (data[0] && memchr(data, '\0', len))
		return err_set(err, EBADMSG, "path of a unix socket contains NUL");
	memcpy(out->bytes, data, len);
	out->len = len;
	return 0;
}

static int fds_unpack(
	struct snap *snap, const Pb__UnixMessage *m, struct unix_msg *out, struct err *err)
{
	if (m->n_fds > UNIX_MAX_FDS)
		return err_set(err, EBADMSG, "unix socket: message with %zu descriptors", m->n_fds);
	for (size_t i = 0; i < m->n_fds; i++)
		if (message_id_check(m->fds[i], snap->nr_ofds, "unix socket: message with", err) <
			0)
			return -err->code;
	out->fds = arena_copy(snap->arena, m->fds, m->n_fds * sizeof *m->fds);
	out->nr_fds = m->n_fds;
	return 0;
}

static int message_unpack(struct snap *snap, const Pb__UnixMessage *m, const struct unix_sock *sock,
	struct unix_msg *out, struct err *err)
{
	if (m->has_from && sock->type != SOCK_DGRAM)
		return err_set(err, EBADMSG, "unix connection with a sender's name");
	if (m->urgent > UNIX_URGENT_READ ||
		(m->urgent && (sock->type != SOCK_STREAM || m->data.len != 1 || m->n_fds)))
		return err_set(
			err, EBADMSG, "unix socket: urgent message of %zu bytes", m->data.len);
	out->urgent = (enum unix_urgent)m->urgent;
	if (m->has_pid && m->pid <= 0)
		return err_set(err, EBADMSG, "unix socket: message of process %d", m->pid);
	out->data = arena_copy(snap->arena, m->data.data, m->data.len);
	out->len = m->data.len;
	out->creds = (struct unix_creds){ .pid = m->pid, .uid = m->uid, .gid = m->gid };
	if (unix_name_unpack(m->has_from, m->from.data, m->from.len, &out->from, err) < 0)
		return -err->code;
	return fds_unpack(snap, m, out, err);
}

int unix_queue_unpack(struct snap *snap, Pb__UnixMessage *const *msgs, size_t nr,
	struct unix_sock *sock, struct err *err)
{
	if (nr && (sock->state == UNIX_LISTEN || sock->state == UNIX_PENDING))
		return err_set(err, EBADMSG, "listening or pending unix socket with data");
	sock->queue = arena_array(snap->arena, nr, sizeof *sock->queue);
	sock->nr_queue = nr;
	for (size_t i = 0; i < nr; i++)
		if (message_unpack(snap, msgs[i], sock, &sock->queue[i], err) < 0)
			return -err->code;
	return 0;
}
