#ifndef IMAGES_FD_INET_H
#define IMAGES_FD_INET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "images/fd/sockopt.h"

/*
 * What the files inet*.c share: the record of a TCP, MPTCP, UDP, UDP-Lite, ICMP (ping) or raw
 * socket.
 */

struct Pb__InetAddr;
struct Pb__InetDatagram;
struct Pb__InetGroup;
struct arena;
struct err;
struct fd_make;
struct fd_seen;
struct tcp_conn;
struct tcp_md5_key;
struct tcp_waiting;

enum { INET_ADDR_TEXT = 96, INET_SOCK_TEXT = 256 };

enum inet_state {
	INET_IDLE, /* neither listens nor is connected; may be bound */
	INET_LISTEN,
	INET_CONNECTED,   /* datagram sockets only */
	INET_RESET,       /* a connection that the other side reset */
	INET_CONNECTING,  /* TCP in SYN_SENT: connect(2) under way */
	INET_ESTABLISHED, /* TCP that is carried over, also half closed: conn */
	INET_UNACCEPTED, /* TCP, connected to a listener of the dump that has not accepted it yet */
};

struct inet_addr {
	bool set;
	uint8_t addr[16]; /* the first 4 for AF_INET; network order */
	uint16_t port;    /* host order */
	uint32_t flowinfo;
	char scope[IF_NAMESIZE]; /* interface of a link-local address, "" where there is none */
};

/* A multicast membership. */
struct inet_group {
	int family;
	uint8_t addr[16];
	char interface[IF_NAMESIZE];
	uint32_t mode; /* MCAST_INCLUDE, MCAST_EXCLUDE: what sources are */
	uint8_t (*sources)[16];
	size_t nr_sources;
};

/* A datagram that was received and not read. */
struct inet_dgram {
	struct inet_addr from, to;
	uint8_t ttl, tos;
	uint8_t *data;
	size_t len;
};

struct inet_sock {
	int family, type, protocol;
	enum inet_state state;
	struct inet_addr local, remote; /* local.set: bound */
	bool nonlocal;                  /* ... to an address that nobody could have without
					   IP_FREEBIND or IP_TRANSPARENT, which are off by now */
	uint32_t backlog;
	uint32_t shutdown;  /* datagrams, INET_UNACCEPTED: 1 receiving, 2 sending is shut down */
	bool pending_error; /* INET_RESET: the program was not told yet */
	bool refused;       /* INET_RESET: there never was a connection */
	uint8_t *unread;    /* INET_RESET: what came before the end; nr_unread bytes */
	size_t nr_unread;
	struct sock_options options;
	struct inet_group *groups;
	size_t nr_groups;
	struct inet_dgram *dgrams;
	size_t nr_dgrams;
	struct tcp_md5_key *md5; /* TCP */
	size_t nr_md5;
	struct tcp_conn *conn;       /* INET_ESTABLISHED; else NULL */
	struct tcp_waiting *waiting; /* INET_LISTEN: who waits to be accepted, in order */
	size_t nr_waiting;
};

/* An IPv4 address as IPv6 has it (::ffff:1.2.3.4) ... */
bool inet_addr_is_mapped(int family, const struct inet_addr *addr);
/* ... and an IPv6 socket that talks IPv4. */
bool inet_is_mapped(const struct inet_sock *sock);

/* "tcp", "udp", ...; NULL: none of ours. Raw sockets may have any protocol. */
const char *inet_protocol_name(int protocol);
/* Is a socket of this family, type and protocol one of ours? */
bool inet_is_ours(int family, int type, int protocol);
/* "tcp 127.0.0.1:80" in buf. */
const char *inet_sock_text(const struct inet_sock *sock, char buf[INET_SOCK_TEXT]);

/* ---- inet_addr.c ----------------------------------------------------------------------------- */

void inet_addr_from(const struct sockaddr_storage *sa, struct inet_addr *out);
/* ENODEV: its interface is missing here. */
int inet_addr_to(int family, const struct inet_addr *a, struct sockaddr_storage *sa, socklen_t *len,
	struct err *err);
/* "127.0.0.1:80", "[fe80::1%eth0]:80"; returns buf. */
const char *inet_addr_text(int family, const struct inet_addr *a, char buf[INET_ADDR_TEXT]);
struct Pb__InetAddr *inet_addr_pack(struct arena *arena, int family, const struct inet_addr *a);
int inet_addr_unpack(
	int family, const struct Pb__InetAddr *m, struct inet_addr *out, struct err *err);

/* ---- inet_group.c ---------------------------------------------------------------------------- */

int inet_groups_save(struct arena *arena, int fd, struct inet_sock *sock, struct err *err);
int inet_groups_make(int fd, const struct inet_sock *sock, struct err *err);
void inet_groups_pack(struct arena *arena, const struct inet_sock *sock,
	struct Pb__InetGroup ***msgs, size_t *nr);
int inet_groups_unpack(struct arena *arena, struct Pb__InetGroup *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err);

/* ---- inet_queue.c ---------------------------------------------------------------------------- */

/* ENOTSUP: a datagram that could not be made to arrive again. */
int inet_queue_save(struct arena *arena, int fd, struct inet_sock *sock, struct err *err);
/* fd is bound and not connected yet. m may be NULL. */
int inet_queue_make(const struct fd_make *m, int fd, const struct inet_sock *sock, struct err *err);
/* inet_resend.c: send d to it without privilege, if its sender is one of ours or can be. */
int inet_resend(const struct fd_make *m, int self, const struct inet_sock *sock,
	const struct inet_dgram *d, struct err *err);
void inet_queue_pack(struct arena *arena, const struct inet_sock *sock,
	struct Pb__InetDatagram ***msgs, size_t *nr);
int inet_queue_unpack(struct arena *arena, struct Pb__InetDatagram *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err);

/* ---- inet_save.c ----------------------------------------------------------------------------- */

/* Why this family, type or protocol, or an established connection, cannot be dumped; or 0. */
int inet_check(const struct fd_seen *seen, struct err *err);
int inet_sock_save(const struct fd_seen *seen, struct inet_sock *out, struct err *err);

/* ---- inet_proc.c ----------------------------------------------------------------------------- */

/* Fill sock->remote of a raw or ping socket, if it is connected. */
int inet_proc_remote(uint64_t ino, struct inet_sock *sock, struct err *err);

/* ---- inet_make.c, inet_bind.c, inet_reset.c
 * --------------------------------------------------------------- */

/* flags: SOCK_NONBLOCK or 0. */
int inet_sock_make(
	const struct fd_make *m, const struct inet_sock *sock, int flags, int *fd, struct err *err);
/* Is it bound to an address that this machine has not (any more)? */
bool inet_is_nonlocal(const struct inet_sock *sock);
/* Bind it, if it was, and listen. m knows what else is made already; it may be NULL. */
int inet_bind(const struct fd_make *m, int fd, const struct inet_sock *sock, struct err *err);
/* A connection whose other side has just reset it. */
int inet_reset_make(const struct inet_sock *sock, int *fd, struct err *err);

#endif
