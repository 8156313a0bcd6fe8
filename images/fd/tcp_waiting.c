/*
 * TCP connections that a listener has not accepted yet, while both ends are in the dump or the
 * client is closed again: what was sent over them, looked at by accepting them as the very last of
 * the dump (see unix_waiting.c). Making them wait again is in tcp_waiting_make.c.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"
#include "images/fd/kinds.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_ends.h"
#include "images/fd/tcp_waiting.h"

/* ---- the client's side ----------------------------------------------------------------------- */

/* What nobody has and yet is not closed waits to be accepted. */
static bool is_unaccepted(const struct tcp_far_end *end)
{
	return !end->ino &&
	       (end->state == TCP_STATE_ESTABLISHED || end->state == TCP_STATE_CLOSE_WAIT);
}

bool tcp_is_unaccepted(const struct fd_seen *seen, const struct inet_sock *sock)
{
	struct tcp_pair pair = tcp_other_end(sock);
	const struct tcp_far_end *far;

	if (!seen->dump->fd_of || !sock->remote.set || sock->protocol != IPPROTO_TCP)
		return false;
	far = tcp_far_end(seen->dump, &pair, false);
	return far && is_unaccepted(far);
}

int tcp_unaccepted_check(
	const struct fd_seen *seen, const struct inet_sock *sock, int state, struct err *err)
{
	char text[INET_SOCK_TEXT];
	int queued = 0;

	if ((state == TCP_STATE_ESTABLISHED || state == TCP_STATE_FIN_WAIT2) &&
		ioctl(seen->fd, SIOCOUTQ, &queued) == 0 && !queued)
		return 0;
	err_set(err, EAGAIN,
		"connection %s is not accepted yet, and has no room for what was sent over it",
		inet_sock_text(sock, text));
	return err_hint(err, "let the program accept it before the dump");
}

static bool holds_waiting(const struct snap_ofd *ofd, uint16_t port)
{
	const struct inet_sock *sock = ofd->priv;

	return ofd->kind == &fd_inet && ofd->inherited < 0 && sock && sock->nr_waiting &&
	       sock->local.port == port;
}

int tcp_unaccepted_link(const struct fd_seen *seen, const struct inet_sock *sock, struct err *err)
{
	const struct snap *snap = seen->dump->snap;
	char text[INET_SOCK_TEXT];

	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (holds_waiting(&snap->ofds[i], sock->remote.port))
			return 0;
	err_set(err, ENOTSUP,
		"connection %s is not accepted yet, and who listens there is not part of the dump",
		inet_sock_text(sock, text));
	return err_hint(err, "wait until it is accepted, or dump the other program as well");
}

/* ---- the listener's side --------------------------------------------------------------------- */

static int option_of(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? 0 : value;
}

/* Did this one come to the listener, and not to another one on the same port? */
static bool came_to(
	const struct fd_seen *seen, const struct inet_sock *listener, const struct tcp_far_end *end)
{
	static const uint8_t any[16], mapped[12] = { [10] = 0xff, 0xff };
	struct tcp_end here = tcp_end_of(listener->family, &listener->local);
	bool v4 = !memcmp(end->pair.own.addr, mapped, sizeof mapped);

	if (memcmp(here.port, end->pair.own.port, sizeof here.port))
		return false;
	if (memcmp(listener->local.addr, any, listener->family == AF_INET ? 4 : 16))
		return !memcmp(here.addr, end->pair.own.addr, sizeof here.addr);
	if (listener->family == AF_INET)
		return v4;
	return !v4 || !option_of(seen->fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

/* Its client is in the dump, or was on this machine and is closed. */
static bool can_come_again(const struct fd_seen *seen, const struct tcp_far_end *end)
{
	struct tcp_pair client = { end->pair.peer, end->pair.own };
	struct inet_sock there = { .family = AF_INET6, .local = { .set = true } };
	const struct tcp_far_end *far;

	if (tcp_ends_have(seen->dump, &client))
		return true;
	far = tcp_far_end(seen->dump, &client, false);
	memcpy(there.local.addr, end->pair.peer.addr, sizeof there.local.addr);
	return end->state == TCP_STATE_CLOSE_WAIT && !(far && far->ino) &&
	       !inet_is_nonlocal(&there);
}

/* Of all that wait there; *bytes: what was sent over them. */
static size_t nr_holdable(
	const struct fd_seen *seen, const struct inet_sock *listener, size_t *bytes)
{
	size_t nr_all, nr = 0;
	const struct tcp_far_end *all = tcp_far_ends(seen->dump, &nr_all);

	*bytes = 0;
	for (size_t i = 0; i < nr_all; i++) {
		if (!is_unaccepted(&all[i]) || !came_to(seen, listener, &all[i]) ||
			!can_come_again(seen, &all[i]))
			continue;
		nr++;
		*bytes += all[i].rqueue;
	}
	return nr;
}

/* In a group (SO_REUSEPORT), the kernel chooses whom a connection comes to. */
bool tcp_waiting_can_hold(
	const struct fd_seen *seen, const struct inet_sock *listener, size_t nr_waiting)
{
	const struct fd_opts *opts = seen->dump->opts;
	size_t bytes;

	return seen->dump->fd_of && listener->protocol == IPPROTO_TCP &&
	       !(opts && opts->leave_running) && !option_of(seen->fd, SOL_SOCKET, SO_REUSEPORT) &&
	       nr_holdable(seen, listener, &bytes) == nr_waiting;
}

/* ---- looking, for good ----------------------------------------------------------------------- */

static int accept_next(const struct fd_seen *seen, int *out, struct err *err)
{
	/* It ends with a reset, so that nothing remains that would keep its port. */
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct pollfd p = { .fd = seen->fd, .events = POLLIN };
	OWNED_FD fd = -1;

	if (poll(&p, 1, 0) == 1)
		fd = accept4(seen->fd, NULL, NULL, SOCK_CLOEXEC);
	else
		errno = EAGAIN;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) < 0)
		return err_sys(err, "accept a TCP connection");
	*out = take_fd(&fd);
	return 0;
}

static bool has_urgent(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* It is ours, so it is simply read. Reading stops before an urgent byte, which comes in line. */
static int read_data(int fd, bool urgent, struct tcp_waiting *w, struct err *err)
{
	for (size_t done = 0; done < w->len;) {
		int at_mark = 0;
		ssize_t n;

		if (urgent && ioctl(fd, SIOCATMARK, &at_mark) == 0 && at_mark)
			w->urgent = done + 1;
		n = recv(fd, w->data + done, w->len - done, MSG_DONTWAIT);
		if (n < 0)
			return err_sys(err, "read %zu bytes of a TCP connection", w->len - done);
		if (n == 0)
			return err_set(err, EIO, "a TCP connection ends after %zu of %zu bytes",
				done, w->len);
		done += (size_t)n;
	}
	return 0;
}

static int look_at_data(struct arena *arena, int fd, struct tcp_waiting *w, struct err *err)
{
	int off = 0, in_line = 1, len = 0;
	bool urgent;

	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off) < 0)
		return err_sys(err, "SO_OOBINLINE");
	urgent = has_urgent(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line) < 0 ||
		ioctl(fd, FIONREAD, &len) < 0)
		return err_sys(err, "look at a TCP connection");
	w->len = (size_t)len;
	w->data = arena_alloc(arena, w->len);
	return read_data(fd, urgent, w, err);
}

static int look_at_addrs(int fd, struct tcp_waiting *w, struct err *err)
{
	struct sockaddr_storage own, peer;
	socklen_t own_len = sizeof own, peer_len = sizeof peer;

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
		getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return err_sys(err, "ends of a TCP connection");
	inet_addr_from(&own, &w->local);
	inet_addr_from(&peer, &w->remote);
	return 0;
}

static bool is_client(const struct snap_ofd *ofd, int family, const struct tcp_waiting *w)
{
	const struct inet_sock *sock = ofd->priv;
	struct tcp_pair pair,
		want = { tcp_end_of(family, &w->local), tcp_end_of(family, &w->remote) };

	if (ofd->kind != &fd_inet || ofd->inherited >= 0 || !sock || sock->state != INET_UNACCEPTED)
		return false;
	pair = tcp_other_end(sock);
	return !memcmp(&pair, &want, sizeof pair);
}

static uint32_t client_of(const struct snap *snap, int family, const struct tcp_waiting *w)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (is_client(&snap->ofds[i], family, w))
			return i;
	return ID_NONE;
}

static int accept_and_look(const struct fd_seen *seen, const struct inet_sock *listener,
	struct tcp_waiting *w, struct err *err)
{
	struct fd_dump *d = seen->dump;
	OWNED_FD fd = -1;

	if (accept_next(seen, &fd, err) < 0 || look_at_addrs(fd, w, err) < 0 ||
		look_at_data(d->snap->arena, fd, w, err) < 0)
		return err_wrap(err, "a connection that waits to be accepted");
	w->client = client_of(d->snap, listener->family, w);
	if (d->keep_fd)
		d->keep_fd(d, take_fd(&fd));
	return 0;
}

int tcp_waiting_finish(
	const struct fd_seen *seen, struct inet_sock *listener, size_t *bytes, struct err *err)
{
	size_t sent;

	if (bytes) {
		nr_holdable(seen, listener, &sent);
		*bytes += sent + listener->nr_waiting * sizeof *listener->waiting;
		return 0;
	}
	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (accept_and_look(seen, listener, &listener->waiting[i], err) < 0)
			return -err->code;
	return 0;
}
