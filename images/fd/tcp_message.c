/* TCP connections: record <-> message; see tcp.h. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/tcp.h"
#include "proto/socket.pb-c.h"

enum { MAX_WSCALE = 14, MAX_MSS = 65535, ALL_OPTIONS = 7, MAX_QUEUE = 1 << 30 };

static void bytes_pack(uint8_t *data, size_t len, protobuf_c_boolean *has, ProtobufCBinaryData *out)
{
	*has = len > 0;
	out->data = data;
	out->len = len;
}

Pb__TcpConn *tcp_conn_pack(struct arena *arena, const struct tcp_conn *conn)
{
	Pb__TcpConn *m = arena_alloc(arena, sizeof *m);
	uint32_t *window = arena_copy(arena, &conn->window, sizeof conn->window);

	pb__tcp_conn__init(m);
	m->has_state = m->has_snd_seq = m->has_rcv_seq = m->has_mss = m->has_options = true;
	m->has_snd_wscale = m->has_rcv_wscale = m->has_timestamp = m->has_nr_unsent = true;
	m->has_sndbuf = m->has_rcvbuf = m->has_buf_lock = true;
	m->state = conn->state;
	m->has_inside = m->inside = conn->inside;
	m->has_alone = m->alone = conn->alone;
	m->snd_seq = conn->snd_seq;
	m->rcv_seq = conn->rcv_seq;
	m->mss = conn->mss;
	m->options = conn->options;
	m->snd_wscale = conn->snd_wscale;
	m->rcv_wscale = conn->rcv_wscale;
	m->timestamp = conn->timestamp;
	m->nr_unsent = conn->nr_unsent;
	m->sndbuf = conn->sndbuf;
	m->rcvbuf = conn->rcvbuf;
	m->buf_lock = conn->buf_lock;
	m->has_shut_read = m->shut_read = conn->shut_read;
	m->has_window_clamp = true;
	m->window_clamp = conn->window_clamp;
	m->window = window;
	m->n_window = sizeof conn->window / sizeof *window;
	bytes_pack(conn->send, conn->nr_send, &m->has_send, &m->send);
	bytes_pack(conn->recv, conn->nr_recv, &m->has_recv, &m->recv);
	return m;
}

static bool state_can_travel(uint32_t state)
{
	return state == TCP_STATE_ESTABLISHED || tcp_sent_fin(state) || tcp_got_fin(state);
}

static bool conn_fits(const Pb__TcpConn *m)
{
	return state_can_travel(m->state) && m->mss > 0 && m->mss <= MAX_MSS &&
	       m->options <= ALL_OPTIONS && m->snd_wscale <= MAX_WSCALE &&
	       m->rcv_wscale <= MAX_WSCALE && m->nr_unsent <= m->send.len &&
	       m->n_window == sizeof(struct tcp_window) / sizeof(uint32_t) &&
	       m->send.len <= MAX_QUEUE && m->recv.len <= MAX_QUEUE && m->sndbuf <= INT32_MAX &&
	       m->rcvbuf <= INT32_MAX &&
	       (!m->alone || (m->state == TCP_STATE_CLOSE_WAIT && !m->send.len));
}

int tcp_conn_unpack(
	struct arena *arena, const Pb__TcpConn *m, struct tcp_conn *out, struct err *err)
{
	if (!m || !conn_fits(m))
		return err_set(err, EBADMSG, "TCP connection: missing or malformed");
	memset(out, 0, sizeof *out);
	out->state = m->state;
	out->inside = m->inside;
	out->alone = m->alone;
	out->snd_seq = m->snd_seq;
	out->rcv_seq = m->rcv_seq;
	out->mss = m->mss;
	out->options = m->options;
	out->snd_wscale = m->snd_wscale;
	out->rcv_wscale = m->rcv_wscale;
	out->timestamp = m->timestamp;
	memcpy(&out->window, m->window, sizeof out->window);
	out->nr_send = m->send.len;
	out->send = arena_copy(arena, m->send.data, m->send.len);
	out->nr_recv = m->recv.len;
	out->recv = arena_copy(arena, m->recv.data, m->recv.len);
	out->nr_unsent = m->nr_unsent;
	out->sndbuf = m->sndbuf;
	out->rcvbuf = m->rcvbuf;
	out->buf_lock = m->buf_lock;
	out->window_clamp = m->window_clamp;
	out->shut_read = m->shut_read;
	return 0;
}
