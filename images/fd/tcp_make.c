/* struct tcp_conn -> the connection again, in repair mode; see tcp.h. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/tcp.h"

enum { X_SO_BUF_LOCK = 72, OPT_MSS = 2, OPT_WINDOW = 3, OPT_SACK = 4, OPT_TIMESTAMP = 8 };
/* Kernel buffers count more than the bytes in them. */
enum { BUFFER_OVERHEAD = 4, BUFFER_LEAST = 65536 };

static int set(int fd, int level, int name, const void *value, socklen_t len, struct err *err)
{
	if (setsockopt(fd, level, name, value, len) == 0)
		return 0;
	err_sys(err, "set option %d of a TCP connection", name);
	if (err->code == EPERM)
		err_hint(err, "--tcp-established needs CAP_NET_ADMIN: restore as root, without "
			      "--pids=ns as an ordinary user");
	return -err->code;
}

static int set_tcp(int fd, int name, uint32_t value, struct err *err)
{
	return set(fd, IPPROTO_TCP, name, &value, sizeof value, err);
}

/* ---- before it is connected
 * ---------------------------------------------------------------------- */

/* Everything that was queued has to fit, whatever the size is in the end. */
static int buffers_widen(int fd, const struct tcp_conn *conn, struct err *err)
{
	size_t most = conn->nr_send > conn->nr_recv ? conn->nr_send : conn->nr_recv;
	int size = (int)(most * BUFFER_OVERHEAD + BUFFER_LEAST);

	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size, err) < 0)
		return -err->code;
	return set(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size, err);
}

/* What the kernel is given it doubles; what is smaller than its minimum it raises. */
static int buffers_settle(int fd, const struct tcp_conn *conn, struct err *err)
{
	int snd = (int)conn->sndbuf / 2, rcv = (int)conn->rcvbuf / 2;

	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, &snd, sizeof snd, err) < 0 ||
		set(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof rcv, err) < 0)
		return -err->code;
	if (set(fd, SOL_SOCKET, X_SO_BUF_LOCK, &conn->buf_lock, sizeof conn->buf_lock, err) < 0)
		return -err->code;
	return conn->window_clamp ? set_tcp(fd, TCP_WINDOW_CLAMP, conn->window_clamp, err) : 0;
}

static int sequence(int fd, const struct tcp_conn *conn, struct err *err)
{
	if (set_tcp(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE, err) < 0 ||
		set_tcp(fd, TCP_QUEUE_SEQ, conn->rcv_seq - (uint32_t)conn->nr_recv, err) < 0 ||
		set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, err) < 0)
		return -err->code;
	return set_tcp(fd, TCP_QUEUE_SEQ, conn->snd_seq - (uint32_t)conn->nr_send, err);
}

static int connect_failed(const struct inet_sock *sock, struct err *err)
{
	char text[INET_SOCK_TEXT];

	err_sys(err, "take up connection %s", inet_sock_text(sock, text));
	if (err->code == EADDRNOTAVAIL)
		return err_hint(err, "its own address has to be on this machine (ip address), and "
				     "nobody else may have this connection (ss -tan)");
	return -err->code;
}

/* Does the way to the other end begin at our own address by itself? A datagram socket can ask. */
static bool is_natural_source(const struct inet_sock *sock)
{
	OWNED_FD fd = socket(sock->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa = { 0 };
	struct inet_addr found;
	socklen_t len;

	if (fd < 0 || inet_addr_to(sock->family, &sock->remote, &sa, &len, NULL) < 0 ||
		connect(fd, (const struct sockaddr *)&sa, len) < 0 ||
		getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	inet_addr_from(&sa, &found);
	return !memcmp(found.addr, sock->local.addr, sizeof found.addr);
}

/*
 * An IPv6 socket that is bound to an address becomes IPV6_V6ONLY, one that only connects does not:
 * then only its port is given.
 */
static int local_address(
	const struct inet_sock *sock, struct sockaddr_storage *sa, socklen_t *len, struct err *err)
{
	if (inet_addr_to(sock->family, &sock->local, sa, len, err) < 0)
		return -err->code;
	if (sock->family == AF_INET6 && !inet_is_mapped(sock) &&
		!sockopt_int(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
		is_natural_source(sock))
		((struct sockaddr_in6 *)sa)->sin6_addr = in6addr_any;
	return 0;
}

/* In repair mode connect(2) sends nothing. */
static int connect_silently(int fd, const struct inet_sock *sock, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len;

	if (local_address(sock, &sa, &len, err) < 0)
		return -err->code;
	if (bind(fd, (const struct sockaddr *)&sa, len) < 0)
		return connect_failed(sock, err);
	if (inet_addr_to(sock->family, &sock->remote, &sa, &len, err) < 0)
		return -err->code;
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0)
		return connect_failed(sock, err);
	return 0;
}

/* ---- when it is
 * ---------------------------------------------------------------------------------- */

/* What both ends have agreed upon in their first segments. */
static int negotiated(int fd, const struct tcp_conn *conn, struct err *err)
{
	struct tcp_repair_opt opts[4];
	socklen_t nr = 0;

	opts[nr++] = (struct tcp_repair_opt){ OPT_MSS, conn->mss };
	if (conn->options & TCPI_OPT_WSCALE)
		opts[nr++] = (struct tcp_repair_opt){ OPT_WINDOW,
			conn->snd_wscale | conn->rcv_wscale << 16 };
	if (conn->options & TCPI_OPT_SACK)
		opts[nr++] = (struct tcp_repair_opt){ OPT_SACK, 0 };
	if (conn->options & TCPI_OPT_TIMESTAMPS)
		opts[nr++] = (struct tcp_repair_opt){ OPT_TIMESTAMP, 0 };
	if (set(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts, nr * sizeof *opts, err) < 0)
		return -err->code;
	if (!(conn->options & TCPI_OPT_TIMESTAMPS))
		return 0;
	return set_tcp(fd, TCP_TIMESTAMP, conn->timestamp, err);
}

static int queue_fill(int fd, const uint8_t *data, size_t len, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, data + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "fill a queue of a TCP connection");
		done += (size_t)n;
	}
	return 0;
}

/*
 * What was sent and perhaps arrived goes into the queue in repair mode, which counts it as sent.
 * What was never sent is sent as usual, and held back like all packets of the connection.
 */
static int queues_fill(int fd, const struct tcp_conn *conn, struct err *err)
{
	size_t sent = conn->nr_send - conn->nr_unsent;

	if (set_tcp(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE, err) < 0 ||
		queue_fill(fd, conn->recv, conn->nr_recv, err) < 0 ||
		set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, err) < 0 ||
		queue_fill(fd, conn->send, sent, err) < 0)
		return -err->code;
	if (!conn->nr_unsent)
		return 0;
	if (set_tcp(fd, TCP_REPAIR, (uint32_t)TCP_REPAIR_OFF_NO_WP, err) < 0 ||
		queue_fill(fd, conn->send + sent, conn->nr_unsent, err) < 0)
		return -err->code;
	return set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON, err);
}

/* got_fin: rcv_nxt has counted the FIN already. */
static int window(int fd, const struct tcp_conn *conn, bool got_fin, struct err *err)
{
	uint32_t rcv_nxt = conn->rcv_seq + got_fin;
	struct tcp_repair_window w = { conn->window.snd_wl1, conn->window.snd_wnd,
		conn->window.max_window, conn->window.rcv_wnd, conn->window.rcv_wup };

	if ((int32_t)(w.rcv_wup - rcv_nxt) > 0)
		w.rcv_wup = rcv_nxt;
	return set(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof w, err);
}

/* Our own FIN counts as sent, like all before it; but not if something before it was not sent. */
static int close_own(int fd, const struct tcp_conn *conn, struct err *err)
{
	if (conn->nr_unsent && set_tcp(fd, TCP_REPAIR, (uint32_t)TCP_REPAIR_OFF_NO_WP, err) < 0)
		return -err->code;
	if (shutdown(fd, SHUT_WR) < 0)
		return err_sys(err, "shut down a TCP connection");
	if (!conn->nr_unsent)
		return 0;
	if (set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON, err) < 0)
		return -err->code;
	return set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, err);
}

/* What the other end has closed or acknowledged comes from tcp_inject(). */
static int half_close(int fd, const struct inet_sock *sock, struct err *err)
{
	const struct tcp_conn *conn = sock->conn;
	struct tcp_segment segment = { .seq = conn->rcv_seq,
		.ack = conn->snd_seq - (uint32_t)conn->nr_send };

	if (tcp_sent_fin(conn->state) && conn->state != TCP_STATE_LAST_ACK &&
		close_own(fd, conn, err) < 0)
		return -err->code;
	if (conn->state == TCP_STATE_FIN_WAIT2)
		segment.ack = conn->snd_seq + 1;
	segment.fin = tcp_got_fin(conn->state);
	if (!segment.fin && conn->state != TCP_STATE_FIN_WAIT2)
		return 0;
	if (set_tcp(fd, TCP_REPAIR, (uint32_t)TCP_REPAIR_OFF_NO_WP, err) < 0 ||
		tcp_inject(sock, &segment, err) < 0 ||
		set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON, err) < 0 ||
		set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, err) < 0)
		return -err->code;
	if (conn->state == TCP_STATE_LAST_ACK && close_own(fd, conn, err) < 0)
		return -err->code;
	return window(fd, conn, segment.fin, err);
}

/*
 * The kernel has reckoned the size of segments when it knew neither the other end's window nor its
 * mss, and does so again only when the path changes or headers do: so options are set that are set
 * already, or none.
 */
static int mss_settle(int fd, const struct inet_sock *sock, struct err *err)
{
	const struct sock_option *ip = sockopt_get(&sock->options, IPPROTO_IP, IP_OPTIONS);

	if (sock->family == AF_INET6 && !inet_is_mapped(sock))
		return set(fd, IPPROTO_IPV6, IPV6_DSTOPTS, NULL, 0, err);
	return set(fd, IPPROTO_IP, IP_OPTIONS, ip ? ip->value : NULL, ip ? ip->len : 0, err);
}

static int state_check(int fd, const struct tcp_conn *conn, struct err *err)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "TCP_INFO");
	if (info.tcpi_state != conn->state)
		return err_set(err, EIO, "a TCP connection is in state %s, not %s",
			tcp_state_text(info.tcpi_state), tcp_state_text(conn->state));
	return 0;
}

static int conn_fill(int fd, const struct inet_sock *sock, struct err *err)
{
	const struct tcp_conn *conn = sock->conn;

	if (negotiated(fd, conn, err) < 0 || queues_fill(fd, conn, err) < 0 ||
		set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, err) < 0 ||
		window(fd, conn, false, err) < 0 || mss_settle(fd, sock, err) < 0 ||
		half_close(fd, sock, err) < 0 ||
		set_tcp(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE, err) < 0)
		return -err->code;
	return state_check(fd, conn, err);
}

int tcp_conn_make(const struct inet_sock *sock, int flags, int *out, struct err *err)
{
	OWNED_FD fd = socket(sock->family, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP);
	char text[INET_SOCK_TEXT];

	if (fd < 0)
		return err_sys(err, "socket");
	if (sockopt_make(fd, &sock->options, false, err) < 0 || tcp_md5_make(fd, sock, err) < 0 ||
		set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON, err) < 0 ||
		buffers_widen(fd, sock->conn, err) < 0 || sequence(fd, sock->conn, err) < 0 ||
		connect_silently(fd, sock, err) < 0)
		return -err->code;
	if (conn_fill(fd, sock, err) < 0)
		return err_wrap(err, "connection %s", inet_sock_text(sock, text));
	if (buffers_settle(fd, sock->conn, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}

int tcp_conn_wake(int fd, const struct inet_sock *sock, struct err *err)
{
	int reuse = sockopt_int(&sock->options, SOL_SOCKET, SO_REUSEADDR, 0);

	/* Sends a probe, so that both ends learn at once what the other one has. */
	if (set_tcp(fd, TCP_REPAIR, TCP_REPAIR_OFF, err) < 0)
		return -err->code;
	if (sock->conn->shut_read && shutdown(fd, SHUT_RD) < 0 && errno != ENOTCONN)
		return err_sys(err, "shut down a TCP connection for reading");
	return set(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse, err);
}

/* ---- SYN_SENT
 * ------------------------------------------------------------------------------------ */

int tcp_connecting_make(
	const struct fd_make *m, const struct inet_sock *sock, int flags, int *out, struct err *err)
{
	OWNED_FD fd = -1;
	struct inet_sock bound = *sock;
	struct sockaddr_storage sa;
	socklen_t len;

	bound.state = INET_IDLE;
	if (inet_sock_make(m, &bound, flags | SOCK_NONBLOCK, &fd, err) < 0 ||
		inet_addr_to(sock->family, &sock->remote, &sa, &len, err) < 0)
		return -err->code;
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return connect_failed(sock, err);
	*out = take_fd(&fd);
	return 0;
}
