/* Queued messages of unix sockets: record <-> message; see unix.h. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/message.h"
#include "images/fd/unix.h"
#include "images/snap.h"
#include "proto/socket.pb-c.h"

enum { MOST_GROUPS = 65536 }; /* NGROUPS_MAX of linux/limits.h */

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

/* ---- connections that wait to be accepted ---------------------------------------------------- */

static Pb__UnixWaiting *waiting_pack(
	const struct snap *snap, const struct unix_sock *listener, const struct unix_waiting *w)
{
	const struct unix_sock end = {
		.type = listener->type, .queue = w->queue, .nr_queue = w->nr_queue
	};
	Pb__UnixWaiting *m = arena_alloc(snap->arena, sizeof *m);

	pb__unix_waiting__init(m);
	m->has_client = w->client != ID_NONE;
	m->client = w->client;
	m->has_name = w->client_name.len > 0;
	m->name.data = (uint8_t *)(uintptr_t)w->client_name.bytes;
	m->name.len = w->client_name.len;
	unix_queue_pack(snap, &end, &m->queue, &m->n_queue);
	m->has_pid = m->has_uid = m->has_gid = w->creds.pid != 0;
	m->pid = w->creds.pid;
	m->uid = w->creds.uid;
	m->gid = w->creds.gid;
	m->has_groups_known = m->groups_known = w->creds.has_groups;
	m->groups = w->creds.groups;
	m->n_groups = w->creds.nr_groups;
	return m;
}

/* More than the ofds that connected, which older versions know as well. */
static bool waiting_has_more(const struct unix_sock *listener)
{
	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (listener->waiting[i].known || listener->waiting[i].client == ID_NONE)
			return true;
	return false;
}

void unix_waiting_pack(const struct snap *snap, const struct unix_sock *listener, Pb__UnixSock *m)
{
	size_t nr = listener->nr_waiting;

	if (waiting_has_more(listener)) {
		m->n_waiting = nr;
		m->waiting = arena_array(snap->arena, nr, sizeof *m->waiting);
		for (size_t i = 0; i < nr; i++)
			m->waiting[i] = waiting_pack(snap, listener, &listener->waiting[i]);
		return;
	}
	m->n_pending = nr;
	m->pending = arena_array(snap->arena, nr, sizeof *m->pending);
	for (size_t i = 0; i < nr; i++)
		m->pending[i] = listener->waiting[i].client;
}

static int client_unpack(
	const struct snap *snap, uint32_t id, struct unix_waiting *w, struct err *err)
{
	w->client = id;
	return message_id_check(id, snap->nr_ofds, "unix socket: waiting", err);
}

int unix_creds_unpack(struct arena *arena, int32_t pid, uint32_t uid, uint32_t gid, bool has_groups,
	const uint32_t *groups, size_t nr_groups, struct unix_creds *out, struct err *err)
{
	if (pid < 0 || nr_groups > MOST_GROUPS)
		return err_set(err, EBADMSG, "unix socket: peer is process %d with %zu groups", pid,
			nr_groups);
	*out = (struct unix_creds){ .pid = pid,
		.uid = uid,
		.gid = gid,
		.has_groups = has_groups,
		.groups = arena_copy(arena, groups, nr_groups * sizeof *groups),
		.nr_groups = nr_groups };
	return 0;
}

static int waiting_unpack(struct snap *snap, const Pb__UnixWaiting *m, int type,
	struct unix_waiting *w, struct err *err)
{
	struct unix_sock end = { .type = type, .state = UNIX_PEER };

	w->known = true;
	w->client = ID_NONE;
	if ((m->has_client && client_unpack(snap, m->client, w, err) < 0) ||
		unix_name_unpack(m->has_name, m->name.data, m->name.len, &w->client_name, err) <
			0 ||
		unix_creds_unpack(snap->arena, m->pid, m->uid, m->gid, m->groups_known, m->groups,
			m->n_groups, &w->creds, err) < 0 ||
		unix_queue_unpack(snap, m->queue, m->n_queue, &end, err) < 0)
		return -err->code;
	for (size_t i = 0; i < end.nr_queue; i++)
		if (end.queue[i].urgent == UNIX_URGENT_READ)
			return err_set(err, EBADMSG,
				"unix socket: read before the connection was accepted");
	w->queue = end.queue;
	w->nr_queue = end.nr_queue;
	return 0;
}

int unix_waiting_unpack(
	struct snap *snap, const Pb__UnixSock *m, struct unix_sock *listener, struct err *err)
{
	size_t nr = m->n_pending + m->n_waiting;

	if (nr && (listener->state != UNIX_LISTEN || (m->n_pending && m->n_waiting)))
		return err_set(err, EBADMSG,
			"unix socket: connections wait, but it does not listen, or they do so "
			"twice");
	listener->waiting = arena_array(snap->arena, nr, sizeof *listener->waiting);
	listener->nr_waiting = nr;
	for (size_t i = 0; i < m->n_pending; i++)
		if (client_unpack(snap, m->pending[i], &listener->waiting[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < m->n_waiting; i++)
		if (waiting_unpack(
			    snap, m->waiting[i], listener->type, &listener->waiting[i], err) < 0)
			return -err->code;
	return 0;
}
