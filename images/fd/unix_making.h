#ifndef IMAGES_FD_UNIX_MAKING_H
#define IMAGES_FD_UNIX_MAKING_H

#include "images/fd/unix.h"

/* All unix sockets of a snap while they are being made. Private to unix_make.c and unix_fill.c. */
struct making {
	const struct fd_make *m;
	struct arena *arena;
	int *far_end; /* by ofd: the end of an orphan's connection that is closed when all is done
		       */
	bool *ours;   /* by ofd: made here and now */
};

/* The record of an ofd that was made here and now; NULL: not a unix socket, or not (yet) ours. */
const struct unix_sock *making_done(const struct making *k, uint32_t ofd);
/* The other end of a pair or connection, or of two datagram sockets connected to each other; or
 * NULL. */
const struct unix_sock *making_mutual_peer(const struct snap *snap, uint32_t ofd);
int making_socket(int type, int *fd, struct err *err);
/* listen(2) by these. */
int making_listen(
	struct making *k, int fd, int backlog, const struct unix_creds *creds, struct err *err);

/* Connections that nobody accepts (unix_pending.c), when all that are accepted have been. */
int making_pending(struct making *k, struct err *err);
/* What was sent over them; clients that are closed by now are closed again. */
int making_fill_pending(struct making *k, const struct unix_sock *listener, struct err *err);
void making_forget_pending(const struct unix_sock *listener);
/* A sender that is closed again may have had a larger buffer than ours. */
void making_widen(int fd, const struct unix_msg *queue, size_t nr);
/*
 * Buffer sizes decide how much fits into a queue, so the early options come before it. Whoever
 * waits to be accepted has inherited late ones of its listener (SO_PASSCRED), which get theirs
 * first.
 */
int making_options(struct making *k, bool late, struct err *err);
int making_listener_options(struct making *k, struct err *err);
int making_fill(struct making *k, struct err *err);
/* A datagram socket takes queued messages of anybody only before it has a peer. */
int making_find_peers(struct making *k, struct err *err);
int making_shut(struct making *k, struct err *err);

#endif
