#ifndef IMAGES_FD_NETLINK_H
#define IMAGES_FD_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "images/fd/sockopt.h"
#include "images/fd/unix.h"

/* What the files netlink*.c share: the record of a netlink socket. */

struct Pb__NetlinkSock;
struct arena;
struct err;
struct fd_make;
struct fd_seen;
struct sockaddr_nl;

/* A message of another socket. */
struct netlink_msg {
	uint8_t *data;
	size_t len;
	uint32_t portid; /* whose */
	struct unix_creds creds;
};

struct netlink_sock {
	uint32_t protocol, type;
	bool bound;
	uint32_t portid;
	uint32_t *groups;
	size_t nr_groups;
	uint32_t dst_portid, dst_group; /* dst_group is the mask of sockaddr_nl */
	struct sock_options options;
	struct netlink_msg *queue; /* not read yet */
	size_t nr_queue;
	uint8_t *request; /* an RTM_GET..., whose answer was not read: asked again */
	size_t len_request;
	bool unread; /* while dumping: queue is yet to be read */
};

/* ---- netlink_registered.c
 * --------------------------------------------------------------------- */

/*
 * Does the kernel keep something for the port number of this netlink socket, which a new one would
 * not have? True also where it does not say.
 */
bool netlink_audit_is_registered(const struct fd_seen *seen);
bool netlink_netfilter_is_registered(const struct fd_seen *seen);

/* Port numbers that are pids of the dump follow these; others are just numbers. */
uint32_t netlink_portid_now(const struct fd_make *m, uint32_t portid);

/* ---- netlink_request.c: answers of the kernel -------------------------------------------------
 */

/* What a look shows: all that waits to be read takes this much memory before the look. */
struct netlink_first {
	uint8_t *data;
	size_t len;
	uint32_t memory;
};

/* 0: nobody knows. */
uint32_t netlink_memory(int fd);
/*
 * The first message, and whose it is, without taking it; -1 and errno where there is none. With a
 * look, the kernel goes on with an answer that did not fit into one message.
 */
ssize_t netlink_look(int fd, struct arena *arena, uint8_t **data, struct sockaddr_nl *from);
/*
 * The request that `first` answers: found by asking, with a socket of our own. false: none of the
 * known ones gives this answer, and nothing behind it.
 */
bool netlink_request_find(
	const struct netlink_first *first, struct netlink_sock *sock, struct arena *arena);
/* Is it one that only asks? It comes from an image. */
bool netlink_request_asks(const uint8_t *request, size_t len);
int netlink_request_make(int fd, const struct netlink_sock *sock, struct err *err);

/* ---- netlink_queue.c --------------------------------------------------------------------------
 */

/* ENOTSUP: what waits to be read could not come again. */
int netlink_queue_save(const struct fd_seen *seen, struct netlink_sock *sock, struct err *err);
/* fd_kind.save_last */
int netlink_queue_finish(
	const struct fd_seen *seen, struct netlink_sock *sock, size_t *bytes, struct err *err);
void netlink_queue_pack(
	struct arena *arena, const struct netlink_sock *sock, struct Pb__NetlinkSock *m);
int netlink_queue_unpack(struct arena *arena, const struct Pb__NetlinkSock *m,
	struct netlink_sock *sock, struct err *err);
int netlink_queue_make(
	const struct fd_make *m, int fd, const struct netlink_sock *sock, struct err *err);

#endif
