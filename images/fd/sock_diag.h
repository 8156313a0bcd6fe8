#ifndef IMAGES_FD_SOCK_DIAG_H
#define IMAGES_FD_SOCK_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * NETLINK_SOCK_DIAG (sock_diag(7)): what the kernel tells about sockets by inode number, of our own
 * network namespace. Each question is asked anew, so that an answer from before the freeze is never
 * used.
 */

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

/* ---- who stands in the way of a bind; only asked when one has failed ------------------------- */

/* A process that holds the socket with this inode number, in words: "process 42 (nginx)". */
bool sock_diag_owner(uint32_t ino, char *text, size_t len);

/* What is on a local TCP or UDP port, of any address. */
struct diag_port {
	uint32_t ino;        /* a socket that somebody holds, 0: none was found */
	unsigned nr_waiting; /* TCP: TIME_WAIT and FIN_WAIT2 remains of closed connections */
};
int sock_diag_port(int protocol, uint16_t port, struct diag_port *out, struct err *err);
/* End those remains (CAP_NET_ADMIN, kernel with INET_DIAG_DESTROY); returns how many, 0 if it may
 * not. */
unsigned sock_diag_end_waiting(int protocol, uint16_t port);

#endif
