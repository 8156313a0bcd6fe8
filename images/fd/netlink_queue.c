/*
 * What waits to be read in a netlink socket. A look shows the first message only. Answers of the
 * kernel are asked for again: netlink_request.c. Messages of other sockets are read as the very
 * last of a dump, and sent again, where nobody but the dump speaks that protocol.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/kinds.h"
#include "images/fd/netlink.h"
#include "proto/socket.pb-c.h"

enum { SOME_BYTES = 262144 /* what a queue may hold, for one estimate */ };

/* ---- live -> record -------------------------------------------------------------------------- */

static int unread_refuse(const char *what, struct err *err)
{
	err_set(err, ENOTSUP, "a netlink socket has %s that was not read yet", what);
	return err_hint(err, "let the program read it before the dump");
}

/* Only the dump has sockets of that protocol, but for the kernel: then nothing comes of others. */
static bool is_ours_alone(const struct fd_seen *seen, uint32_t protocol)
{
	FILE *f = fopen("/proc/net/netlink", "re");
	bool alone = f != NULL;
	char line[256];

	while (alone && fgets(line, sizeof line, f)) {
		unsigned long ino;
		unsigned proto, portid;

		if (sscanf(line, "%*s %u %u %*x %*d %*d %*s %*d %*u %lu", &proto, &portid, &ino) ==
				3 &&
			proto == protocol && portid &&
			seen->dump->ofd_of_inode(seen->dump, seen->st.st_dev, ino, ID_NONE) ==
				ID_NONE)
			alone = false;
	}
	if (f)
		fclose(f);
	return alone;
}

static bool can_be_sent_again(const struct fd_seen *seen, const struct netlink_sock *sock)
{
	const struct fd_opts *opts = seen->dump->opts;

	return sock->protocol == NETLINK_USERSOCK && !sock->nr_groups && sock->bound &&
	       !(opts && opts->leave_running) && is_ours_alone(seen, sock->protocol);
}

static int first_look(const struct fd_seen *seen, struct netlink_sock *sock, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct sockaddr_nl from = { 0 };
	struct netlink_first first = { .memory = netlink_memory(seen->fd) };
	ssize_t len = netlink_look(seen->fd, arena, &first.data, &from);

	if (len < 0)
		return unread_refuse("an error", err);
	first.len = (size_t)len;
	if (!from.nl_pid && !from.nl_groups && netlink_request_find(&first, sock, arena))
		return 0;
	if (!from.nl_pid)
		return unread_refuse("a message of the kernel", err);
	if (!can_be_sent_again(seen, sock))
		return unread_refuse("a message", err);
	sock->unread = true;
	return 0;
}

/* Asked by poll(2) first, which takes nothing. */
int netlink_queue_save(const struct fd_seen *seen, struct netlink_sock *sock, struct err *err)
{
	struct pollfd p = { .fd = seen->fd, .events = POLLIN };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a netlink socket");
	if (p.revents & POLLERR)
		return unread_refuse("an error", err);
	return p.revents & POLLIN ? first_look(seen, sock, err) : 0;
}

/* 0: there are no more. */
static int read_one(int fd, struct arena *arena, struct netlink_msg *out, struct err *err)
{
	ssize_t len = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	_Alignas(struct cmsghdr) char control[256];
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { NULL, len > 0 ? (size_t)len : 0 };
	struct msghdr msg = { &from, sizeof from, &iov, 1, control, sizeof control, 0 };

	if (len < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "read a netlink socket");
	out->data = iov.iov_base = arena_alloc(arena, iov.iov_len);
	out->len = iov.iov_len;
	if (recvmsg(fd, &msg, MSG_DONTWAIT) != len)
		return err_sys(err, "read a netlink socket");
	out->portid = from.nl_pid;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct ucred cred;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&cred, CMSG_DATA(c), sizeof cred);
		out->creds =
			(struct unix_creds){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	}
	return 1;
}

int netlink_queue_finish(
	const struct fd_seen *seen, struct netlink_sock *sock, size_t *bytes, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	int on = 1, more;
	size_t cap = 0;

	if (!sock->unread)
		return 0;
	if (bytes) {
		*bytes += SOME_BYTES;
		return 0;
	}
	if (setsockopt(seen->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
		return err_sys(err, "SO_PASSCRED");
	do {
		struct netlink_msg msg = { 0 };

		more = read_one(seen->fd, arena, &msg, err);
		if (more <= 0)
			break;
		sock->queue = arena_grow(
			arena, sock->queue, sock->nr_queue, &cap, sizeof *sock->queue);
		sock->queue[sock->nr_queue++] = msg;
	} while (more > 0);
	return more;
}

/* ---- record <-> message ---------------------------------------------------------------------- */

void netlink_queue_pack(struct arena *arena, const struct netlink_sock *sock, Pb__NetlinkSock *m)
{
	m->has_request = sock->len_request > 0;
	m->request.data = sock->request;
	m->request.len = sock->len_request;
	m->n_queue = sock->nr_queue;
	m->queue = arena_array(arena, m->n_queue, sizeof *m->queue);
	for (size_t i = 0; i < m->n_queue; i++) {
		const struct netlink_msg *msg = &sock->queue[i];
		Pb__NetlinkMessage *one = arena_alloc(arena, sizeof *one);

		pb__netlink_message__init(one);
		one->has_data = one->has_portid = true;
		one->data.data = msg->data;
		one->data.len = msg->len;
		one->portid = msg->portid;
		one->has_pid = one->has_uid = one->has_gid = msg->creds.pid != 0;
		one->pid = msg->creds.pid;
		one->uid = msg->creds.uid;
		one->gid = msg->creds.gid;
		m->queue[i] = one;
	}
}

static int message_unpack(
	struct arena *arena, const Pb__NetlinkMessage *m, struct netlink_msg *out, struct err *err)
{
	if (!m->portid || m->pid < 0 || !m->data.len)
		return err_set(
			err, EBADMSG, "netlink message of port %u, process %d", m->portid, m->pid);
	out->data = arena_copy(arena, m->data.data, m->data.len);
	out->len = m->data.len;
	out->portid = m->portid;
	out->creds = (struct unix_creds){ .pid = m->pid, .uid = m->uid, .gid = m->gid };
	return 0;
}

int netlink_queue_unpack(
	struct arena *arena, const Pb__NetlinkSock *m, struct netlink_sock *sock, struct err *err)
{
	if (m->request.len && (sock->protocol != NETLINK_ROUTE ||
				      !netlink_request_asks(m->request.data, m->request.len)))
		return err_set(err, EBADMSG, "netlink request of %zu bytes does not only ask",
			m->request.len);
	if (m->n_queue && (sock->protocol != NETLINK_USERSOCK || !sock->bound))
		return err_set(err, EBADMSG, "netlink messages of protocol %u", sock->protocol);
	sock->request = arena_copy(arena, m->request.data, m->request.len);
	sock->len_request = m->request.len;
	sock->queue = arena_array(arena, m->n_queue, sizeof *sock->queue);
	sock->nr_queue = m->n_queue;
	for (size_t i = 0; i < m->n_queue; i++)
		if (message_unpack(arena, m->queue[i], &sock->queue[i], err) < 0)
			return -err->code;
	return 0;
}

/* ---- record -> live -------------------------------------------------------------------------- */

/* The socket that had the port, if it is made already; borrowed. */
static int made_with(const struct fd_make *m, uint32_t protocol, uint32_t portid)
{
	for (uint32_t i = 0; i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &m->snap->ofds[i];
		const struct netlink_sock *sock = ofd->priv;

		if (m->made[i] >= 0 && ofd->kind == &fd_netlink && ofd->inherited < 0 &&
			sock->protocol == protocol && sock->portid == portid)
			return m->made[i];
	}
	return -1;
}

static int sender_make(uint32_t protocol, uint32_t portid, int *out, struct err *err)
{
	const struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = portid };
	OWNED_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)protocol);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&nl, sizeof nl) < 0)
		return err_sys(err, "netlink port %u", portid);
	*out = take_fd(&fd);
	return 0;
}

static int message_make(const struct fd_make *m, int self, const struct netlink_sock *sock,
	const struct netlink_msg *msg, struct err *err)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK,
		.nl_pid = netlink_portid_now(m, sock->portid) };
	struct iovec iov = { msg->data, msg->len };
	const struct msghdr head = {
		.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1
	};
	int from = msg->portid == sock->portid ? self : made_with(m, sock->protocol, msg->portid);
	OWNED_FD own = -1;
	ssize_t n;

	if (from < 0 &&
		sender_make(sock->protocol, netlink_portid_now(m, msg->portid), &own, err) < 0)
		return -err->code;
	from = from < 0 ? own : from;
	n = msg->creds.pid ? unix_send_as(m, from, &head, &msg->creds, MSG_DONTWAIT)
			   : sendmsg(from, &head, MSG_DONTWAIT);
	return n < 0 ? err_sys(err, "send a netlink message again") : 0;
}

int netlink_queue_make(
	const struct fd_make *m, int fd, const struct netlink_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_queue; i++)
		if (message_make(m, fd, sock, &sock->queue[i], err) < 0)
			return -err->code;
	return 0;
}
