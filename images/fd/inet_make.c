/* struct inet_sock -> a new socket: options, bind, listen or connect, memberships. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/inet.h"
#include "images/fd/sock_diag.h"
#include "images/fd/tcp.h"

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

/*
 * Remains of old connections (TIME_WAIT) keep a port from being bound, unless both they and the new
 * socket have SO_REUSEADDR: so it is set until the socket listens. Remains of a server that never
 * had it only yield to root, who may end them.
 */
static int try_listen_again(
	int fd, const struct inet_sock *sock, const struct sockaddr_storage *sa, socklen_t len)
{
	int on = 1, was = sockopt_int(&sock->options, SOL_SOCKET, SO_REUSEADDR, 0), ret = -1;
	unsigned ended;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	if (!was)
		ret = try_listen(fd, sock, sa, len);
	if (ret < 0) {
		ended = sock_diag_end_waiting(IPPROTO_TCP, sock->local.port);
		if (ended)
			log_info("ended %u lingering connections on port %u", ended,
				sock->local.port);
		ret = ended ? try_listen(fd, sock, sa, len) : -1;
	}
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
	return sock->family == AF_INET6 && sock->state == INET_CONNECTED && !inet_is_mapped(sock) &&
	       !has_v6only(sock);
}

static int inet_bind(int fd, const struct inet_sock *sock, struct err *err)
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
	if (try_listen(fd, sock, &sa, len) == 0)
		return 0;
	/* Datagram sockets leave no remains, and would share the port with its owner. */
	if (errno == EADDRINUSE && sock->type == SOCK_STREAM &&
		try_listen_again(fd, sock, &sa, len) == 0)
		return 0;
	return bind_failed(sock, err);
}

static int inet_connect(int fd, const struct inet_sock *sock, struct err *err)
{
	char text[INET_ADDR_TEXT];
	struct sockaddr_storage sa;
	socklen_t len;

	if (sock->state != INET_CONNECTED)
		return 0;
	if (inet_addr_to(sock->family, &sock->remote, &sa, &len, err) < 0)
		return -err->code;
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0)
		return err_sys(
			err, "connect to %s", inet_addr_text(sock->family, &sock->remote, text));
	return 0;
}

/* SHUT_RD is 0, SHUT_WR 1, SHUT_RDWR 2. ENOTCONN is said, but it is done nevertheless. */
static int inet_shutdown(int fd, const struct inet_sock *sock, struct err *err)
{
	if (sock->shutdown && shutdown(fd, (int)sock->shutdown - 1) < 0 && errno != ENOTCONN)
		return err_sys(err, "shut down a socket");
	return 0;
}

int inet_sock_make(const struct inet_sock *sock, int flags, int *out, struct err *err)
{
	OWNED_FD fd = socket(sock->family, sock->type | SOCK_CLOEXEC | flags, sock->protocol);

	if (fd < 0)
		return err_sys(err, "socket");
	/* Raw sockets receive from the start: only what the filter lets through. */
	if ((sock->type == SOCK_RAW && sockopt_make_filter(fd, &sock->options, err) < 0) ||
		sockopt_make(fd, &sock->options, false, err) < 0 ||
		tcp_md5_make(fd, sock, err) < 0 || inet_bind(fd, sock, err) < 0 ||
		inet_queue_make(fd, sock, err) < 0 || inet_connect(fd, sock, err) < 0 ||
		inet_groups_make(fd, sock, err) < 0 || inet_shutdown(fd, sock, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}
