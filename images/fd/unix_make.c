/*
 * All unix sockets of a snap, made together, because they refer to each other: first those that exist by
 * themselves get their names, then connections are made through the listeners (so that both ends
 * tell the right names), then queues are filled, and at last everything is as it was.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kind.h"
#include "images/fd/unix.h"

struct making {
	const struct fd_make *m;
	struct arena *arena;
	int *far_end;  /* by ofd: the end of an orphan's connection that is closed when all is done */
	bool *ours;    /* by ofd: made here and now */
};

/* The socket of an ofd that we have to make; NULL: not a unix socket, or it exists already. */
static const struct unix_sock *todo(const struct making *k, uint32_t i)
{
	return k->m->made[i] < 0 ? unix_of(k->m->snap, i) : NULL;
}

static const struct unix_sock *made_here(const struct making *k, uint32_t i)
{
	return k->ours[i] ? unix_of(k->m->snap, i) : NULL;
}

static void keep(struct making *k, uint32_t i, int fd)
{
	k->m->made[i] = fd;
	k->ours[i] = true;
}

static int sock_new(const struct unix_sock *sock, int *fd, struct err *err)
{
	*fd = socket(AF_UNIX, sock->type | SOCK_CLOEXEC, 0);
	return *fd < 0 ? err_sys(err, "socket") : 0;
}

/* ---- who is who in a connection -------------------------------------------------------------------------- */

/* Both ends of a pair, or a datagram socket whose peer is connected back to it. */
static const struct unix_sock *mutual_peer(const struct snap *snap, uint32_t i)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer;

	if (sock->state != UNIX_PEER || sock->peer == i)
		return NULL;
	peer = unix_of(snap, sock->peer);
	return peer && peer->state == UNIX_PEER && peer->peer == i ? peer : NULL;
}

/* A listener of the dump with this name, ID_NONE where there is none. */
static uint32_t listener_of(const struct snap *snap, int type, const struct unix_name *name)
{
	for (uint32_t i = 0; name->len && i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = unix_of(snap, i);

		if (sock && sock->state == UNIX_LISTEN && sock->type == type &&
		    unix_name_equal(&sock->name, name))
			return i;
	}
	return ID_NONE;
}

/* What accept(2) gave has its listener's name; of two named ends the one whose listener is there. */
static bool is_accepted(const struct snap *snap, uint32_t i)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer = mutual_peer(snap, i);

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

/* ---- sockets that exist by themselves, and pairs ------------------------------------------------------------- */

static int check_peer(const struct snap *snap, uint32_t i, struct err *err)
{
	const struct unix_sock *sock = unix_of(snap, i), *peer;

	if (sock->state != UNIX_PEER)
		return 0;
	peer = unix_of(snap, sock->peer);
	if (!peer || peer->type != sock->type || (sock->type != SOCK_DGRAM && !mutual_peer(snap, i)) ||
	    (!mutual_peer(snap, i) && !peer->name.len))
		return err_set(err, EBADMSG, "unix socket: peer %u does not fit", sock->peer);
	return 0;
}

static int make_pair(struct making *k, uint32_t i, int *other, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, unix_of(k->m->snap, i)->type | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	keep(k, i, pair[0]);
	*other = pair[1];
	return 0;
}

static int create_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	const struct snap *snap = k->m->snap;
	const struct unix_sock *peer = mutual_peer(snap, i);
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
	if (sock_new(sock, &fd, err) < 0)
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

/* ---- names -------------------------------------------------------------------------------------------------- */

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
		const struct unix_sock *sock = made_here(k, i);

		if (!sock || gone_from_name(sock) != gone)
			continue;
		if (unix_bind(k->arena, k->m->made[i], sock, err) < 0)
			return -err->code;
		if (sock->state == UNIX_LISTEN && listen(k->m->made[i], (int)sock->backlog) < 0)
			return err_sys(err, "listen");
		if (gone && name_is_wanted(snap, i) && unix_bind_finish(k->arena, sock, err) < 0)
			return -err->code;
	}
	return 0;
}

static int unlink_all(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = made_here(k, i);

		if (sock && !is_accepted(k->m->snap, i) && !name_is_wanted(k->m->snap, i) &&
		    unix_bind_finish(k->arena, sock, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

/*
 * The listener may be in everybody's reach already, so it is made sure that the accepted connection is the
 * one that this process has just made.
 */
static int accept_own(int listener, int *out, struct err *err)
{
	for (;;) {
		OWNED_FD fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct ucred cred;
		socklen_t len = sizeof cred;

		if (fd < 0)
			return err_sys(err, "accept");
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
			return err_sys(err, "SO_PEERCRED");
		if (cred.pid == getpid()) {
			*out = take_fd(&fd);
			return 0;
		}
		log_warn("process %d connected before the restore was done: closed", cred.pid);
	}
}

/* The listener that `sock` was accepted from is gone: another one, for a moment. */
static int connect_through_new(struct making *k, const struct unix_sock *sock, int client, int *out,
			       struct err *err)
{
	OWNED_FD listener = -1;

	if (sock_new(sock, &listener, err) < 0 || unix_bind(k->arena, listener, sock, err) < 0)
		return -err->code;
	if (listen(listener, 1) < 0)
		return err_sys(err, "listen");
	if (unix_connect(k->arena, client, sock, err) < 0 || accept_own(listener, out, err) < 0)
		return -err->code;
	return unix_bind_finish(k->arena, sock, err);
}

static int connect_through(struct making *k, uint32_t listener, int client, int *out, struct err *err)
{
	if (unix_connect(k->arena, client, unix_of(k->m->snap, listener), err) < 0)
		return -err->code;
	return accept_own(k->m->made[listener], out, err);
}

/* An accepted end: its client is another socket of the dump, or is made to be closed again. */
static int accept_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	uint32_t listener = listener_of(k->m->snap, sock->type, &sock->name);
	int client = -1, fd = -1, ret;

	if (sock->state == UNIX_PEER)
		client = k->m->made[sock->peer];
	else if (sock_new(sock, &k->far_end[i], err) < 0)
		return -err->code;
	else
		client = k->far_end[i];
	if (client < 0)
		return err_set(err, EBADMSG, "unix connection without a client");
	ret = listener == ID_NONE ? connect_through_new(k, sock, client, &fd, err) :
		connect_through(k, listener, client, &fd, err);
	if (fd >= 0)
		keep(k, i, fd);
	return ret;
}

static int connect_all(struct making *k, struct err *err)
{
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
		    connect_through(k, listener, k->m->made[i], &k->far_end[i], err) < 0)
			return -err->code;
	}
	return 0;
}

/* Buffer sizes decide how much fits into a queue, so the early options come before it. */
static int options_all(struct making *k, bool late, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = made_here(k, i);

		if (sock && sockopt_make(k->m->made[i], &sock->options, late, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- queues ------------------------------------------------------------------------------------------------------- */

/* A closed sender may have had a larger buffer than ours; it is closed again anyway. */
static void widen(int fd, const struct unix_sock *sock)
{
	size_t total = 65536;
	int size;

	for (size_t i = 0; i < sock->nr_queue; i++)
		total += 2 * sock->queue[i].len;
	size = total < INT32_MAX / 2 ? (int)total : INT32_MAX / 2;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static uint32_t bound_to(const struct snap *snap, const struct unix_name *name)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = unix_of(snap, i);

		if (sock && sock->type == SOCK_DGRAM && unix_name_equal(&sock->name, name))
			return i;
	}
	return ID_NONE;
}

/* A datagram to a socket that is not connected yet, from whom it came. */
static int send_by_name(struct making *k, const struct unix_sock *to, const struct unix_msg *msg,
			struct err *err)
{
	uint32_t sender = msg->from.len ? bound_to(k->m->snap, &msg->from) : ID_NONE;
	struct sockaddr_storage sa;
	OWNED_FD nameless = -1;
	OWNED_FD held = -1;
	socklen_t len;

	if (!to->name.len || (msg->from.len && (sender == ID_NONE || k->m->made[sender] < 0)))
		return err_set(err, EBADMSG, "unix socket: a queued datagram without a sender");
	if (sender == ID_NONE && sock_new(to, &nameless, err) < 0)
		return -err->code;
	if (unix_address(k->arena, to, &sa, &len, &held, err) < 0)
		return -err->code;
	return unix_queue_make(nameless >= 0 ? nameless : k->m->made[sender], msg, &sa, len, err);
}

static int fill_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	int from = k->far_end[i];

	if (from >= 0 && sock->nr_queue)
		widen(from, sock);
	if (from < 0 && mutual_peer(k->m->snap, i))
		from = k->m->made[sock->peer];
	for (size_t q = 0; q < sock->nr_queue; q++) {
		int ret = from >= 0 ? unix_queue_make(from, &sock->queue[q], NULL, 0, err) :
			send_by_name(k, sock, &sock->queue[q], err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int fill_all(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = made_here(k, i);

		if (sock && fill_one(k, i, sock, err) < 0)
			return err_wrap(err, "queue of a unix socket");
	}
	return 0;
}

/* ---- datagram sockets find their peers --------------------------------------------------------------------------- */

/*
 * The log daemon is not here: as if it had gone away after the connect, so that sending gives ECONNREFUSED
 * and syslog(3) tries again, now and later.
 */
static int connect_to_nobody(int fd, struct err *err)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	OWNED_FD nobody = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (nobody < 0 || bind(nobody, (struct sockaddr *)&sa, len) < 0)
		return err_sys(err, "socket");
	len = sizeof sa;
	if (getsockname(nobody, (struct sockaddr *)&sa, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, len) < 0)
		return err_sys(err, "connect to nobody");
	return 0;
}

static int connect_outside(int fd, const struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT];
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(&sock->peer_name, &sa);

	if (connect(fd, (struct sockaddr *)&sa, len) == 0)
		return 0;
	if (errno != ENOENT && errno != ECONNREFUSED)
		return err_sys(err, "connect to unix socket %s",
			unix_name_text(&sock->peer_name, text));
	log_info("nobody receives at unix socket %s", unix_name_text(&sock->peer_name, text));
	return connect_to_nobody(fd, err);
}

static int find_peers(struct making *k, struct err *err)
{
	const struct snap *snap = k->m->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = made_here(k, i);
		int ret = 0;

		if (!sock || sock->type != SOCK_DGRAM)
			continue;
		if (sock->state == UNIX_OUTSIDE)
			ret = connect_outside(k->m->made[i], sock, err);
		else if (sock->state == UNIX_PEER && !mutual_peer(snap, i))
			ret = unix_connect(k->arena, k->m->made[i], unix_of(snap, sock->peer), err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

/* Closing with data unread is what resets the other end. */
static int close_far_end(int fd, int *far_end, bool reset, struct err *err)
{
	if (*far_end >= 0 && reset && send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_sys(err, "make a connection that was reset");
	fd_close(far_end);
	return 0;
}

static int shut_all(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = made_here(k, i);

		if (!sock)
			continue;
		if (close_far_end(k->m->made[i], &k->far_end[i], sock->reset, err) < 0)
			return -err->code;
		/* SHUT_RD is 0, SHUT_WR 1, SHUT_RDWR 2; a closed peer has shut down everything. */
		if (sock->shutdown && (sock->type == SOCK_DGRAM || sock->state != UNIX_ORPHAN) &&
		    shutdown(k->m->made[i], (int)sock->shutdown - 1) < 0)
			return err_sys(err, "shut down a unix socket");
	}
	return 0;
}

static int make_steps(struct making *k, struct err *err)
{
	if (create_all(k, err) < 0 || bind_all(k, true, err) < 0 || bind_all(k, false, err) < 0 ||
	    connect_all(k, err) < 0 || options_all(k, false, err) < 0 || fill_all(k, err) < 0 ||
	    find_peers(k, err) < 0 || shut_all(k, err) < 0 || options_all(k, true, err) < 0)
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
	for (uint32_t i = 0; i < m->snap->nr_ofds; i++)
		fd_close(&k.far_end[i]);
	return ret;
}
