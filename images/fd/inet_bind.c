/* An address for a socket, and why it could not be had; part of inet.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/inet.h"
#include "images/fd/kinds.h"
#include "images/fd/sock_diag.h"

/* ---- why an address could not be had --------------------------------------------------------- */

static int bind_in_use(const struct inet_sock *sock, const char *text, struct err *err)
{
	int protocol = sock->protocol == IPPROTO_MPTCP ? IPPROTO_TCP : sock->protocol;
	struct diag_port found;
	char who[128];

	err_set(err, EADDRINUSE, "%s is in use", text);
	if (sock_diag_port(protocol, sock->local.port, &found, NULL) < 0)
		return err_hint(err, "end the program that holds it (ss -anp shows it)");
	if (found.ino && sock_diag_owner(found.ino, who, sizeof who))
		return err_hint(err, "%s holds it: end that first", who);
	if (!found.ino && found.nr_waiting)
		return err_hint(err,
			"%u closed connections still linger on this port: wait a minute, "
			"or restore as root",
			found.nr_waiting);
	return err_hint(err, "end the program that holds it (ss -anp shows it)");
}

static int bind_failed(const struct inet_sock *sock, struct err *err)
{
	char text[INET_SOCK_TEXT];
	int code = errno;

	inet_sock_text(sock, text);
	if (code == EADDRINUSE)
		return bind_in_use(sock, text, err);
	errno = code;
	err_sys(err, "bind %s", text);
	if (code == EACCES && sock->local.port < 1024)
		err_hint(err,
			"ports below 1024 need root or CAP_NET_BIND_SERVICE, "
			"or sysctl net.ipv4.ip_unprivileged_port_start=%u",
			sock->local.port);
	if (code == EADDRNOTAVAIL)
		err_hint(err, "this address is not on this machine: add it (ip address add), "
			      "or sysctl net.ipv4.ip_nonlocal_bind=1");
	return -err->code;
}

/* ---- bind and listen ------------------------------------------------------------------------- */

static int try_listen(
	int fd, const struct inet_sock *sock, const struct sockaddr_storage *sa, socklen_t len)
{
	if (bind(fd, (const struct sockaddr *)sa, len) < 0)
		return -1;
	/* Listening checks the port again. */
	if (sock->state == INET_LISTEN && listen(fd, (int)sock->backlog) < 0)
		return -1;
	return 0;
}

/* A second at most for closed connections whose other end acknowledges that late (40 ms mostly). */
static int try_listen_ending(
	int fd, const struct inet_sock *sock, const struct sockaddr_storage *sa, socklen_t len)
{
	enum { LOOKS = 100, LOOK_NS = 10 * 1000 * 1000 };
	bool closing = true;
	unsigned ended = 0;
	int ret = -1;

	for (int i = 0; i < LOOKS && ret < 0 && (closing || ended); i++) {
		ended = sock_diag_end_waiting(IPPROTO_TCP, sock->local.port, &closing);
		if (ended)
			log_info("ended %u lingering connections on port %u", ended,
				sock->local.port);
		if (ended)
			ret = try_listen(fd, sock, sa, len);
		else if (closing)
			nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
	return ret;
}

/*
 * Remains of old connections (TIME_WAIT) keep a port from being bound, unless both they and the new
 * socket have SO_REUSEADDR: so it is set until the socket listens. Remains of a server that never
 * had it only yield to root, who may end them.
 */
static int try_listen_again(
	int fd, const struct inet_sock *sock, const struct sockaddr_storage *sa, socklen_t len)
{
	int on = 1, was = sockopt_int(&sock->options, SOL_SOCKET, SO_REUSEADDR, 0), ret = -1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	if (!was)
		ret = try_listen(fd, sock, sa, len);
	if (ret < 0)
		ret = try_listen_ending(fd, sock, sa, len);
	errno = EADDRINUSE;
	if (ret == 0 && !was)
		ret = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &was, sizeof was);
	return ret;
}

static bool has_v6only(const struct inet_sock *sock)
{
	return sockopt_int(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

/*
 * bind(2) to one IPv6 address makes a socket IPv6 only. One that is not had only its port before
 * connect(2) chose the address, as it will again.
 */
static bool address_came_by_connect(const struct inet_sock *sock)
{
	return sock->family == AF_INET6 &&
	       (sock->state == INET_CONNECTED || sock->state == INET_UNACCEPTED) &&
	       !inet_is_mapped(sock) && !has_v6only(sock);
}

/* ---- what was possible when the program did it ------------------------------------------------
 */

static bool shares_port(const struct inet_sock *sock, const struct snap_ofd *ofd)
{
	const struct inet_sock *other = ofd->priv;

	return ofd->kind == &fd_inet && other && other->type == sock->type &&
	       other->protocol == sock->protocol && other->local.port == sock->local.port;
}

static int reuse_set(int fd, const struct inet_sock *sock, int name, bool on)
{
	int value = on ? 1 : sockopt_int(&sock->options, SOL_SOCKET, name, 0);

	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}

/* Of all that have the same port, as far as they are made; whether there is one. */
static bool others_reuse(const struct fd_make *m, const struct inet_sock *sock, int name, bool on)
{
	bool any = false;

	for (size_t i = 0; m && i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &m->snap->ofds[i];

		if (m->made[i] >= 0 && shares_port(sock, ofd) &&
			reuse_set(m->made[i], ofd->priv, name, on) == 0)
			any = true;
	}
	return any;
}

/*
 * Two sockets had the option when they were bound to one port, and one or both have it no longer.
 * Of those that listen, SO_REUSEPORT is asked for.
 */
static int try_shared(const struct fd_make *m, int fd, const struct inet_sock *sock,
	const struct sockaddr_storage *sa, socklen_t len)
{
	static const int names[] = { SO_REUSEADDR, SO_REUSEPORT };
	int ret = -1;

	/* What was bound by the first cannot be bound again, if it may not listen then. */
	for (int i = sock->state == INET_LISTEN; ret < 0 && i < 2; i++) {
		if (others_reuse(m, sock, names[i], true) &&
			reuse_set(fd, sock, names[i], true) == 0)
			ret = try_listen(fd, sock, sa, len);
		if (reuse_set(fd, sock, names[i], false) < 0)
			ret = -1;
		others_reuse(m, sock, names[i], false);
	}
	return ret;
}

static int freebind_set(int fd, const struct inet_sock *sock, int on, struct err *err)
{
	int level = sock->family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int name = sock->family == AF_INET6 ? IPV6_FREEBIND : IP_FREEBIND;

	if (setsockopt(fd, level, name, &on, sizeof on) < 0)
		return err_sys(err, "IP_FREEBIND");
	return 0;
}

static bool is_any(const struct inet_addr *addr)
{
	static const uint8_t any[sizeof addr->addr];

	return !memcmp(addr->addr, any, sizeof any);
}

bool inet_is_nonlocal(const struct inet_sock *sock)
{
	struct inet_addr addr = sock->local;
	struct sockaddr_storage sa;
	socklen_t len;
	OWNED_FD fd = -1;

	if (!addr.set || is_any(&addr))
		return false;
	fd = socket(sock->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	addr.port = 0;
	return fd >= 0 && inet_addr_to(sock->family, &addr, &sa, &len, NULL) == 0 &&
	       bind(fd, (const struct sockaddr *)&sa, len) < 0 && errno == EADDRNOTAVAIL;
}

static int bind_somehow(const struct fd_make *m, int fd, const struct inet_sock *sock,
	const struct sockaddr_storage *sa, socklen_t len)
{
	if (try_listen(fd, sock, sa, len) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (try_shared(m, fd, sock, sa, len) == 0)
		return 0;
	errno = EADDRINUSE;
	/* Datagram sockets leave no remains, and would share the port with its owner. */
	return sock->type == SOCK_STREAM ? try_listen_again(fd, sock, sa, len) : -1;
}

int inet_bind(const struct fd_make *m, int fd, const struct inet_sock *sock, struct err *err)
{
	struct inet_addr local = sock->local;
	struct sockaddr_storage sa;
	socklen_t len;

	if (!sock->local.set)
		return 0;
	if (address_came_by_connect(sock))
		memset(local.addr, 0, sizeof local.addr);
	if (inet_addr_to(sock->family, &local, &sa, &len, err) < 0)
		return -err->code;
	if (sock->nonlocal && freebind_set(fd, sock, 1, err) < 0)
		return -err->code;
	if (bind_somehow(m, fd, sock, &sa, len) < 0)
		return bind_failed(sock, err);
	return sock->nonlocal ? freebind_set(fd, sock, 0, err) : 0;
}
