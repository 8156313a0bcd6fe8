#ifndef IMAGES_FD_TCP_WAITING_H
#define IMAGES_FD_TCP_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/fd/inet.h"

/*
 * TCP connections that their listener has not accepted yet. Both ends are in the dump, or the
 * client is closed again: then they are connected anew at restore, and wait again.
 */

struct Pb__InetSock;
struct snap;
struct snap_ofd;

/* As accept(2) will see it. */
struct tcp_waiting {
	uint32_t client; /* the ofd that connected, INET_UNACCEPTED; ID_NONE: closed since */
	struct inet_addr local, remote;
	uint8_t *data; /* what was sent over it, len bytes */
	size_t len;
	size_t urgent; /* the first so many bytes end with an urgent one (MSG_OOB); 0: none */
};

/* ---- tcp_waiting.c: while dumping ------------------------------------------------------------ */

/* Is this the client of one? */
bool tcp_is_unaccepted(const struct fd_seen *seen, const struct inet_sock *sock);
/* EAGAIN: not all that was sent over it has arrived. state: enum tcp_state. */
int tcp_unaccepted_check(
	const struct fd_seen *seen, const struct inet_sock *sock, int state, struct err *err);
/* Is its listener part of the dump? */
int tcp_unaccepted_link(const struct fd_seen *seen, const struct inet_sock *sock, struct err *err);
/* Of a listener: are all that wait there such connections? */
bool tcp_waiting_can_hold(
	const struct fd_seen *seen, const struct inet_sock *listener, size_t nr_waiting);
/* fd_kind.save_last */
int tcp_waiting_finish(
	const struct fd_seen *seen, struct inet_sock *listener, size_t *bytes, struct err *err);

/* ---- tcp_waiting_make.c ---------------------------------------------------------------------- */

void tcp_waiting_pack(
	const struct snap *snap, const struct inet_sock *listener, struct Pb__InetSock *m);
int tcp_waiting_unpack(struct snap *snap, const struct Pb__InetSock *m, struct inet_sock *listener,
	struct err *err);
/* Connect all that wait at `fd`, which listens; clients are put into m->made. */
int tcp_waiting_make(
	const struct fd_make *m, int fd, const struct inet_sock *listener, struct err *err);
/* The client: with its listener, which makes it. */
int tcp_unaccepted_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err);

#endif
