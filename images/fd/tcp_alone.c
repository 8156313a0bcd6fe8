/*
 * A connection whose other end was closed on this machine, made again as it came about: both ends,
 * and one of them is closed. What the kernel keeps of that answers, as before, when our end goes
 * on.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/sock_diag.h"
#include "images/fd/tcp.h"

enum { PATIENCE = 1000 /* milliseconds */ };

/* The other end has got all of ours; what is not read yet here, it has sent. */
static struct tcp_conn seen_from_there(const struct tcp_conn *here)
{
	struct tcp_conn there = *here;

	there.snd_seq = here->rcv_seq;
	there.rcv_seq = here->snd_seq;
	there.snd_wscale = here->rcv_wscale;
	there.rcv_wscale = here->snd_wscale;
	there.window = (struct tcp_window){ here->snd_seq, here->window.rcv_wnd,
		here->window.rcv_wnd, here->window.snd_wnd, here->snd_seq };
	there.nr_send = there.nr_recv = there.nr_unsent = 0;
	return there;
}

static int await_end(int fd, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	if (poll(&p, 1, PATIENCE) < 0)
		return err_sys(err, "poll a TCP connection");
	return p.revents & POLLRDHUP ? 0 : err_set(err, ETIMEDOUT, "the end of a TCP connection");
}

/* Packets of other connections are held back until all is restored: tcp_hold.c. */
static int mark(int fd, uint32_t value, struct err *err)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &value, sizeof value) < 0
		       ? err_sys(err, "SO_MARK")
		       : 0;
}

/* Remains of the old one would stand in its way. */
static int far_end_make(const struct inet_sock *far, int *out, struct err *err)
{
	bool closing;

	sock_diag_end_waiting(IPPROTO_TCP, far->local.port, &closing);
	return tcp_conn_make(far, 0, out, err);
}

int tcp_alone_make(const struct inet_sock *sock, int flags, int *out, struct err *err)
{
	struct tcp_conn here = *sock->conn, there;
	struct inet_sock near = *sock;
	struct inet_sock far = { .family = sock->family,
		.type = sock->type,
		.protocol = sock->protocol,
		.state = sock->state,
		.local = sock->remote,
		.remote = sock->local,
		.conn = &there };
	OWNED_FD fd = -1;
	OWNED_FD other = -1;

	here.state = TCP_STATE_ESTABLISHED;
	there = seen_from_there(&here);
	near.conn = &here;
	if (tcp_conn_make(&near, flags, &fd, err) < 0 || far_end_make(&far, &other, err) < 0 ||
		mark(fd, TCP_HOLD_MARK, err) < 0 || mark(other, TCP_HOLD_MARK, err) < 0 ||
		tcp_conn_wake(fd, &near, err) < 0 || tcp_conn_wake(other, &far, err) < 0)
		return -err->code;
	fd_close(&other);
	if (await_end(fd, err) < 0 ||
		mark(fd, (uint32_t)sockopt_int(&sock->options, SOL_SOCKET, SO_MARK, 0), err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}
