/*
 * All unix sockets of a snap, made together, because they refer to each other: first those that
 * exist by themselves get their names, then connections are made through the listeners (so that
 * both ends tell the right names), then queues are filled, and at last everything is as it was.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kind.h"
#include "images/fd/unix_making.h"

/* The socket of an ofd that we have to make; NULL: not a unix socket, or it exists already. */
static const struct unix_sock *todo(const struct making *k, uint32_t i)
{
	return k->m->made[i] < 0 ? unix_of(k->m->snap, i) : NULL;
}

const struct unix_sock *making_done(const struct making *k, uint32_t i)
{
	return k->ours[i] ? unix_of(k->m->snap, i) : NULL;
}

static void keep(struct making *k, uint32_t i, int fd)
{
	k->m->made[i] = fd;
	k->ours[i] = true;
}

int making_listen(
	struct making *k, int fd, int backlog, const struct unix_creds *creds, struct err *err)
{
	struct unix_call call = { .what = UNIX_CALL_LISTEN, .fd = fd, .backlog = backlog };

	unix_call_as(k->m, creds, &call);
	return call.error ? err_ret(err, -call.error, "listen") : 0;
}

int making_socket(int type, int *fd, struct err *err)
{
	*fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	return *fd < 0 ? err_sys(err, "socket") : 0;
}

/* ---- who is who in a connection -------------------------------------------------------------- */

const struct unix_sock *making_mutual_peer(const struct snap *snap, uint32_t i)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer;

	if (sock->state != UNIX_PEER || sock->peer == i)
		return NULL;
	peer = unix_of(snap, sock->peer);
	return peer && peer->state == UNIX_PEER && peer->peer == i ? peer : NULL;
}

/*
 * A listener of the dump with this name, ID_NONE where there is none. Of several the one whose file
 * still is there: the others cannot be reached.
 */
static uint32_t listener_of(const struct snap *snap, int type, const struct unix_name *name)
{
	uint32_t found = ID_NONE;

	for (uint32_t i = 0; name->len && i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = unix_of(snap, i);

		if (!sock || sock->state != UNIX_LISTEN || sock->type != type ||
			!unix_name_equal(&sock->name, name))
			continue;
		if (sock->file.place != UNIX_UNLINKED)
			return i;
		found = i;
	}
	return found;
}

/* What accept(2) gave has its listener's name; of two named ends the one whose listener is there.
 */
static bool is_accepted(const struct snap *snap, uint32_t i)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer = making_mutual_peer(snap, i);

	if (sock->type == SOCK_DGRAM || !sock->name.len ||
		(sock->state != UNIX_PEER && sock->state != UNIX_ORPHAN))
		return false;
	if (listener_of(snap, sock->type, &sock->name) != ID_NONE)
		return true;
	if (listener_of(snap, sock->type, &sock->peer_name) != ID_NONE)
		return false;
	return !peer || !peer->name.len || i < sock->peer;
}

static bool is_connection(const struct unix_sock *sock)
{
	return sock->type != SOCK_DGRAM && (sock->state == UNIX_PEER || sock->state == UNIX_ORPHAN);
}

/* ---- sockets that exist by themselves, and pairs --------------------------------------------- */

static int check_peer(const struct snap *snap, uint32_t i, struct err *err)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer;

	if (sock->state != UNIX_PEER)
		return 0;
	peer = unix_of(snap, sock->peer);
	if (!peer || peer->type != sock->type || !unix_name_equal(&sock->peer_name, &peer->name) ||
		(!making_mutual_peer(snap, i) && (sock->type != SOCK_DGRAM || !peer->name.len)))
		return err_set(err, EBADMSG, "unix socket: peer %u does not fit", sock->peer);
	return 0;
}

static int make_pair(struct making *k, uint32_t i, int *other, struct err *err)
{
	const struct unix_sock *sock = unix_of(k->m->snap, i);
	struct unix_call call = { .what = UNIX_CALL_PAIR, .type = sock->type };

	unix_call_as(k->m, &sock->peercred, &call);
	if (call.error)
		return err_ret(err, -call.error, "socketpair");
	keep(k, i, call.pair[0]);
	*other = call.pair[1];
	return 0;
}

static int create_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	const struct snap *snap = k->m->snap;
	const struct unix_sock *peer = making_mutual_peer(snap, i);
	bool client_of_listener = listener_of(snap, sock->type, &sock->peer_name) != ID_NONE;
	int fd;

	if (check_peer(snap, i, err) < 0)
		return -err->code;
	if (is_accepted(snap, i))
		return 0;
	if (peer && (sock->type == SOCK_DGRAM || (!sock->name.len && !peer->name.len))) {
		if (make_pair(k, i, &fd, err) < 0)
			return -err->code;
		keep(k, sock->peer, fd);
		return 0;
	}
	if (sock->state == UNIX_ORPHAN && !client_of_listener)
		return make_pair(k, i, &k->far_end[i], err);
	if (making_socket(sock->type | (snap->ofds[i].flags & SOCK_NONBLOCK), &fd, err) < 0)
		return -err->code;
	keep(k, i, fd);
	return 0;
}

static int create_all(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = todo(k, i);

		if (sock && create_one(k, i, sock, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Does another socket of the dump have its file under the same name? */
static bool name_is_wanted(const struct snap *snap, uint32_t except)
{
	const struct unix_sock *sock = unix_of(snap, except);

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *other = unix_of(snap, i);

		if (other && i != except && unix_name_equal(&other->name, &sock->name) &&
			!is_accepted(snap, i))
			return true;
	}
	return false;
}

static bool gone_from_name(const struct unix_sock *sock)
{
	return sock->file.place == UNIX_MOVED || sock->file.place == UNIX_UNLINKED;
}

/* gone: those whose files left their names, which have to make room for the others. */
static int bind_all(struct making *k, bool gone, struct err *err)
{
	const struct snap *snap = k->m->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		struct unix_sock *sock = making_done(k, i) ? snap->ofds[i].priv : NULL;

		if (!sock || gone_from_name(sock) != gone)
			continue;
		if (unix_bind(k->arena, k->m->made[i], sock, err) < 0)
			return -err->code;
		if (sock->state == UNIX_LISTEN &&
			making_listen(k, k->m->made[i], (int)sock->backlog, &sock->peercred, err) <
				0)
			return -err->code;
		if (gone && name_is_wanted(snap, i) &&
			(unix_bind_hold(k->arena, sock, err) < 0 ||
				unix_bind_finish(k->arena, sock, err) < 0))
			return -err->code;
	}
	return 0;
}

static int unlink_all(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);

		if (sock && !is_accepted(k->m->snap, i) && !name_is_wanted(k->m->snap, i) &&
			unix_bind_finish(k->arena, sock, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

/*
 * The listener may be in everybody's reach already, so it is made sure that the accepted connection
 * is the one that `by` has just made.
 */
static int accept_own(int listener, pid_t by, int *out, struct err *err)
{
	for (;;) {
		OWNED_FD fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct ucred cred;
		socklen_t len = sizeof cred;

		if (fd < 0)
			return err_sys(err, "accept");
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
			return err_sys(err, "SO_PEERCRED");
		if (cred.pid == by) {
			*out = take_fd(&fd);
			return 0;
		}
		log_warn("process %d connected before the restore was done: closed", cred.pid);
	}
}

/* What SO_PEERCRED tells at the other end of an accepted one: who listened. */
static struct unix_creds who_listened(const struct snap *snap, const struct unix_sock *sock)
{
	const struct unix_sock *client = unix_of(snap, sock->peer);

	return client && sock->state == UNIX_PEER ? client->peercred : (struct unix_creds){ 0 };
}

static int connect_through_own(struct making *k, const struct unix_sock *sock,
	const struct unix_sock *own, int listener, int client, int *out, struct err *err)
{
	struct unix_creds creds = who_listened(k->m->snap, sock);
	pid_t by;

	if (making_listen(k, listener, 1, &creds, err) < 0 ||
		unix_connect(k->m, client, own, &sock->peercred, &by, err) < 0 ||
		accept_own(listener, by, out, err) < 0)
		return -err->code;
	return unix_bind_finish(k->arena, own, err);
}

/* The listener that `sock` was accepted from is gone: another one, for a moment. */
static int connect_through_new(
	struct making *k, const struct unix_sock *sock, int client, int *out, struct err *err)
{
	struct unix_sock own = *sock;
	OWNED_FD listener = -1;
	int ret;

	if (making_socket(sock->type, &listener, err) < 0 ||
		unix_bind(k->arena, listener, &own, err) < 0)
		return -err->code;
	ret = connect_through_own(k, sock, &own, listener, client, out, err);
	unix_bind_forget(&own);
	return ret;
}

static int connect_through(struct making *k, uint32_t listener, int client,
	const struct unix_creds *creds, int *out, struct err *err)
{
	pid_t by;

	if (unix_connect(k->m, client, unix_of(k->m->snap, listener), creds, &by, err) < 0)
		return -err->code;
	return accept_own(k->m->made[listener], by, out, err);
}

/* The client that was closed since, under its name. */
static int far_end_make(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	if (making_socket(sock->type, &k->far_end[i], err) < 0)
		return -err->code;
	if (sock->peer_name.len)
		unix_bind_lost(k->arena, k->far_end[i], &sock->peer_name);
	return 0;
}

/* An accepted end: its client is another socket of the dump, or is made to be closed again. */
static int accept_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	uint32_t listener = listener_of(k->m->snap, sock->type, &sock->name);
	int client = -1, fd = -1, ret;

	if (sock->state == UNIX_PEER)
		client = k->m->made[sock->peer];
	else if (far_end_make(k, i, sock, err) < 0)
		return -err->code;
	else
		client = k->far_end[i];
	if (client < 0)
		return err_set(err, EBADMSG, "unix connection without a client");
	ret = listener == ID_NONE ? connect_through_new(k, sock, client, &fd, err)
				  : connect_through(k, listener, client, &sock->peercred, &fd, err);
	if (fd >= 0)
		keep(k, i, fd);
	return ret;
}

static int connect_all(struct making *k, struct err *err)
{
	const struct unix_creds nobody = { 0 }; /* it is closed at once */
	const struct snap *snap = k->m->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = unix_of(snap, i);
		uint32_t listener;

		if (!sock || !is_connection(sock))
			continue;
		if (is_accepted(snap, i)) {
			if (todo(k, i) && accept_one(k, i, sock, err) < 0)
				return -err->code;
			continue;
		}
		/* The client's end of a connection whose accepted end was closed. */
		listener = listener_of(snap, sock->type, &sock->peer_name);
		if (k->ours[i] && sock->state == UNIX_ORPHAN && listener != ID_NONE &&
			connect_through(k, listener, k->m->made[i], &nobody, &k->far_end[i], err) <
				0)
			return -err->code;
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int make_steps(struct making *k, struct err *err)
{
	if (create_all(k, err) < 0 || bind_all(k, true, err) < 0 || bind_all(k, false, err) < 0 ||
		connect_all(k, err) < 0 || making_options(k, false, err) < 0 ||
		making_listener_options(k, err) < 0 || making_pending(k, err) < 0 ||
		making_fill(k, err) < 0 || making_find_peers(k, err) < 0 ||
		making_shut(k, err) < 0 || making_options(k, true, err) < 0)
		return -err->code;
	return unlink_all(k, err);
}

int unix_make_all(const struct fd_make *m, struct err *err)
{
	struct arena *arena = m->snap->arena;
	struct making k = { m, arena, arena_array(arena, m->snap->nr_ofds, sizeof(int)),
		arena_array(arena, m->snap->nr_ofds, sizeof(bool)) };
	int ret;

	for (uint32_t i = 0; i < m->snap->nr_ofds; i++)
		k.far_end[i] = -1;
	ret = make_steps(&k, err);
	for (uint32_t i = 0; i < m->snap->nr_ofds; i++) {
		fd_close(&k.far_end[i]);
		if (making_done(&k, i)) {
			unix_bind_forget(m->snap->ofds[i].priv);
			making_forget_pending(m->snap->ofds[i].priv);
		}
		if (ret < 0 && k.ours[i])
			fd_close(&m->made[i]);
	}
	return ret;
}
