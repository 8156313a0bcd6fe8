#ifndef IMAGES_FD_TCP_H
#define IMAGES_FD_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * TCP connections whose other end is elsewhere, carried over with TCP_REPAIR (--tcp-established;
 * needs CAP_NET_ADMIN). While no process has the connection, a small set of nftables rules holds
 * back its packets, so that the kernel does not answer them with a reset.
 */

struct Pb__TcpConn;
struct arena;
struct err;
struct fd_make;
struct inet_sock;
struct snap;

/* include/net/tcp_states.h; netinet/tcp.h has them too, but clashes with linux/tcp.h. */
enum tcp_state {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECV,
	TCP_STATE_FIN_WAIT1,
	TCP_STATE_FIN_WAIT2,
	TCP_STATE_TIME_WAIT,
	TCP_STATE_CLOSE,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_LAST_ACK,
	TCP_STATE_LISTEN,
	TCP_STATE_CLOSING,
};

/* struct tcp_repair_window of linux/tcp.h. */
struct tcp_window {
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

struct tcp_conn {
	enum tcp_state state;
	bool inside; /* its other end is part of the dump, too: carried over without being asked */
	bool alone;  /* inside, and its other end is closed */
	/* Sequence numbers behind the last byte of each queue; without the FINs. */
	uint32_t snd_seq, rcv_seq;
	uint32_t mss;     /* mss_clamp of the kernel */
	uint32_t options; /* TCPI_OPT_...: timestamps 1, SACK 2, window scale 4 */
	uint32_t snd_wscale, rcv_wscale;
	uint32_t timestamp; /* TCP_TIMESTAMP: the clock of the connection */
	struct tcp_window window;
	uint8_t *send, *recv; /* sent and not acknowledged, or not sent; received and not read */
	size_t nr_send, nr_recv;
	size_t nr_unsent;        /* how many bytes at the end of send were never sent */
	uint32_t sndbuf, rcvbuf; /* bytes as SO_SNDBUF and SO_RCVBUF tell: they tune themselves */
	uint32_t buf_lock;       /* SO_BUF_LOCK */
	uint32_t window_clamp;   /* TCP_WINDOW_CLAMP, bytes */
	bool shut_read;          /* shutdown(2) with SHUT_RD, before the other end has closed */
};

/* Which of the two directions have ended in this state? */
bool tcp_sent_fin(enum tcp_state state);
bool tcp_got_fin(enum tcp_state state);
/* "established", "half closed (CLOSE_WAIT)" ... */
const char *tcp_state_text(enum tcp_state state);

/* ---- tcp_save.c ------------------------------------------------------------------------------ */

/*
 * Everything about the connection of fd, which is as before afterwards. Its packets have to be held
 * back. ENOTSUP: state that cannot travel.
 */
int tcp_conn_save(struct arena *arena, int fd, struct tcp_conn *out, struct err *err);
/* May we do that? CAP_NET_ADMIN in the user namespace that owns the network's. */
bool tcp_may_repair(void);
/* Is the other end of this connection of `seen` part of the dump, too, or closed on this machine?
 */
struct fd_seen;
bool tcp_conn_is_inside(const struct fd_seen *seen, const struct inet_sock *sock);
/* Is it in CLOSE_WAIT, and nobody holds the other end, which was on this machine? */
bool tcp_conn_is_alone(const struct fd_seen *seen, const struct inet_sock *sock);
/* Its other end, as that sees it. */
struct tcp_pair tcp_other_end(const struct inet_sock *sock);
/* From now on closing fd is silent: the other end is not told. */
int tcp_conn_silence(int fd, struct err *err);
/* Why fd, a TCP socket in this state, could not travel even with --tcp-established; or 0. */
int tcp_conn_check(int fd, enum tcp_state state, struct err *err);

/* ---- tcp_make.c ------------------------------------------------------------------------------ */

/*
 * The connection again, in repair mode: closing it is silent, so a restore that fails can be tried
 * again. tcp_conn_wake() lets it go.
 */
int tcp_conn_make(const struct inet_sock *sock, int flags, int *out, struct err *err);
int tcp_conn_wake(int fd, const struct inet_sock *sock, struct err *err);
/* tcp_alone.c: one whose other end is closed; it needs no tcp_conn_wake(). */
int tcp_alone_make(const struct inet_sock *sock, int flags, int *out, struct err *err);
/* SYN_SENT: the connect(2) begins anew. */
int tcp_connecting_make(const struct fd_make *m, const struct inet_sock *sock, int flags, int *out,
	struct err *err);

/* ---- tcp_md5.c ------------------------------------------------------------------------------- */

/* A key for peers of this address or network. */
struct tcp_md5_key {
	int family;
	uint8_t addr[16], prefix; /* network order; prefix in bits */
	uint8_t key[80];
	size_t nr_key;
};
struct Pb__TcpMd5Key;
/* The keys of the socket with this inode, into sock->md5; without CAP_NET_ADMIN none are told. */
int tcp_md5_save(struct arena *arena, uint64_t ino, struct inet_sock *sock, struct err *err);
int tcp_md5_make(int fd, const struct inet_sock *sock, struct err *err);
void tcp_md5_pack(struct arena *arena, const struct inet_sock *sock, struct Pb__TcpMd5Key ***msgs,
	size_t *nr);
int tcp_md5_unpack(struct arena *arena, struct Pb__TcpMd5Key *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err);

/* ---- tcp_inject.c ---------------------------------------------------------------------------- */

/* A segment without data as if the other end had sent it. */
struct tcp_segment {
	uint32_t seq, ack;
	bool fin;
};
int tcp_inject(const struct inet_sock *to, const struct tcp_segment *segment, struct err *err);

/* ---- tcp_message.c --------------------------------------------------------------------------- */

struct Pb__TcpConn *tcp_conn_pack(struct arena *arena, const struct tcp_conn *conn);
int tcp_conn_unpack(
	struct arena *arena, const struct Pb__TcpConn *m, struct tcp_conn *out, struct err *err);

/* ---- tcp_hold.c ------------------------------------------------------------------------------ */

/* Rules that hold back packets, in an nftables table of their own. */
struct tcp_hold;

enum { TCP_HOLD_NAME = 64, TCP_HOLD_MARK = 0x536e6170 /* packets with this mark may pass */ };

/*
 * owned: the kernel removes the table when tcp_hold_destroy() is called or we are gone; else it
 * stays. The table is made with the first connection.
 */
struct tcp_hold *tcp_hold_create(const char *table, bool owned);
void tcp_hold_destroy(struct tcp_hold *hold); /* NULL is fine */
/* Keep its descriptor out of the way: at this number or above. */
int tcp_hold_park(struct tcp_hold *hold, int above, struct err *err);
int tcp_hold_add(struct tcp_hold *hold, const struct inet_sock *sock, struct err *err);
/* Hold back the packets of all connections of a snap; outside: only of those to outside. */
int tcp_hold_all(struct tcp_hold *hold, const struct snap *snap, bool outside, struct err *err);
/* Remove a table that stayed; none is fine. */
int tcp_hold_remove(const char *table, struct err *err);
/* The table that stays while the processes of this snap do not exist; returns buf. */
const char *tcp_hold_name(const struct snap *snap, char buf[TCP_HOLD_NAME]);

/* The established connection of an ofd of the snap that was made by us; NULL: none. */
const struct inet_sock *tcp_established(const struct snap *snap, uint32_t ofd);

#endif
