/* TCP connections that wait to be accepted: record <-> message, and waiting again. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/sockopt_table.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_waiting.h"
#include "proto/socket.pb-c.h"

enum { PATIENCE = 1000 /* milliseconds */ };

/* ---- record <-> message ---------------------------------------------------------------------- */

void tcp_waiting_pack(const struct snap *snap, const struct inet_sock *listener, Pb__InetSock *m)
{
	m->n_waiting = listener->nr_waiting;
	m->waiting = arena_array(snap->arena, m->n_waiting, sizeof *m->waiting);
	for (size_t i = 0; i < m->n_waiting; i++) {
		const struct tcp_waiting *w = &listener->waiting[i];
		Pb__TcpWaiting *one = arena_alloc(snap->arena, sizeof *one);

		pb__tcp_waiting__init(one);
		one->has_client = w->client != ID_NONE;
		one->client = w->client;
		one->local = inet_addr_pack(snap->arena, listener->family, &w->local);
		one->remote = inet_addr_pack(snap->arena, listener->family, &w->remote);
		one->has_data = w->len > 0;
		one->data.data = w->data;
		one->data.len = w->len;
		one->has_urgent = w->urgent > 0;
		one->urgent = w->urgent;
		m->waiting[i] = one;
	}
}

static int waiting_unpack(struct snap *snap, const Pb__TcpWaiting *m, int family,
	struct tcp_waiting *w, struct err *err)
{
	w->client = m->has_client ? m->client : ID_NONE;
	if (m->has_client && message_id_check(m->client, snap->nr_ofds, "TCP: waiting", err) < 0)
		return -err->code;
	if (m->data.len > INT32_MAX / 4 || m->urgent > m->data.len)
		return err_set(err, EBADMSG, "TCP: %zu bytes wait, urgent is number %lu",
			m->data.len, (unsigned long)m->urgent);
	if (inet_addr_unpack(family, m->local, &w->local, err) < 0 ||
		inet_addr_unpack(family, m->remote, &w->remote, err) < 0)
		return -err->code;
	w->data = arena_copy(snap->arena, m->data.data, m->data.len);
	w->len = m->data.len;
	w->urgent = m->urgent;
	return 0;
}

int tcp_waiting_unpack(
	struct snap *snap, const Pb__InetSock *m, struct inet_sock *listener, struct err *err)
{
	if (m->n_waiting && (listener->state != INET_LISTEN || listener->protocol != IPPROTO_TCP ||
				    m->n_waiting > INT32_MAX))
		return err_set(err, EBADMSG, "TCP: connections wait, but nobody listens");
	listener->waiting = arena_array(snap->arena, m->n_waiting, sizeof *listener->waiting);
	listener->nr_waiting = m->n_waiting;
	for (size_t i = 0; i < m->n_waiting; i++)
		if (waiting_unpack(
			    snap, m->waiting[i], listener->family, &listener->waiting[i], err) < 0)
			return -err->code;
	return 0;
}

/* ---- record -> live -------------------------------------------------------------------------- */

static int send_all(int fd, const uint8_t *data, size_t len, int flags, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, data + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT | flags);

		if (n < 0 && errno == EAGAIN && poll(&p, 1, PATIENCE) == 0)
			return err_set(err, ETIMEDOUT,
				"%zu of %zu bytes were taken by a TCP connection", done, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(err, "send over a TCP connection");
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int send_waiting(int fd, const struct tcp_waiting *w, struct err *err)
{
	size_t before = w->urgent ? w->urgent - 1 : 0;

	if (send_all(fd, w->data, before, 0, err) < 0 ||
		send_all(fd, w->data + before, w->urgent - before, MSG_OOB, err) < 0)
		return -err->code;
	return send_all(fd, w->data + w->urgent, w->len - w->urgent, 0, err);
}

static int connect_to(int fd, int family, const struct inet_addr *to, struct err *err)
{
	char text[INET_ADDR_TEXT];
	struct sockaddr_storage sa;
	socklen_t len;

	if (inet_addr_to(family, to, &sa, &len, err) < 0)
		return -err->code;
	return connect(fd, (struct sockaddr *)&sa, len) < 0
		       ? err_sys(err, "connect to %s", inet_addr_text(family, to, text))
		       : 0;
}

/* ---- a port that cannot be bound --------------------------------------------------------------
 */

/* Options that choose the port, and what they are in the program. */
static const struct {
	int level, name;
} port_options[] = {
	{ SOL_SOCKET, SO_REUSEADDR },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	{ IPPROTO_IP, X_IP_LOCAL_PORT_RANGE },
};

static int port_options_set(int fd, const struct inet_sock *sock, const int *values)
{
	for (size_t i = 0; i < sizeof port_options / sizeof *port_options; i++) {
		int level = port_options[i].level, name = port_options[i].name;
		int value = values ? values[i] : sockopt_int(&sock->options, level, name, 0);

		if (setsockopt(fd, level, name, &value, sizeof value) < 0)
			return -1;
	}
	return 0;
}

/* connect(2) chooses from these only (ip(7), ip_local_port_range). */
static bool may_be_chosen(uint16_t port)
{
	char text[32] = "";
	OWNED_FD fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC);
	unsigned from, to;

	return fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
	       sscanf(text, "%u %u", &from, &to) == 2 && from <= port && port <= to;
}

/*
 * Remains of connections of the same port to elsewhere keep it from being bound, but not connect(2)
 * from choosing it, by which the program has got it: from a range of one. err is why it could not
 * be bound, and stays so if that is no way either.
 */
static int port_by_connect(int fd, const struct inet_sock *sock, struct err *err)
{
	const int one[] = { 0, 1, (int)((uint32_t)sock->local.port << 16 | sock->local.port) };
	struct inet_addr local = sock->local;
	struct sockaddr_storage sa;
	socklen_t len;

	local.port = 0;
	if (err->code != EADDRINUSE || !may_be_chosen(sock->local.port) ||
		inet_addr_to(sock->family, &local, &sa, &len, NULL) < 0 ||
		port_options_set(fd, sock, one) < 0 ||
		bind(fd, (const struct sockaddr *)&sa, len) < 0)
		return -err->code;
	*err = (struct err){ 0 };
	return 0;
}

/* What it had to begin with, if it was got like that. */
static int port_check(int fd, const struct inet_sock *sock, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
		port_options_set(fd, sock, NULL) < 0)
		return err_sys(err, "the port of a TCP connection");
	/* At the same place in both families. */
	if (ntohs(((const struct sockaddr_in *)&sa)->sin_port) != sock->local.port)
		return err_set(err, EADDRINUSE, "port %u is in use", sock->local.port);
	return 0;
}

static int client_make(const struct fd_make *m, const struct inet_sock *sock,
	const struct tcp_waiting *w, int *out, struct err *err)
{
	OWNED_FD fd = socket(sock->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	bool bound;

	if (fd < 0)
		return err_sys(err, "socket");
	if (sockopt_make(fd, &sock->options, false, err) < 0 || tcp_md5_make(fd, sock, err) < 0)
		return -err->code;
	bound = inet_bind(m, fd, sock, err) == 0;
	if ((!bound && port_by_connect(fd, sock, err) < 0) ||
		connect_to(fd, sock->family, &sock->remote, err) < 0 ||
		(!bound && port_check(fd, sock, err) < 0) || send_waiting(fd, w, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0)
		return -err->code;
	/* SHUT_RD is 0, SHUT_WR 1, SHUT_RDWR 2. */
	if (sock->shutdown && shutdown(fd, (int)sock->shutdown - 1) < 0)
		return err_sys(err, "shut down a TCP connection");
	*out = take_fd(&fd);
	return 0;
}

/* Closed at once: what it has sent goes before. */
static int closed_client(const struct fd_make *m, const struct inet_sock *listener,
	const struct tcp_waiting *w, struct err *err)
{
	const struct inet_sock sock = { .family = listener->family,
		.type = SOCK_STREAM,
		.protocol = IPPROTO_TCP,
		.state = INET_UNACCEPTED,
		.local = w->remote,
		.remote = w->local,
		.md5 = listener->md5,
		.nr_md5 = listener->nr_md5 };
	OWNED_FD fd = -1;

	return client_make(m, &sock, w, &fd, err);
}

static int waiting_make(const struct fd_make *m, const struct inet_sock *listener,
	const struct tcp_waiting *w, struct err *err)
{
	const struct snap_ofd *ofd;
	const struct inet_sock *sock;

	if (w->client == ID_NONE)
		return closed_client(m, listener, w, err);
	ofd = &m->snap->ofds[w->client];
	sock = ofd->priv;
	if (ofd->kind != &fd_inet || ofd->inherited >= 0 || sock->state != INET_UNACCEPTED ||
		m->made[w->client] >= 0)
		return err_set(err, EBADMSG, "TCP: ofd %u cannot wait to be accepted", w->client);
	return client_make(m, sock, w, &m->made[w->client], err);
}

static int await_arrival(int listener, size_t nr, struct err *err)
{
	for (int i = 0; i < PATIENCE; i++) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof info;

		if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			return err_sys(err, "TCP_INFO");
		if (info.tcpi_unacked >= nr) /* of listeners, those that wait */
			return 0;
		poll(NULL, 0, 1);
	}
	return err_set(err, ETIMEDOUT, "a connection does not come to its listener");
}

static int make_all(
	const struct fd_make *m, int fd, const struct inet_sock *listener, struct err *err)
{
	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (waiting_make(m, listener, &listener->waiting[i], err) < 0 ||
			await_arrival(fd, i + 1, err) < 0)
			return err_wrap(err, "a connection that waits to be accepted");
	return 0;
}

/* Nobody accepts, and one over which nothing was sent would be deferred again. */
int tcp_waiting_make(
	const struct fd_make *m, int fd, const struct inet_sock *listener, struct err *err)
{
	int defer = sockopt_int(&listener->options, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0), none = 0;
	size_t room = listener->nr_waiting;

	if (!room)
		return 0;
	if (defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &none, sizeof none) < 0)
		return err_sys(err, "TCP_DEFER_ACCEPT");
	if (room > listener->backlog && listen(fd, (int)room) < 0)
		return err_sys(err, "listen");
	if (make_all(m, fd, listener, err) < 0)
		return -err->code;
	if (room > listener->backlog && listen(fd, (int)listener->backlog) < 0)
		return err_sys(err, "listen");
	if (defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof defer) < 0)
		return err_sys(err, "TCP_DEFER_ACCEPT");
	return 0;
}

static bool waits_at(const struct snap_ofd *ofd, uint32_t client)
{
	const struct inet_sock *sock = ofd->priv;

	if (ofd->kind != &fd_inet || ofd->inherited >= 0)
		return false;
	for (size_t i = 0; i < sock->nr_waiting; i++)
		if (sock->waiting[i].client == client)
			return true;
	return false;
}

int tcp_unaccepted_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	for (uint32_t i = 0; i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *listener = &m->snap->ofds[i];

		if (m->made[i] >= 0 || !waits_at(listener, ofd->id))
			continue;
		if (listener->kind->make(m, listener, &m->made[i], err) < 0)
			return -err->code;
		*fd = m->made[ofd->id];
		return 0;
	}
	return err_set(err, EBADMSG, "TCP: ofd %u waits nowhere to be accepted", ofd->id);
}
