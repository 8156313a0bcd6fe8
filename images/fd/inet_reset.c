/*
 * What an established connection comes back as with --tcp-close: one that its other end has reset.
 * Reads give ECONNRESET, then end of file; writes give EPIPE; poll and epoll report it at once. The
 * reset is a real one, by a short-lived listener on the loopback address, so no privilege is
 * needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"

enum { RESET_TIMEOUT_MS = 2000, ROOM_ENOUGH = 32768 };

static void loopback_of(int family, bool mapped, struct sockaddr_storage *sa, socklen_t *len)
{
	struct sockaddr_in *v4 = (void *)sa;
	struct sockaddr_in6 *v6 = (void *)sa;

	memset(sa, 0, sizeof *sa);
	sa->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof *v4;
		return;
	}
	v6->sin6_addr = in6addr_loopback;
	if (mapped)
		memcpy(&v6->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1", 16);
	*len = sizeof *v6;
}

static int reset_listen(
	int fd, int family, struct sockaddr_storage *sa, socklen_t *len, struct err *err)
{
	loopback_of(family, false, sa, len);
	if (bind(fd, (struct sockaddr *)sa, *len) < 0) {
		/* Switched off IPv6 has no ::1, but such sockets still reach 127.0.0.1. */
		loopback_of(family, true, sa, len);
		if (family == AF_INET || bind(fd, (struct sockaddr *)sa, *len) < 0)
			return err_sys(err, "bind to the loopback address");
	}
	if (listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *)sa, len) < 0)
		return err_sys(err, "listen on the loopback address");
	return 0;
}

/* All of it has to arrive: a reset makes the rest be thrown away. */
static int unread_send(int from, int to, const struct inet_sock *sock, struct err *err)
{
	struct timeval patience = { .tv_sec = RESET_TIMEOUT_MS / 1000 };
	size_t done = 0;
	int arrived = 0;

	if (setsockopt(from, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return err_sys(err, "SO_SNDTIMEO");
	while (done < sock->nr_unread) {
		ssize_t n = send(from, sock->unread + done, sock->nr_unread - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return err_sys(err, "bytes of a connection that ended");
		done += n > 0 ? (size_t)n : 0;
	}
	for (int i = 0; (size_t)arrived < sock->nr_unread; i++) {
		if (ioctl(to, FIONREAD, &arrived) < 0)
			return err_sys(err, "bytes of a connection that ended");
		if (i == RESET_TIMEOUT_MS)
			return err_set(err, ETIMEDOUT, "%d of %zu bytes of a connection arrived",
				arrived, sock->nr_unread);
		if ((size_t)arrived < sock->nr_unread)
			poll(NULL, 0, 1);
	}
	return 0;
}

/* The buffer is the machine's to tune; only what is more than usual needs room made for it. */
static int unread_room(int fd, const struct inet_sock *sock, struct err *err)
{
	int size = (int)sock->nr_unread * 2;

	if (sock->nr_unread < ROOM_ENOUGH)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0)
		return err_sys(err, "SO_RCVBUF");
	return 0;
}

/* Others may connect to the port too: go on until it is ours. */
static int reset_accept(int listener, int fd, const struct inet_sock *sock, struct err *err)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr_storage mine = { 0 }, theirs = { 0 };
	socklen_t len = sizeof mine;

	if (getsockname(fd, (struct sockaddr *)&mine, &len) < 0)
		return err_sys(err, "getsockname");
	for (;;) {
		OWNED_FD end = -1;

		memset(&theirs, 0, sizeof theirs);
		len = sizeof theirs;
		end = accept4(listener, (struct sockaddr *)&theirs, &len, SOCK_CLOEXEC);
		if (end < 0)
			return err_sys(err, "accept");
		if (memcmp(&mine, &theirs, len))
			continue;
		if (setsockopt(end, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) < 0)
			return err_sys(err, "SO_LINGER");
		return unread_send(end, fd, sock, err); /* closing sends the reset */
	}
}

static int reset_arrived(int fd, bool pending_error, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };
	socklen_t len = sizeof(int);
	int error;

	if (poll(&p, 1, RESET_TIMEOUT_MS) < 0)
		return err_sys(err, "poll");
	if (!(p.revents & POLLERR))
		return err_set(err, ETIMEDOUT, "the reset did not arrive");
	if (!pending_error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return err_sys(err, "SO_ERROR");
	return 0;
}

/* Connecting to where nobody listens. A port of our own makes sure that nobody does. */
static int refused_make(const struct inet_sock *sock, int port_holder, int fd, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len;

	loopback_of(sock->family, false, &sa, &len);
	if (bind(port_holder, (struct sockaddr *)&sa, len) < 0 ||
		getsockname(port_holder, (struct sockaddr *)&sa, &len) < 0)
		return err_sys(err, "bind to the loopback address");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "O_NONBLOCK");
	if (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno != EINPROGRESS)
		return err_sys(err, "connect to the loopback address");
	return reset_arrived(fd, sock->pending_error, err);
}

static int ended_make(const struct inet_sock *sock, int listener, int fd, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len;

	if (unread_room(fd, sock, err) < 0 ||
		reset_listen(listener, sock->family, &sa, &len, err) < 0)
		return -err->code;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0)
		return err_sys(err, "connect to the loopback address");
	if (reset_accept(listener, fd, sock, err) < 0)
		return -err->code;
	return reset_arrived(fd, sock->pending_error, err);
}

int inet_reset_make(const struct inet_sock *sock, int *out, struct err *err)
{
	/* The other end speaks plain TCP: an MPTCP connection would outlive the reset of its path.
	 */
	OWNED_FD listener = socket(sock->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	OWNED_FD fd = socket(sock->family, SOCK_STREAM | SOCK_CLOEXEC, sock->protocol);

	if (listener < 0 || fd < 0)
		return err_sys(err, "socket");
	if ((sock->refused ? refused_make(sock, listener, fd, err)
			   : ended_make(sock, listener, fd, err)) < 0)
		return err_wrap(err, "make a connection that ended");
	if (sockopt_make(fd, &sock->options, false, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}
