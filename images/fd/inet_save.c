/*
 * A live internet socket -> struct inet_sock, by asking the local duplicate: TCP_INFO knows also
 * sockets that are neither bound nor listening, which /proc/net does not show.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/sockopt.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_waiting.h"

/* ---- refusals by name ------------------------------------------------------------------------ */

struct refused_socket {
	int domain, type, protocol; /* -1: any */
	const char *what, *remedy;
};

static const struct refused_socket refused_sockets[] = {
	{ AF_INET, -1, IPPROTO_SCTP, "an SCTP socket",
		"use TCP while the program is to be dumped" },
	{ AF_INET6, -1, IPPROTO_SCTP, "an SCTP socket",
		"use TCP while the program is to be dumped" },
	{ AF_INET, -1, IPPROTO_DCCP, "a DCCP socket", "close it before the dump" },
	{ AF_INET6, -1, IPPROTO_DCCP, "a DCCP socket", "close it before the dump" },
	{ AF_VSOCK, -1, -1, "a vsock socket (to a virtual machine or its host)",
		"close it before the dump" },
	{ AF_ALG, -1, -1, "a socket of the kernel's crypto API (AF_ALG)",
		"let the program use a crypto library instead, or close it before the dump" },
	{ AF_BLUETOOTH, -1, -1, "a Bluetooth socket", "close it before the dump" },
	{ AF_CAN, -1, -1, "a CAN bus socket", "close it before the dump" },
	{ AF_TIPC, -1, -1, "a TIPC socket", "close it before the dump" },
	{ AF_SMC, -1, -1, "an SMC socket", "run the program without smc_run" },
	{ AF_XDP, -1, -1, "an XDP socket", "close it before the dump" },
	{ AF_RDS, -1, -1, "an RDS socket", "close it before the dump" },
	{ AF_KEY, -1, -1, "a PF_KEY (IPsec) socket", "close it before the dump" },
};

static bool refused_matches(const struct refused_socket *r, const struct sockopt_who *who)
{
	return r->domain == who->domain && (r->type < 0 || r->type == who->type) &&
	       (r->protocol < 0 || r->protocol == who->protocol);
}

static int kind_check(const struct sockopt_who *who, struct err *err)
{
	for (size_t i = 0; i < sizeof refused_sockets / sizeof *refused_sockets; i++) {
		const struct refused_socket *r = &refused_sockets[i];

		if (!refused_matches(r, who))
			continue;
		err_set(err, ENOTSUP, "this is %s, which cannot be dumped", r->what);
		return err_hint(err, "%s", r->remedy);
	}
	if (!inet_is_ours(who->domain, who->type, who->protocol)) {
		err_set(err, ENOTSUP,
			"a socket of family %d, type %d, protocol %d cannot be dumped", who->domain,
			who->type, who->protocol);
		return err_hint(err, "close it before the dump");
	}
	return 0;
}

/* ---- state ----------------------------------------------------------------------------------- */

struct inet_live {
	struct inet_sock *sock;
	uint8_t state;
	uint32_t waiting; /* connections to accept */
	short events;     /* poll(2): nothing of it is consumed, unlike SO_ERROR */
	bool agreed;      /* TCP: there was a connection, whose ends agreed on its options */
};

static int live_addrs(int fd, struct inet_sock *sock, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_sys(err, "address of a socket");
	inet_addr_from(&sa, &sock->local);
	len = sizeof sa;
	if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0)
		inet_addr_from(&sa, &sock->remote);
	else if (errno != ENOTCONN)
		return err_sys(err, "peer of a socket");
	return 0;
}

/* Of another program that saves connections, or has just made one. */
static int repair_check(int fd, const struct inet_sock *sock, struct err *err)
{
	char text[INET_SOCK_TEXT];
	socklen_t len = sizeof(int);
	int on = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, &len) < 0 || !on)
		return 0;
	err_set(err, ENOTSUP, "%s is in repair mode (TCP_REPAIR)", inet_sock_text(sock, text));
	return err_hint(err, "let the program end that mode before the dump");
}

static int live_state(int fd, struct inet_live *live, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLRDHUP };
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a socket");
	live->events = p.revents;
	if (live->sock->type != SOCK_STREAM)
		return 0;
	if (repair_check(fd, live->sock, err) < 0)
		return -err->code;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "TCP_INFO");
	live->state = info.tcpi_state;
	live->agreed = info.tcpi_options != 0;
	if (info.tcpi_state == TCP_STATE_LISTEN) {
		/* Of a listening socket these hold the accept queue and its limit. */
		live->waiting = info.tcpi_unacked;
		live->sock->backlog = info.tcpi_sacked;
	}
	return 0;
}

/* Raw and ping sockets. */
static bool has_no_ports(const struct inet_sock *sock)
{
	return sock->type == SOCK_RAW || sock->protocol == IPPROTO_ICMP ||
	       sock->protocol == IPPROTO_ICMPV6;
}

static int inet_live(int fd, const struct stat *st, struct inet_live *live, struct err *err)
{
	struct sockopt_who who;

	if (sockopt_who_of(fd, &who, err) < 0 || kind_check(&who, err) < 0)
		return -err->code;
	live->sock->family = who.domain;
	live->sock->type = who.type;
	live->sock->protocol = who.protocol;
	if (live_addrs(fd, live->sock, err) < 0)
		return -err->code;
	if (has_no_ports(live->sock) && inet_proc_remote(st->st_ino, live->sock, err) < 0)
		return -err->code;
	if (live->sock->protocol == IPPROTO_UDP && live->sock->type == SOCK_DGRAM &&
		sock_diag_udp_shutdown(live->sock->family, st->st_ino, &live->sock->shutdown, err) <
			0)
		return -err->code;
	return live_state(fd, live, err);
}

/* ---- what stands against it ------------------------------------------------------------------ */

static int refuse_or_drop(const struct fd_seen *seen, struct err *err)
{
	if (!seen->dump->opts || !seen->dump->opts->tcp_close)
		return -err->code;
	log_warn("%s: dropped (--tcp-close)", err->msg);
	return 0;
}

static bool closes(const struct fd_seen *seen)
{
	return seen->dump->opts && seen->dump->opts->tcp_close;
}

/* TCP that is neither closed nor listens, so there is another end to it. */
static bool is_connection(const struct inet_live *live)
{
	return live->sock->type == SOCK_STREAM && live->state != TCP_STATE_LISTEN &&
	       live->state != TCP_STATE_CLOSE;
}

static bool is_wanted(const struct fd_seen *seen, const struct inet_live *live)
{
	return live->sock->protocol == IPPROTO_TCP &&
	       ((seen->dump->opts && seen->dump->opts->tcp_established) ||
		       tcp_conn_is_inside(seen, live->sock)) &&
	       tcp_may_repair();
}

static int connection_refuse(
	const struct fd_seen *seen, const struct inet_live *live, struct err *err)
{
	const char *what = live->state == TCP_STATE_ESTABLISHED ? "is established"
								: "is not closed yet";
	bool asked = seen->dump->opts && seen->dump->opts->tcp_established;
	bool inside = tcp_conn_is_inside(seen, live->sock);
	char text[INET_SOCK_TEXT];

	inet_sock_text(live->sock, text);
	if (live->sock->protocol == IPPROTO_TCP && (inside || asked)) {
		err_set(err, ENOTSUP,
			"connection %s %s, and only root (CAP_NET_ADMIN) can carry it over", text,
			what);
		return err_hint(err, "run snapctl as root, close the connection before the dump, "
				     "or use --tcp-close: it comes back as one that was reset");
	}
	err_set(err, ENOTSUP, "connection %s %s, and its other end is not part of the dump", text,
		what);
	if (live->sock->protocol != IPPROTO_TCP)
		return err_hint(err, "close it before the dump, or use --tcp-close: it comes back "
				     "as a connection that was reset");
	return err_hint(err, "use --tcp-established to carry it over, or --tcp-close: it comes "
			     "back as a connection that was reset");
}

static int connection_check(
	const struct fd_seen *seen, const struct inet_live *live, struct err *err)
{
	if (!is_connection(live))
		return 0;
	if (tcp_is_unaccepted(seen, live->sock) && !closes(seen))
		return tcp_unaccepted_check(seen, live->sock, live->state, err);
	if (is_wanted(seen, live))
		return tcp_conn_check(seen->fd, live->state, err);
	if (seen->dump->opts && seen->dump->opts->tcp_close)
		return 0;
	return connection_refuse(seen, live, err);
}

static int stream_queue_check(
	const struct fd_seen *seen, const struct inet_live *live, struct err *err)
{
	char text[INET_SOCK_TEXT];

	inet_sock_text(live->sock, text);
	if (live->waiting &&
		(closes(seen) || !tcp_waiting_can_hold(seen, live->sock, live->waiting))) {
		err_set(err, EAGAIN, "%u connections to %s wait to be accepted", live->waiting,
			text);
		err_hint(err, "let the program accept them, or drop them with --tcp-close");
		return refuse_or_drop(seen, err);
	}
	return 0;
}

/*
 * Datagrams are sent again over the loopback device, so not to one that is bound to another.
 * Receivers of UDP-Lite would see another coverage, raw ones share what they get with others.
 */
static bool queue_can_travel(const struct inet_sock *sock)
{
	const struct sock_option *device = sockopt_get(&sock->options, SOL_SOCKET, SO_BINDTODEVICE);

	return sock->protocol == IPPROTO_UDP && sock->type == SOCK_DGRAM &&
	       (!device ||
		       (device->len == sizeof "lo" && !memcmp(device->value, "lo", device->len)));
}

/*
 * Datagrams held back (UDP_CORK, MSG_MORE) only show as memory in use. So do those on their way out
 * of the machine, but not for long.
 */
static bool holds_back(int fd)
{
	int bytes = 0;

	for (int patience = 20; patience > 0; patience--) {
		if (ioctl(fd, TIOCOUTQ, &bytes) < 0 || bytes <= 0)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static int dgram_queue_check(
	const struct fd_seen *seen, const struct inet_live *live, struct err *err)
{
	char text[INET_SOCK_TEXT];

	inet_sock_text(live->sock, text);
	if (live->events & (POLLRDHUP | POLLHUP) && live->sock->protocol != IPPROTO_UDP) {
		err_set(err, ENOTSUP, "%s is shut down (shutdown(2))", text);
		return err_hint(err, "let the program close it before the dump");
	}
	if (holds_back(seen->fd)) {
		err_set(err, ENOTSUP, "%s holds back a datagram (UDP_CORK, MSG_MORE)", text);
		err_hint(err, "let the program send it, or drop it with --tcp-close");
		return refuse_or_drop(seen, err);
	}
	if (live->events & (POLLIN | POLLPRI) && !queue_can_travel(live->sock)) {
		err_set(err, ENOTSUP, "%s has datagrams that were not read yet", text);
		err_hint(err, "let the program read them, or drop them with --tcp-close");
		return refuse_or_drop(seen, err);
	}
	if (live->events & POLLERR) {
		err_set(err, ENOTSUP, "%s has an error that was not read yet (ICMP, SO_ERROR)",
			text);
		err_hint(err, "let the program read it, or drop it with --tcp-close");
		return refuse_or_drop(seen, err);
	}
	return 0;
}

int inet_check(const struct fd_seen *seen, struct err *err)
{
	struct inet_sock sock = { 0 };
	struct inet_live live = { .sock = &sock };

	if (inet_live(seen->fd, &seen->st, &live, err) < 0 ||
		connection_check(seen, &live, err) < 0 ||
		(sock.type == SOCK_STREAM ? stream_queue_check(seen, &live, err)
					  : dgram_queue_check(seen, &live, err)) < 0)
		return err_wrap(err, "descriptor %d", seen->num);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/*
 * A connection that ended shows as TCP_CLOSE like a socket that never had one, but has both
 * directions shut down (MPTCP: at least an error that was not fetched yet). Such an error comes
 * back as ECONNRESET, or as ECONNREFUSED if there was none. shutdown(2) of a socket that never was
 * connected looks the same, but it has no port.
 */
static enum inet_state closed_state(struct inet_sock *sock, const struct inet_live *live)
{
	if (!(live->events & (POLLRDHUP | POLLERR)))
		return INET_IDLE;
	if (sock->local.port || live->events & POLLERR)
		return INET_RESET;
	sock->shutdown = 3;
	return INET_IDLE;
}

/* Of one that nobody has accepted, only the program itself has shut down anything. */
static void set_unaccepted(struct inet_sock *sock, const struct inet_live *live)
{
	sock->state = INET_UNACCEPTED;
	sock->shutdown = (live->events & POLLRDHUP ? 1u : 0) |
			 (live->state == TCP_STATE_FIN_WAIT2 ? 2u : 0);
}

static void inet_set_state(
	const struct fd_seen *seen, struct inet_sock *sock, const struct inet_live *live)
{
	if (sock->type != SOCK_STREAM) {
		sock->state = sock->remote.set ? INET_CONNECTED : INET_IDLE;
		return;
	}
	if (live->state == TCP_STATE_LISTEN)
		sock->state = INET_LISTEN;
	else if (is_connection(live) && tcp_is_unaccepted(seen, sock) && !closes(seen))
		set_unaccepted(sock, live);
	else if (is_connection(live) && is_wanted(seen, live))
		sock->state = live->state == TCP_STATE_SYN_SENT ? INET_CONNECTING
								: INET_ESTABLISHED;
	else if (live->state == TCP_STATE_CLOSE)
		sock->state = closed_state(sock, live);
	else
		sock->state = INET_RESET;
	sock->refused = sock->state == INET_RESET && live->state == TCP_STATE_CLOSE &&
			live->events & POLLERR && !live->agreed;
	sock->pending_error = sock->state == INET_RESET &&
			      (live->state != TCP_STATE_CLOSE || live->events & POLLERR);
}

/* What came before a connection ended can still be read; reading on would fetch the error. */
static int unread_save(const struct fd_seen *seen, struct inet_sock *sock, struct err *err)
{
	int bytes = 0;

	if (ioctl(seen->fd, FIONREAD, &bytes) < 0 || bytes <= 0)
		return 0;
	sock->unread = arena_alloc(seen->dump->snap->arena, (size_t)bytes);
	sock->nr_unread = (size_t)bytes;
	if (recv(seen->fd, sock->unread, sock->nr_unread, MSG_PEEK | MSG_DONTWAIT) != bytes)
		return err_set(
			err, EIO, "%d bytes of a connection that ended cannot be read", bytes);
	return 0;
}

/* Packets are held back first: those that come later would be acknowledged, and lost. */
static int established_save(const struct fd_seen *seen, struct inet_sock *sock, struct err *err)
{
	struct fd_dump *d = seen->dump;
	char text[INET_SOCK_TEXT];

	if (d->hold && tcp_hold_add(d->hold, sock, err) < 0)
		return -err->code;
	sock->conn = arena_alloc(d->snap->arena, sizeof *sock->conn);
	if (tcp_conn_save(d->snap->arena, seen->fd, sock->conn, err) < 0)
		return err_wrap(err, "connection %s", inet_sock_text(sock, text));
	sock->conn->inside = tcp_conn_is_inside(seen, sock);
	sock->conn->alone = sock->conn->inside && tcp_conn_is_alone(seen, sock);
	return 0;
}

/* getpeername(2) does not tell whom a connect(2) under way is for; sock_diag(7) does. */
static int connecting_save(const struct fd_seen *seen, struct inet_sock *sock, struct err *err)
{
	struct sockaddr_storage sa;

	if (sock_diag_connecting(sock->family, seen->st.st_ino, &sa, err) < 0)
		return -err->code;
	inet_addr_from(&sa, &sock->remote);
	return 0;
}

static bool may_be_nonlocal(const struct inet_sock *sock)
{
	const struct sock_options *o = &sock->options;

	return sockopt_int(o, IPPROTO_IP, IP_FREEBIND, 0) ||
	       sockopt_int(o, IPPROTO_IP, IP_TRANSPARENT, 0) ||
	       sockopt_int(o, IPPROTO_IPV6, IPV6_FREEBIND, 0) ||
	       sockopt_int(o, IPPROTO_IPV6, IPV6_TRANSPARENT, 0);
}

static int stream_queue_save(const struct fd_seen *seen, struct inet_live *live, struct err *err)
{
	struct inet_sock *sock = live->sock;

	if (stream_queue_check(seen, live, err) < 0)
		return -err->code;
	if (sock->state != INET_LISTEN || closes(seen))
		return 0;
	sock->nr_waiting = live->waiting;
	sock->waiting = arena_array(
		seen->dump->snap->arena, sock->nr_waiting, sizeof *sock->waiting);
	for (size_t i = 0; i < sock->nr_waiting; i++)
		sock->waiting[i].client = ID_NONE;
	return 0;
}

int inet_sock_save(const struct fd_seen *seen, struct inet_sock *out, struct err *err)
{
	struct inet_live live = { .sock = out };
	struct sockopt_who who;

	memset(out, 0, sizeof *out);
	if (inet_live(seen->fd, &seen->st, &live, err) < 0 ||
		connection_check(seen, &live, err) < 0)
		return err_wrap(err, "descriptor %d", seen->num);
	inet_set_state(seen, out, &live);
	who = (struct sockopt_who){ out->family, out->type, out->protocol,
		.connected = out->state != INET_IDLE && out->state != INET_LISTEN };
	if (sockopt_save(seen->dump, seen->fd, &who, &out->options, err) < 0)
		return -err->code;
	out->nonlocal = out->state != INET_RESET && !may_be_nonlocal(out) && inet_is_nonlocal(out);
	if (out->state != INET_RESET &&
		tcp_md5_save(seen->dump->snap->arena, seen->st.st_ino, out, err) < 0)
		return -err->code;
	if (out->state == INET_ESTABLISHED)
		return established_save(seen, out, err);
	if (out->state == INET_CONNECTING)
		return connecting_save(seen, out, err);
	if (out->state == INET_RESET && live.state == TCP_STATE_CLOSE &&
		unread_save(seen, out, err) < 0)
		return -err->code;
	if (out->type == SOCK_STREAM)
		return stream_queue_save(seen, &live, err);
	if (dgram_queue_check(seen, &live, err) < 0)
		return -err->code;
	if (live.events & POLLIN && queue_can_travel(out) &&
		inet_queue_save(seen->dump->snap->arena, seen->fd, out, err) < 0 &&
		(err->code != ENOTSUP || refuse_or_drop(seen, err) < 0))
		return -err->code;
	return inet_groups_save(seen->dump->snap->arena, seen->fd, out, err);
}
