#ifndef IMAGES_FD_SOCK_DIAG_H
#define IMAGES_FD_SOCK_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * NETLINK_SOCK_DIAG (sock_diag(7)): what the kernel tells about sockets by inode number, of our own
 * network namespace. Each question is asked anew, so that an answer from before the freeze is never
 * used.
 */

struct arena;
struct err;

struct diag_unix {
	uint8_t state;    /* TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE of netinet/tcp.h */
	uint8_t shutdown; /* 1: receiving, 2: sending is shut down */
	bool has_peer;    /* it is connected, maybe to one that was closed meanwhile: */
	uint32_t peer;    /* inode of the other end, 0: closed */
	bool has_file;    /* bound to a path: */
	dev_t file_dev;   /* device and low 32 bits of the inode of the socket file */
	uint32_t file_ino;
	uint32_t rqueue; /* listening: connections not accepted yet; else bytes to read */
	uint32_t wqueue; /* listening: backlog; else bytes sent and not read */
};

/* ENOTSUP: no such socket in our network namespace, or no unix_diag in the kernel. */
int sock_diag_unix(uint64_t ino, struct diag_unix *out, struct err *err);
/*
 * Who waits in the accept queue of a listening unix socket: inodes of the sockets that connected,
 * in order, 0 for those closed since. In arena. EMSGSIZE: more than the kernel tells, about 900.
 */
int sock_diag_unix_pending(
	uint64_t ino, struct arena *arena, uint32_t **inos, size_t *nr, struct err *err);

/* ---- who listens (sock_diag_listen.c) ---------------------------------------------------------
 */

struct diag_listener {
	uint64_t ino;
	int family;     /* AF_INET and AF_INET6 (TCP), AF_UNIX */
	uint16_t port;  /* of TCP */
	char name[109]; /* of AF_UNIX: "/path" as it was bound, "@abstract", "" */
	bool has_file;  /* it was bound to a path: */
	dev_t file_dev; /* device and low 32 bits of the inode of the socket file */
	uint32_t file_ino;
};

/* Every listening socket of our network namespace. Kinds that the kernel cannot list are left out.
 */
int sock_diag_listeners(
	void (*each)(const struct diag_listener *l, void *arg), void *arg, struct err *err);

/* Whom the TCP socket with this inode number is connecting to (SYN_SENT). */
int sock_diag_connecting(
	int family, uint64_t ino, struct sockaddr_storage *remote, struct err *err);

/* All ends of TCP connections: what somebody holds, what was closed, and what was not accepted. */
struct diag_end {
	struct sockaddr_storage own, peer;
	uint32_t ino; /* 0: nobody holds it */
	uint8_t state;
	uint32_t rqueue; /* bytes to read */
};
int sock_diag_ends(void (*each)(const struct diag_end *end, void *arg), void *arg, struct err *err);

/* What of a UDP socket is shut down: 1 receiving, 2 sending. 0 for one that is not bound. */
int sock_diag_udp_shutdown(int family, uint64_t ino, uint32_t *shutdown, struct err *err);

/* ---- who stands in the way of a bind; only asked when one has failed ------------------------- */

/* A process that holds the socket with this inode number, in words: "process 42 (nginx)". */
bool sock_diag_owner(uint32_t ino, char *text, size_t len);

/* What is on a local TCP or UDP port, of any address. */
struct diag_port {
	uint32_t ino;        /* a socket that somebody holds, 0: none was found */
	unsigned nr_waiting; /* TCP: TIME_WAIT and FIN_WAIT2 remains of closed connections */
	unsigned nr_closing; /* TCP: closed ones whose other end has not acknowledged it yet */
};
int sock_diag_port(int protocol, uint16_t port, struct diag_port *out, struct err *err);
/* End those remains (CAP_NET_ADMIN, kernel with INET_DIAG_DESTROY); returns how many, 0 if it may
 * not. *closing: there are others, which become such by themselves soon, unless their other end is
 * out of reach. */
unsigned sock_diag_end_waiting(int protocol, uint16_t port, bool *closing);

#endif
