/*
 * The second half of making unix sockets, when all of them exist: options, queues, the peers of
 * datagram sockets, and what is closed or shut down again. See unix_making.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kind.h"
#include "images/fd/unix_making.h"

/* The least SO_SNDBUF there is (SOCK_MIN_SNDBUF in include/net/sock.h); asm/socket.h. */
enum { ROOM_ENOUGH = 4608, X_SO_BUF_LOCK = 72 };

static int options_of(struct making *k, bool late, bool listening, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);

		if (sock && (!late || (sock->state == UNIX_LISTEN) == listening) &&
			sockopt_make(k->m->made[i], &sock->options, late, err) < 0)
			return -err->code;
	}
	return 0;
}

int making_options(struct making *k, bool late, struct err *err)
{
	return options_of(k, late, false, err);
}

int making_listener_options(struct making *k, struct err *err)
{
	return options_of(k, true, true, err);
}

/* ---- queues ---------------------------------------------------------------------------------- */

/* At most what these count for in the sender's buffer: each message has a head. */
static size_t room_for(const struct unix_msg *queue, size_t nr)
{
	size_t total = 0;

	for (size_t i = 0; i < nr; i++)
		total += 2 * queue[i].len + 1024;
	return total;
}

void making_widen(int fd, const struct unix_msg *queue, size_t nr)
{
	size_t total = 65536 + room_for(queue, nr);
	int size = total < INT32_MAX / 2 ? (int)total : INT32_MAX / 2;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/*
 * What a socket may have under way (SO_SNDBUF) is asked only where that may not be enough: the
 * program has made it smaller since, or the kernel cuts the bytes of a stream at other places now
 * (unix_stream_sendmsg() in net/unix/af_unix.c), and each piece takes more than its bytes.
 */
struct room {
	bool widened;
	int size, lock;
};

static int room_make(int fd, const struct unix_sock *to, struct room *room, struct err *err)
{
	socklen_t len = sizeof(int);

	*room = (struct room){ 0 };
	if (room_for(to->queue, to->nr_queue) < ROOM_ENOUGH)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room->size, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, X_SO_BUF_LOCK, &room->lock, &len) < 0)
		return err_sys(err, "send buffer");
	room->size /= 2; /* the kernel doubles what it is given */
	room->widened = true;
	making_widen(fd, to->queue, to->nr_queue);
	return 0;
}

static int room_put_back(int fd, const struct room *room, struct err *err)
{
	if (!room->widened)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room->size, sizeof room->size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room->size, sizeof room->size);
	if (setsockopt(fd, SOL_SOCKET, X_SO_BUF_LOCK, &room->lock, sizeof room->lock) < 0)
		return err_sys(err, "send buffer");
	return 0;
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
static int send_by_name(
	struct making *k, const struct unix_sock *to, const struct unix_msg *msg, struct err *err)
{
	uint32_t sender = msg->from.len ? bound_to(k->m->snap, &msg->from) : ID_NONE;
	struct sockaddr_storage sa;
	OWNED_FD stranger = -1; /* closed by now, or not part of the dump */
	OWNED_FD held = -1;
	socklen_t len;

	if (!to->name.len || (sender != ID_NONE && k->m->made[sender] < 0))
		return err_set(err, EBADMSG, "unix socket: a queued datagram without a sender");
	if (sender == ID_NONE && making_socket(to->type, &stranger, err) < 0)
		return -err->code;
	if (sender == ID_NONE && msg->from.len)
		unix_bind_lost(k->arena, stranger, &msg->from);
	if (unix_address(k->arena, to, &sa, &len, &held, err) < 0)
		return -err->code;
	return unix_queue_make(
		k->m, stranger >= 0 ? stranger : k->m->made[sender], msg, &sa, len, err);
}

static int fill_from(
	struct making *k, uint32_t i, const struct unix_sock *sock, int from, struct err *err)
{
	for (size_t q = 0; q < sock->nr_queue; q++) {
		int ret = from >= 0 ? unix_queue_make(k->m, from, &sock->queue[q], NULL, 0, err)
				    : send_by_name(k, sock, &sock->queue[q], err);

		if (!ret && sock->queue[q].urgent == UNIX_URGENT_READ)
			ret = unix_urgent_read(k->m->made[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int fill_one(struct making *k, uint32_t i, const struct unix_sock *sock, struct err *err)
{
	int from = k->far_end[i];
	struct room room;

	if (sock->state == UNIX_LISTEN)
		return making_fill_pending(k, sock, err);
	if (from >= 0 && sock->nr_queue)
		making_widen(from, sock->queue, sock->nr_queue);
	if (from >= 0 || !making_mutual_peer(k->m->snap, i))
		return fill_from(k, i, sock, from, err);
	from = k->m->made[sock->peer];
	if (room_make(from, sock, &room, err) < 0 || fill_from(k, i, sock, from, err) < 0)
		return -err->code;
	return room_put_back(from, &room, err);
}

int making_fill(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);

		if (sock && fill_one(k, i, sock, err) < 0)
			return err_wrap(err, "queue of a unix socket");
	}
	return 0;
}

/* ---- datagram sockets find their peers ------------------------------------------------------- */

/*
 * The log daemon is not here: as if it had gone away after the connect, so that sending gives
 * ECONNREFUSED and syslog(3) tries again, now and later.
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
		return err_sys(
			err, "connect to unix socket %s", unix_name_text(&sock->peer_name, text));
	log_info("nobody receives at unix socket %s", unix_name_text(&sock->peer_name, text));
	return connect_to_nobody(fd, err);
}

int making_find_peers(struct making *k, struct err *err)
{
	const struct unix_creds nobody = { 0 }; /* datagram sockets note nobody */
	const struct snap *snap = k->m->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);
		int ret = 0;

		if (!sock || sock->type != SOCK_DGRAM)
			continue;
		if (sock->state == UNIX_OUTSIDE)
			ret = connect_outside(k->m->made[i], sock, err);
		else if (sock->state == UNIX_PEER && !making_mutual_peer(snap, i))
			ret = unix_connect(
				k->m, k->m->made[i], unix_of(snap, sock->peer), &nobody, NULL, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Closing with data unread is what resets the other end. */
static int close_far_end(int fd, int *far_end, bool reset, struct err *err)
{
	if (*far_end >= 0 && reset && send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_sys(err, "make a connection that was reset");
	fd_close(far_end);
	return 0;
}

int making_shut(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);

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
