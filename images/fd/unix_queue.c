/* What was sent to a unix socket and not read: looked at without taking it, and sent again. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kind.h"
#include "images/fd/unix.h"

enum { PEEK = MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC };

/* ---- live -> record -------------------------------------------------------------------------- */

struct peeked {
	struct sockaddr_storage from;
	socklen_t from_len;
	_Alignas(struct cmsghdr) char control[1024]; /* SCM_MAX_FD descriptors and more do fit */
	size_t control_len;
	bool cut;
};

/* As recvmsg(2); >= 0: bytes, or the whole length of a datagram. */
static ssize_t peek(int fd, void *data, size_t len, int flags, struct peeked *p)
{
	struct iovec iov = { data, len };
	struct msghdr msg = { &p->from, sizeof p->from, &iov, 1, p->control, sizeof p->control, 0 };
	ssize_t n;

	do
		n = recvmsg(fd, &msg, PEEK | flags);
	while (n < 0 && errno == EINTR);
	p->from_len = msg.msg_namelen;
	p->control_len = n < 0 ? 0 : msg.msg_controllen;
	p->cut = n >= 0 && msg.msg_flags & MSG_CTRUNC;
	return n;
}

/* Looking at a message with descriptors duplicates them into our table. */
static void close_rights(const struct cmsghdr *c)
{
	size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < nr; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
		close(fd);
	}
}

/* Times of arrival (SO_TIMESTAMP) may pass: the restore is when the message arrives again. */
static const char *ancillary_refused(struct peeked *p)
{
	struct msghdr msg = { .msg_control = p->control, .msg_controllen = p->control_len };
	const char *what = p->cut ? "much ancillary data" : NULL;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			close_rights(c);
			what = "descriptors (SCM_RIGHTS)";
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			what = "the sender's credentials (SO_PASSCRED)";
		} else if (c->cmsg_type == 3 /* SCM_SECURITY */ ||
			   c->cmsg_type == 4 /* SCM_PIDFD */) {
			what = "the sender's identity (SO_PASSSEC, SO_PASSPIDFD)";
		}
	}
	return what;
}

static int ancillary_check(struct peeked *p, struct err *err)
{
	const char *what = ancillary_refused(p);

	if (!what)
		return 0;
	err_set(err, ENOTSUP, "a message with %s waits in a unix socket", what);
	return err_hint(err, "let the program read it before the dump");
}

static struct unix_msg *queue_add(struct arena *arena, struct unix_sock *sock, size_t *cap)
{
	sock->queue = arena_grow(arena, sock->queue, sock->nr_queue, cap, sizeof *sock->queue);
	return &sock->queue[sock->nr_queue++];
}

/* Reading stops at an urgent byte. */
static int urgent_check(int fd, struct err *err)
{
	char byte;

	if (recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) != 1)
		return 0;
	err_set(err, ENOTSUP, "an urgent byte (MSG_OOB) waits in a unix socket");
	return err_hint(err, "let the program read it before the dump");
}

/* Reading on past the last byte would fetch a pending ECONNRESET away from the program. */
static int peek_stream(int fd, size_t len, struct unix_msg *msg, struct err *err)
{
	struct peeked p;

	if (urgent_check(fd, err) < 0)
		return -err->code;
	while (msg->len < len) {
		ssize_t n = peek(fd, msg->data + msg->len, len - msg->len, 0, &p);

		if (n < 0)
			return err_sys(err, "look at a unix socket's queue");
		if (ancillary_check(&p, err) < 0)
			return -err->code;
		if (n == 0)
			return err_set(err, EIO,
				"the queue of a unix socket ends %zu bytes too early",
				len - msg->len);
		msg->len += (size_t)n;
	}
	return 0;
}

/* One datagram: its length first, which also shows an empty one. 0: there are no more. */
static int peek_message(
	int fd, bool eof, struct arena *arena, struct unix_msg *msg, struct err *err)
{
	struct peeked p, rest;
	char none;
	ssize_t n = peek(fd, &none, 0, MSG_TRUNC, &p);

	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "look at a unix socket's queue");
	if (n == 0 && eof)
		return 0;
	if (ancillary_check(&p, err) < 0)
		return -err->code;
	unix_name_from(&p.from, p.from_len, &msg->from);
	msg->len = (size_t)n;
	msg->data = arena_alloc(arena, msg->len);
	if (n > 0 && peek(fd, msg->data, msg->len, 0, &rest) != n)
		return err_set(
			err, EIO, "the queue of a unix socket changes: is somebody reading it?");
	return 1;
}

static int peek_messages(
	int fd, bool eof, struct arena *arena, struct unix_sock *sock, struct err *err)
{
	size_t cap = 0;
	int more;

	do {
		struct unix_msg msg = { 0 };

		more = peek_message(fd, eof && sock->type == SOCK_SEQPACKET, arena, &msg, err);
		if (sock->type != SOCK_DGRAM)
			msg.from.len = 0; /* the name of the other end, as always */
		if (more > 0)
			*queue_add(arena, sock, &cap) = msg;
	} while (more > 0);
	return more;
}

static int peek_all(
	int fd, bool eof, size_t len, struct arena *arena, struct unix_sock *sock, struct err *err)
{
	size_t cap = 0;
	struct unix_msg *msg;

	if (sock->type != SOCK_STREAM)
		return peek_messages(fd, eof, arena, sock, err);
	msg = queue_add(arena, sock, &cap);
	msg->data = arena_alloc(arena, len);
	return peek_stream(fd, len, msg, err);
}

/*
 * Is there anything to look at? Not if an error is pending and messages are kept apart: reading the
 * first of them would fetch the error.
 */
static int queue_has(int fd, const struct unix_sock *sock, size_t *len, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int bytes;

	if (poll(&p, 1, 0) < 0 || ioctl(fd, FIONREAD, &bytes) < 0)
		return err_sys(err, "queue of a unix socket");
	*len = (size_t)bytes;
	if (sock->type == SOCK_STREAM)
		return bytes > 0;
	if (!(p.revents & POLLERR))
		return !!(p.revents & POLLIN);
	if (bytes == 0 && sock->state == UNIX_ORPHAN)
		return 0;
	err_set(err, ENOTSUP, "an error waits to be read from a unix socket (SO_ERROR)");
	return err_hint(err, "let the program read it before the dump");
}

int unix_queue_save(const struct fd_seen *seen, bool eof, struct unix_sock *sock, struct err *err)
{
	int was, start = 0, ret;
	socklen_t was_len = sizeof was;
	size_t len = 0;

	ret = queue_has(seen->fd, sock, &len, err);
	if (ret <= 0)
		return ret;
	/* With SO_PEEK_OFF each look goes on where the last one ended. The socket is the target's
	 * too. */
	if (getsockopt(seen->fd, SOL_SOCKET, SO_PEEK_OFF, &was, &was_len) < 0 ||
		setsockopt(seen->fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start) < 0)
		return err_sys(err, "SO_PEEK_OFF");
	ret = peek_all(seen->fd, eof, len, seen->dump->snap->arena, sock, err);
	if (setsockopt(seen->fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof was) < 0 && ret == 0)
		ret = err_sys(err, "put SO_PEEK_OFF back");
	return ret;
}

/* ---- record -> live -------------------------------------------------------------------------- */

int unix_queue_make(int fd, const struct unix_msg *msg, const struct sockaddr_storage *to,
	socklen_t to_len, struct err *err)
{
	size_t done = 0;

	do {
		ssize_t n = sendto(fd, msg->data + done, msg->len - done,
			MSG_DONTWAIT | MSG_NOSIGNAL, to_len ? (const struct sockaddr *)to : NULL,
			to_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "send %zu queued bytes again", msg->len - done);
		done += (size_t)n;
	} while (done < msg->len);
	return 0;
}
