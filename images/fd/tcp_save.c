/* A live connection -> struct tcp_conn, in repair mode (TCP_REPAIR, Linux 3.5; see tcp.h). */
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
#include "images/fd/tcp.h"

enum { X_SO_BUF_LOCK = 72, X_TCP_ULP = 31 };

/* ---- states ------------------------------------------------------------------------------------
 */

static const char *const state_names[] = { "?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1",
	"FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING" };

const char *tcp_state_text(enum tcp_state state)
{
	return (size_t)state < sizeof state_names / sizeof *state_names ? state_names[state] : "?";
}

bool tcp_sent_fin(enum tcp_state state)
{
	return state == TCP_STATE_FIN_WAIT1 || state == TCP_STATE_FIN_WAIT2 ||
	       state == TCP_STATE_CLOSING || state == TCP_STATE_LAST_ACK;
}

bool tcp_got_fin(enum tcp_state state)
{
	return state == TCP_STATE_CLOSE_WAIT || state == TCP_STATE_LAST_ACK ||
	       state == TCP_STATE_CLOSING;
}

/*
 * What can be read is counted up to the mark of an urgent byte, also of one that was read already,
 * unless it stands among the others.
 */
static int mark_is_ahead(int fd, bool *ahead, struct err *err)
{
	int was, on = 1, off = 0, apart = 0, among = 0, ret = 0;
	socklen_t len = sizeof was;

	if (getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, &len) < 0)
		return err_sys(err, "SO_OOBINLINE");
	/* In this order: more may arrive meanwhile. */
	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) < 0 ||
		ioctl(fd, SIOCINQ, &among) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off) < 0 ||
		ioctl(fd, SIOCINQ, &apart) < 0)
		ret = err_sys(err, "bytes that wait in a TCP connection");
	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, sizeof was) < 0 && !ret)
		return err_sys(err, "put SO_OOBINLINE back");
	*ahead = apart < among;
	return ret;
}

static int urgent_refuse(struct err *err)
{
	err_set(err, ENOTSUP, "an urgent byte (MSG_OOB), or its mark, waits in a TCP connection");
	return err_hint(err, "let the program read what came until then before the dump");
}

static int urgent_check(int fd, struct err *err)
{
	char byte;
	int mark = 0;

	if (recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 1 &&
		(ioctl(fd, SIOCATMARK, &mark) < 0 || !mark))
		return 0;
	return urgent_refuse(err);
}

/* When the program stands still: an option is changed for a moment. */
static int mark_check(int fd, struct err *err)
{
	bool ahead = false;

	if (mark_is_ahead(fd, &ahead, err) < 0)
		return -err->code;
	return ahead ? urgent_refuse(err) : 0;
}

/* Times of sending, ends of MSG_ZEROCOPY, ICMP messages: reading them takes them. */
static int error_queue_check(int fd, struct err *err)
{
	struct pollfd p = { .fd = fd };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a TCP connection");
	if (!(p.revents & POLLERR))
		return 0;
	err_set(err, ENOTSUP,
		"an error or notice (MSG_ERRQUEUE, SO_ERROR) waits in a TCP connection");
	return err_hint(err, "let the program read it before the dump, or use --tcp-close");
}

/* Reading it takes it, too; but a buffer that is too small tells that it is there. */
static int saved_syn_check(int fd, struct err *err)
{
	socklen_t len = 0;
	char none;

	if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, &none, &len) == 0 || errno != EINVAL || !len)
		return 0;
	err_set(err, ENOTSUP,
		"a TCP connection has its SYN kept (TCP_SAVE_SYN), and nobody has "
		"asked for it yet");
	return err_hint(
		err, "let the program get TCP_SAVED_SYN before the dump, or use --tcp-close");
}

int tcp_conn_check(int fd, enum tcp_state state, struct err *err)
{
	char ulp[16] = "";
	socklen_t len = sizeof ulp;

	if (state == TCP_STATE_SYN_RECV || state == TCP_STATE_TIME_WAIT) {
		err_set(err, ENOTSUP, "a TCP connection in state %s cannot be dumped",
			tcp_state_text(state));
		return err_hint(err, "wait until it is established, or use --tcp-close");
	}
	if (getsockopt(fd, IPPROTO_TCP, X_TCP_ULP, ulp, &len) == 0 && len > 0 && ulp[0]) {
		err_set(err, ENOTSUP,
			"a TCP connection with keys in the kernel (%.15s) cannot be dumped", ulp);
		return err_hint(err, "let the program use a library for TLS, or --tcp-close");
	}
	if (urgent_check(fd, err) < 0 || error_queue_check(fd, err) < 0)
		return -err->code;
	return saved_syn_check(fd, err);
}

/* ---- repair mode
 * --------------------------------------------------------------------------------- */

/* Repair mode forgets SO_REUSEADDR. */
static int repair_begin(int fd, int *reuse, struct err *err)
{
	int on = TCP_REPAIR_ON;
	socklen_t len = sizeof *reuse;

	if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, reuse, &len) < 0)
		return err_sys(err, "SO_REUSEADDR");
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0)
		return 0;
	err_sys(err, "TCP_REPAIR");
	if (err->code == EPERM)
		err_hint(err, "--tcp-established needs CAP_NET_ADMIN: run snapctl as root");
	return -err->code;
}

static int repair_end(int fd, int reuse, int ret, struct err *err)
{
	int off = TCP_REPAIR_OFF_NO_WP;

	if ((setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) < 0) &&
		!ret)
		return err_sys(err, "end of TCP_REPAIR");
	return ret;
}

int tcp_conn_silence(int fd, struct err *err)
{
	int reuse;

	return repair_begin(fd, &reuse, err);
}

/* ---- what getsockopt(2) tells
 * -------------------------------------------------------------------- */

static int get(int fd, int level, int name, void *value, socklen_t size, struct err *err)
{
	socklen_t len = size;

	if (getsockopt(fd, level, name, value, &len) < 0)
		return err_sys(err, "option %d of a TCP connection", name);
	return len == size ? 0 : err_set(err, EPROTO, "option %d has %u bytes", name, len);
}

/* Told as if a FIN had come (tcp_poll), which it has not in these states. */
static bool is_shut_read(int fd, enum tcp_state state)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return !tcp_got_fin(state) && poll(&p, 1, 0) == 1 && p.revents & POLLRDHUP;
}

static int save_options(int fd, struct tcp_conn *out, struct err *err)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "TCP_INFO");
	out->state = info.tcpi_state;
	out->shut_read = is_shut_read(fd, out->state);
	out->options = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	out->snd_wscale = info.tcpi_snd_wscale;
	out->rcv_wscale = info.tcpi_rcv_wscale;
	/* In repair mode this is what the other end has announced. */
	if (get(fd, IPPROTO_TCP, TCP_MAXSEG, &out->mss, sizeof out->mss, err) < 0 ||
		get(fd, IPPROTO_TCP, TCP_TIMESTAMP, &out->timestamp, sizeof out->timestamp, err) <
			0 ||
		get(fd, SOL_SOCKET, SO_SNDBUF, &out->sndbuf, sizeof out->sndbuf, err) < 0 ||
		get(fd, SOL_SOCKET, SO_RCVBUF, &out->rcvbuf, sizeof out->rcvbuf, err) < 0 ||
		get(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &out->window_clamp, sizeof out->window_clamp,
			err) < 0 ||
		get(fd, SOL_SOCKET, X_SO_BUF_LOCK, &out->buf_lock, sizeof out->buf_lock, err) < 0)
		return -err->code;
	return 0;
}

static int save_window(int fd, struct tcp_conn *out, struct err *err)
{
	struct tcp_repair_window w;

	if (get(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof w, err) < 0)
		return -err->code;
	out->window = (struct tcp_window){ w.snd_wl1, w.snd_wnd, w.max_window, w.rcv_wnd,
		w.rcv_wup };
	return 0;
}

/* ---- queues
 * -------------------------------------------------------------------------------------- */

static int queue_peek(
	struct arena *arena, int fd, int queue, size_t len, uint8_t **data, struct err *err)
{
	size_t done = 0;

	*data = arena_alloc(arena, len);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) < 0)
		return err_sys(err, "TCP_REPAIR_QUEUE");
	while (done < len) {
		/* Each look begins at the front; all of it comes at once. */
		ssize_t n = recv(fd, *data, len, MSG_PEEK | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "look at a queue of a TCP connection");
		if ((size_t)n != len)
			return err_set(err, EIO, "a queue of a TCP connection has %zd of %zu bytes",
				n, len);
		done = (size_t)n;
	}
	return 0;
}

static int queue_seq(int fd, int queue, uint32_t *seq, struct err *err)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) < 0)
		return err_sys(err, "TCP_REPAIR_QUEUE");
	return get(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, sizeof *seq, err);
}

/*
 * FINs take a sequence number: our own is counted in the queue as long as it is not acknowledged.
 */
static int save_queues(struct arena *arena, int fd, struct tcp_conn *out, struct err *err)
{
	int in = 0, queued = 0, unsent = 0;
	bool fin_queued = tcp_sent_fin(out->state) && out->state != TCP_STATE_FIN_WAIT2;

	if (ioctl(fd, SIOCINQ, &in) < 0 || ioctl(fd, SIOCOUTQ, &queued) < 0 ||
		ioctl(fd, SIOCOUTQNSD, &unsent) < 0)
		return err_sys(err, "queues of a TCP connection");
	if (queue_seq(fd, TCP_RECV_QUEUE, &out->rcv_seq, err) < 0 ||
		queue_seq(fd, TCP_SEND_QUEUE, &out->snd_seq, err) < 0)
		return -err->code;
	out->rcv_seq -= tcp_got_fin(out->state);
	out->snd_seq -= tcp_sent_fin(out->state);
	out->nr_recv = (size_t)in;
	out->nr_send = (size_t)queued - (fin_queued && queued > 0);
	out->nr_unsent = (size_t)unsent - (fin_queued && unsent > 0);
	if (queue_peek(arena, fd, TCP_RECV_QUEUE, out->nr_recv, &out->recv, err) < 0)
		return -err->code;
	return queue_peek(arena, fd, TCP_SEND_QUEUE, out->nr_send, &out->send, err);
}

static int save_all(struct arena *arena, int fd, struct tcp_conn *out, struct err *err)
{
	int queue = TCP_NO_QUEUE, ret;

	ret = save_options(fd, out, err);
	if (!ret)
		ret = save_window(fd, out, err);
	if (!ret)
		ret = save_queues(arena, fd, out, err);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) < 0 && !ret)
		return err_sys(err, "TCP_REPAIR_QUEUE");
	return ret;
}

/* Where the next look begins (SO_PEEK_OFF, of TCP since Linux 6.9) is the program's own affair. */
static int save_from_start(struct arena *arena, int fd, struct tcp_conn *out, struct err *err)
{
	int was = -1, off = -1, ret;
	socklen_t len = sizeof was;

	getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &was, &len);
	if (was >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off) < 0)
		return err_sys(err, "SO_PEEK_OFF");
	ret = save_all(arena, fd, out, err);
	if (was >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof was) < 0 && !ret)
		return err_sys(err, "put SO_PEEK_OFF back");
	return ret;
}

int tcp_conn_save(struct arena *arena, int fd, struct tcp_conn *out, struct err *err)
{
	int reuse, ret;

	memset(out, 0, sizeof *out);
	if (mark_check(fd, err) < 0 || repair_begin(fd, &reuse, err) < 0)
		return -err->code;
	ret = save_from_start(arena, fd, out, err);
	return repair_end(fd, reuse, ret, err);
}
