/*
 * TCP, MPTCP, UDP, UDP-Lite, ICMP (ping) and raw sockets, IPv4 and IPv6. Looking at live ones is in
 * inet_save.c, making them anew in inet_make.c. As the last kind of socket that is asked, this one
 * also takes the families and protocols that nobody can restore, to refuse them by name.
 */
#include "images/fd/inet.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_waiting.h"
#include "proto/fd.pb-c.h"

static const struct {
	int protocol;
	const char *name;
} protocol_names[] = {
	{ IPPROTO_TCP, "tcp" },
	{ IPPROTO_UDP, "udp" },
	{ IPPROTO_UDPLITE, "udplite" },
	{ IPPROTO_MPTCP, "mptcp" },
	{ IPPROTO_ICMP, "icmp" },
	{ IPPROTO_ICMPV6, "icmpv6" },
};

const char *inet_protocol_name(int protocol)
{
	for (size_t i = 0; i < sizeof protocol_names / sizeof *protocol_names; i++)
		if (protocol_names[i].protocol == protocol)
			return protocol_names[i].name;
	return NULL;
}

bool inet_is_ours(int family, int type, int protocol)
{
	if (family != AF_INET && family != AF_INET6)
		return false;
	switch (type) {
	case SOCK_STREAM:
		return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
	case SOCK_DGRAM:
		return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
		       protocol == (family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	case SOCK_RAW:
		return protocol >= 0 && protocol <= UINT8_MAX;
	default:
		return false;
	}
}

/* "tcp", "raw icmp", "raw 89" */
static const char *sock_kind(const struct inet_sock *sock, char *buf, size_t len)
{
	const char *name = inet_protocol_name(sock->protocol);

	if (name)
		snprintf(buf, len, "%s%s", sock->type == SOCK_RAW ? "raw " : "", name);
	else
		snprintf(buf, len, "raw %d", sock->protocol);
	return buf;
}

const char *inet_sock_text(const struct inet_sock *sock, char buf[INET_SOCK_TEXT])
{
	char local[INET_ADDR_TEXT], remote[INET_ADDR_TEXT], kind[32];

	sock_kind(sock, kind, sizeof kind);
	inet_addr_text(sock->family, &sock->local, local);
	if (sock->remote.set)
		snprintf(buf, INET_SOCK_TEXT, "%s %s - %s", kind, local,
			inet_addr_text(sock->family, &sock->remote, remote));
	else if (sock->local.set)
		snprintf(buf, INET_SOCK_TEXT, "%s %s", kind, local);
	else
		snprintf(buf, INET_SOCK_TEXT, "%s socket", kind);
	return buf;
}

static bool inet_is(const struct fd_seen *seen)
{
	int domain;
	socklen_t len = sizeof domain;

	return S_ISSOCK(seen->st.st_mode) &&
	       getsockopt(seen->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain != AF_UNIX && domain != AF_NETLINK;
}

static int inet_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct inet_sock *sock = arena_alloc(arena, sizeof *sock);
	char text[INET_SOCK_TEXT];

	if (inet_sock_save(seen, sock, err) < 0)
		return -err->code;
	ofd->priv = sock;
	ofd->label = arena_strdup(arena, inet_sock_text(sock, text));
	return 0;
}

static int inet_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	const struct inet_sock *sock = ofd->priv;

	return sock->state == INET_UNACCEPTED ? tcp_unaccepted_link(seen, sock, err) : 0;
}

static int inet_save_last(
	const struct fd_seen *seen, struct snap_ofd *ofd, size_t *bytes, struct err *err)
{
	struct inet_sock *sock = ofd->priv;

	return sock->nr_waiting ? tcp_waiting_finish(seen, sock, bytes, err) : 0;
}

static bool is_in_a_slot(const struct snap *snap, uint32_t ofd)
{
	for (size_t p = 0; p < snap->nr_procs; p++)
		for (size_t i = 0; i < snap->procs[p].nr_fds; i++)
			if (snap->procs[p].fds[i].ofd == ofd)
				return true;
	return false;
}

/* What only is in flight (SCM_RIGHTS) nobody could wake later. */
static int carried_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct inet_sock *sock = ofd->priv;

	if (sock->conn->alone)
		return tcp_alone_make(sock, ofd->flags & SOCK_NONBLOCK, fd, err);
	if (tcp_conn_make(sock, ofd->flags & SOCK_NONBLOCK, fd, err) < 0)
		return -err->code;
	return is_in_a_slot(m->snap, ofd->id) ? 0 : tcp_conn_wake(*fd, sock, err);
}

/* With --tcp-close, or as it was with --tcp-established; the user has to say which. */
static int established_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct inet_sock *sock = ofd->priv;
	struct inet_sock reset = *sock;
	char text[INET_SOCK_TEXT];

	if (sock->conn->inside || (m->opts && m->opts->tcp_established))
		return carried_make(m, ofd, fd, err);
	reset.pending_error = true;
	if (m->opts && m->opts->tcp_close)
		return inet_reset_make(&reset, fd, err);
	err_set(err, ENOTSUP, "the image holds an established connection (%s)",
		inet_sock_text(sock, text));
	return err_hint(err, "say --tcp-established to take it up again, or --tcp-close: it comes "
			     "back as a connection that was reset");
}

static int inet_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct inet_sock *sock = ofd->priv;
	int flags = ofd->flags & SOCK_NONBLOCK;

	switch (sock->state) {
	case INET_RESET:
		return inet_reset_make(sock, fd, err);
	case INET_ESTABLISHED:
		return established_make(m, ofd, fd, err);
	case INET_CONNECTING:
		return tcp_connecting_make(m, sock, flags, fd, err);
	case INET_UNACCEPTED:
		return tcp_unaccepted_make(m, ofd, fd, err);
	case INET_IDLE:
	case INET_LISTEN:
	case INET_CONNECTED:
		break;
	}
	return inet_sock_make(m, sock, flags, fd, err);
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static int inet_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct inet_sock *sock = ofd->priv;
	Pb__InetSock *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__inet_sock__init(m);
	m->has_family = m->has_type = m->has_protocol = m->has_state = m->has_backlog = true;
	m->family = (uint32_t)sock->family;
	m->type = (uint32_t)sock->type;
	m->protocol = (uint32_t)sock->protocol;
	m->state = sock->state;
	m->backlog = sock->backlog;
	m->has_shutdown = sock->shutdown != 0;
	m->shutdown = sock->shutdown;
	m->has_pending_error = m->pending_error = sock->pending_error;
	m->has_refused = m->refused = sock->refused;
	m->has_nonlocal = m->nonlocal = sock->nonlocal;
	m->local = inet_addr_pack(snap->arena, sock->family, &sock->local);
	m->remote = inet_addr_pack(snap->arena, sock->family, &sock->remote);
	sockopt_pack(snap, &sock->options, &m->options, &m->n_options);
	inet_groups_pack(snap->arena, sock, &m->groups, &m->n_groups);
	m->has_unread = sock->nr_unread > 0;
	m->unread.data = sock->unread;
	m->unread.len = sock->nr_unread;
	tcp_md5_pack(snap->arena, sock, &m->md5, &m->n_md5);
	inet_queue_pack(snap->arena, sock, &m->queue, &m->n_queue);
	if (sock->conn)
		m->conn = tcp_conn_pack(snap->arena, sock->conn);
	tcp_waiting_pack(snap, sock, m);
	msg->inet = m;
	return 0;
}

static bool inet_state_fits(const Pb__InetSock *m)
{
	switch (m->state) {
	case INET_IDLE:
		return !m->remote;
	case INET_LISTEN:
		return m->type == SOCK_STREAM && m->local && !m->remote && m->backlog <= INT32_MAX;
	case INET_CONNECTED:
		return m->type != SOCK_STREAM && m->remote;
	case INET_RESET:
		return m->type == SOCK_STREAM;
	case INET_CONNECTING:
	case INET_ESTABLISHED:
	case INET_UNACCEPTED:
		return m->protocol == IPPROTO_TCP && m->local && m->remote;
	default:
		return false;
	}
}

static int inet_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct inet_sock *sock = arena_alloc(snap->arena, sizeof *sock);
	const Pb__InetSock *m = msg->inet;

	if (!m)
		return message_missing("inet", err);
	if (m->protocol > INT32_MAX ||
		!inet_is_ours((int)m->family, (int)m->type, (int)m->protocol) || m->shutdown > 3 ||
		(m->shutdown && m->type == SOCK_STREAM && m->state != INET_IDLE &&
			m->state != INET_UNACCEPTED))
		return err_set(err, EBADMSG, "socket of family %u, type %u, protocol %u", m->family,
			m->type, m->protocol);
	if (!inet_state_fits(m))
		return err_set(err, EBADMSG, "socket in state %u, which contradicts the rest of it",
			m->state);
	sock->family = (int)m->family;
	sock->type = (int)m->type;
	sock->protocol = (int)m->protocol;
	sock->state = (enum inet_state)m->state;
	sock->backlog = m->backlog;
	sock->shutdown = m->shutdown;
	sock->pending_error = m->pending_error;
	sock->refused = m->refused;
	sock->nonlocal = m->nonlocal;
	ofd->priv = sock;
	if (inet_addr_unpack(sock->family, m->local, &sock->local, err) < 0 ||
		inet_addr_unpack(sock->family, m->remote, &sock->remote, err) < 0 ||
		sockopt_unpack(snap, m->options, m->n_options, &sock->options, err) < 0)
		return -err->code;
	if (m->unread.len && (m->state != INET_RESET || m->unread.len > INT32_MAX / 4))
		return err_set(err, EBADMSG, "socket with %zu bytes to read", m->unread.len);
	sock->unread = arena_copy(snap->arena, m->unread.data, m->unread.len);
	sock->nr_unread = m->unread.len;
	if (sock->state == INET_ESTABLISHED) {
		sock->conn = arena_alloc(snap->arena, sizeof *sock->conn);
		if (tcp_conn_unpack(snap->arena, m->conn, sock->conn, err) < 0)
			return -err->code;
	}
	if (tcp_waiting_unpack(snap, m, sock, err) < 0)
		return -err->code;
	if (tcp_md5_unpack(snap->arena, m->md5, m->n_md5, sock, err) < 0)
		return -err->code;
	if (inet_queue_unpack(snap->arena, m->queue, m->n_queue, sock, err) < 0)
		return -err->code;
	return inet_groups_unpack(snap->arena, m->groups, m->n_groups, sock, err);
}

static char *inet_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct inet_sock *sock = ofd->priv;
	char text[INET_SOCK_TEXT];
	const char *queue = "";

	(void)snap;
	inet_sock_text(sock, text);
	if (sock->nr_dgrams)
		queue = arena_printf(arena, ", %zu datagram%s to read", sock->nr_dgrams,
			sock->nr_dgrams == 1 ? "" : "s");
	switch (sock->state) {
	case INET_LISTEN:
		return arena_printf(arena, "%s, listens, backlog %u%s", text, sock->backlog,
			sock->nr_waiting ? arena_printf(arena, ", %zu to accept", sock->nr_waiting)
					 : "");
	case INET_CONNECTED:
		return arena_printf(arena, "%s, connected%s", text, queue);
	case INET_RESET:
		return arena_printf(arena, "%s, connection that was reset%s", text,
			sock->nr_unread
				? arena_printf(arena, ", %zu bytes to read", sock->nr_unread)
				: "");
	case INET_CONNECTING:
		return arena_printf(arena, "%s, connecting", text);
	case INET_UNACCEPTED:
		return arena_printf(arena, "%s, connected, not accepted yet", text);
	case INET_ESTABLISHED:
		return arena_printf(arena, "%s, %s, %zu bytes to read, %zu to send", text,
			tcp_state_text(sock->conn->state), sock->conn->nr_recv,
			sock->conn->nr_send);
	case INET_IDLE:
		break;
	}
	return arena_printf(
		arena, "%s, %s%s", text, sock->local.set ? "bound" : "not bound", queue);
}

const struct fd_kind fd_inet = {
	.name = "inet",
	.is = inet_is,
	.check = inet_check,
	.save = inet_save,
	.save_link = inet_save_link,
	.save_last = inet_save_last,
	.pack = inet_pack,
	.unpack = inet_unpack,
	.make = inet_make,
	.describe = inet_describe,
};
