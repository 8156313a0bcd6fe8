/* struct inet_sock -> a new socket: options, bind, listen or connect, memberships. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_waiting.h"

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

int inet_sock_make(
	const struct fd_make *m, const struct inet_sock *sock, int flags, int *out, struct err *err)
{
	OWNED_FD fd = socket(sock->family, sock->type | SOCK_CLOEXEC | flags, sock->protocol);

	if (fd < 0)
		return err_sys(err, "socket");
	/* Raw sockets receive from the start: only what the filter lets through. */
	if ((sock->type == SOCK_RAW && sockopt_make_filter(fd, &sock->options, err) < 0) ||
		sockopt_make(fd, &sock->options, false, err) < 0 ||
		tcp_md5_make(fd, sock, err) < 0 || inet_bind(m, fd, sock, err) < 0 ||
		inet_queue_make(m, fd, sock, err) < 0 || inet_connect(fd, sock, err) < 0 ||
		inet_groups_make(fd, sock, err) < 0 || inet_shutdown(fd, sock, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0 ||
		tcp_waiting_make(m, fd, sock, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}
