/* What was sent to a unix socket and not read: looked at without taking it, and sent again. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kind.h"
#include "images/fd/unix.h"

/* ---- live -> record -------------------------------------------------------------------------- */

struct peeking {
	const struct fd_seen *seen;
	struct arena *arena;
	struct unix_sock *sock;
	size_t cap;
	bool eof; /* nothing more will come */
};

static void queue_add(struct peeking *k, const struct unix_msg *msg)
{
	struct unix_sock *sock = k->sock;

	sock->queue = arena_grow(
		k->arena, sock->queue, sock->nr_queue, &k->cap, sizeof *sock->queue);
	sock->queue[sock->nr_queue++] = *msg;
}

/* What came along with a message, into its record. Closes the descriptors. */
static int take_along(
	struct peeking *k, struct unix_look *look, struct unix_msg *msg, struct err *err)
{
	struct fd_dump *d = k->seen->dump;
	int ret = 0;

	if (look->refused) {
		err_set(err, ENOTSUP, "a message with %s waits in a unix socket", look->refused);
		ret = err_hint(err, "let the program read it before the dump");
	}
	msg->creds = look->creds;
	msg->fds = arena_array(k->arena, look->nr_fds, sizeof *msg->fds);
	for (size_t i = 0; !ret && i < look->nr_fds; i++)
		ret = d->ofd_of_fd(d, k->seen, look->fds[i], &msg->fds[msg->nr_fds++], err);
	unix_look_finish(look);
	return ret < 0 ? err_wrap(err, "descriptor in flight") : 0;
}

/* An option for as long as we look. The socket is the target's too, so it is put back. */
struct borrowed_option {
	int name, was;
};

static int option_borrow(
	int fd, int name, int value, struct borrowed_option *option, struct err *err)
{
	socklen_t len = sizeof option->was;

	option->name = name;
	if (getsockopt(fd, SOL_SOCKET, name, &option->was, &len) < 0 ||
		setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) < 0)
		return err_sys(err, "socket option %d", name);
	return 0;
}

static int option_return(int fd, const struct borrowed_option *option, int ret, struct err *err)
{
	if (setsockopt(fd, SOL_SOCKET, option->name, &option->was, sizeof option->was) < 0 && !ret)
		return err_sys(err, "put socket option %d back", option->name);
	return ret;
}

static int look_from(int fd, size_t at, struct err *err)
{
	int offset = (int)at;

	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) < 0
		       ? err_sys(err, "SO_PEEK_OFF")
		       : 0;
}

/*
 * A look that reaches a piece with descriptors takes them, and all bytes before them, and ends
 * behind it; and even a look that asks for less shows them. But the kernel copies whole pieces or
 * none: where memory ends one byte too early, the piece with the descriptors is left out. *start
 * is how many of the n bytes at `at` lie before it.
 */
static int rights_begin(int fd, size_t at, size_t n, size_t *start, struct err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
	struct unix_look look = { 0 };
	ssize_t before;
	char *memory;

	memory = mmap(NULL, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory, room, PROT_READ | PROT_WRITE) < 0)
		return err_sys(err, "memory to look at a unix socket's queue");
	before = look_from(fd, at, err) < 0 ? -1
					    : unix_look(fd, memory + room - (n - 1), n, 0, &look);
	if (before >= 0)
		*start = (size_t)before;
	else if (errno != EFAULT)
		err_sys(err, "look at a unix socket's queue");
	else
		*start = before = 0;
	unix_look_finish(&look);
	munmap(memory, room + page);
	return before < 0 ? -err->code : 0;
}

/* The next piece of a stream that is read in one go; *at moves behind it. */
static int peek_piece(struct peeking *k, uint8_t *data, size_t len, size_t *at, struct err *err)
{
	struct unix_msg msg = { .data = data + *at };
	struct unix_look look;
	size_t start = 0;
	ssize_t n;

	if (look_from(k->seen->fd, *at, err) < 0)
		return -err->code;
	n = unix_look(k->seen->fd, msg.data, len - *at, 0, &look);
	if (n < 0)
		return err_sys(err, "look at a unix socket's queue");
	msg.len = (size_t)n;
	if (look.nr_fds && n > 1 && rights_begin(k->seen->fd, *at, (size_t)n, &start, err) < 0) {
		unix_look_finish(&look);
		return -err->code;
	}
	if (start) {
		msg.len = start;
		unix_look_finish(&look);
	}
	if (take_along(k, &look, &msg, err) < 0)
		return -err->code;
	if (n == 0)
		return err_set(
			err, EIO, "the queue of a unix socket ends %zu bytes too early", len - *at);
	queue_add(k, &msg);
	*at += msg.len;
	return 0;
}

static int peek_pieces(struct peeking *k, uint8_t *data, size_t len, size_t *at, struct err *err)
{
	while (*at < len)
		if (peek_piece(k, data, len, at, err) < 0)
			return -err->code;
	return 0;
}

/* The urgent byte, or the mark that it has left, at *at. */
static int peek_urgent(
	struct peeking *k, enum unix_urgent what, uint8_t *data, size_t *at, struct err *err)
{
	struct unix_msg mark = { .data = arena_alloc(k->arena, 1), .len = 1 };

	if (what == UNIX_NOT_URGENT)
		return 0;
	if (what == UNIX_URGENT_READ)
		queue_add(k, &mark);
	else if (peek_pieces(k, data, *at + 1, at, err) < 0)
		return -err->code;
	k->sock->queue[k->sock->nr_queue - 1].urgent = what;
	return 0;
}

/* Reading on past the last byte would fetch a pending ECONNRESET away from the program. */
static int peek_stream(
	struct peeking *k, size_t len, enum unix_urgent what, size_t mark, struct err *err)
{
	uint8_t *data = arena_alloc(k->arena, len);
	size_t at = 0;

	if (peek_pieces(k, data, what ? mark : 0, &at, err) < 0 ||
		peek_urgent(k, what, data, &at, err) < 0)
		return -err->code;
	return peek_pieces(k, data, len, &at, err);
}

/* Urgent bytes are looked at like others where they are read like others. */
static int peek_marked_stream(struct peeking *k, size_t len, struct err *err)
{
	struct borrowed_option inside, creds;
	enum unix_urgent what = UNIX_NOT_URGENT;
	int fd = k->seen->fd, ret;
	size_t mark = 0;

	if (option_borrow(fd, SO_OOBINLINE, 1, &inside, err) < 0)
		return -err->code;
	ret = unix_urgent_find(fd, len, &what, &mark, err);
	if (!ret)
		ret = option_borrow(fd, SO_PASSCRED, 1, &creds, err);
	if (!ret)
		ret = option_return(fd, &creds, peek_stream(k, len, what, mark, err), err);
	return option_return(fd, &inside, ret, err);
}

/* One datagram: its length first, which also shows an empty one. 0: there are no more. */
static int peek_message(struct peeking *k, struct unix_msg *msg, struct err *err)
{
	struct unix_look look, again;
	char none;
	ssize_t n = unix_look(k->seen->fd, &none, 0, MSG_TRUNC, &look);

	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "look at a unix socket's queue");
	if (n == 0 && k->eof && k->sock->type == SOCK_SEQPACKET && !look.nr_fds)
		return 0;
	if (k->sock->type == SOCK_DGRAM) /* else the name of the other end, as always */
		msg->from = look.from;
	msg->len = (size_t)n;
	msg->data = arena_alloc(k->arena, msg->len);
	if (take_along(k, &look, msg, err) < 0)
		return -err->code;
	if (n > 0 && unix_look(k->seen->fd, msg->data, msg->len, 0, &again) != n)
		return err_set(
			err, EIO, "the queue of a unix socket changes: is somebody reading it?");
	if (n > 0)
		unix_look_finish(&again);
	return 1;
}

static int peek_messages(struct peeking *k, struct err *err)
{
	int more;

	do {
		struct unix_msg msg = { 0 };

		more = peek_message(k, &msg, err);
		if (more > 0)
			queue_add(k, &msg);
	} while (more > 0);
	return more;
}

static int peek_all_messages(struct peeking *k, struct err *err)
{
	struct borrowed_option creds;

	if (option_borrow(k->seen->fd, SO_PASSCRED, 1, &creds, err) < 0)
		return -err->code;
	return option_return(k->seen->fd, &creds, peek_messages(k, err), err);
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
	struct peeking k = { seen, seen->dump->snap->arena, sock, 0, eof };
	struct borrowed_option offset;
	size_t len = 0;
	int ret = queue_has(seen->fd, sock, &len, err);

	if (ret <= 0)
		return ret;
	/* With SO_PEEK_OFF each look goes on where the last one ended. */
	if (option_borrow(seen->fd, SO_PEEK_OFF, 0, &offset, err) < 0)
		return -err->code;
	ret = sock->type == SOCK_STREAM ? peek_marked_stream(&k, len, err)
					: peek_all_messages(&k, err);
	return option_return(seen->fd, &offset, ret, err);
}

/* ---- record -> live -------------------------------------------------------------------------- */

/* Whatever travels in a queue has to exist before it is sent; the caller sees to its common state.
 */
static int made_now(const struct fd_make *m, uint32_t id, struct err *err)
{
	const struct snap_ofd *ofd = &m->snap->ofds[id];

	if (m->made[id] >= 0)
		return 0;
	if (!ofd->kind || ofd->inherited >= 0)
		return err_set(err, EBADMSG, "unix socket: ofd %u in flight does not exist", id);
	if (ofd->kind->make(m, ofd, &m->made[id], err) < 0)
		return err_wrap(err, "in flight: %s", ofd->label ? ofd->label : ofd->kind->name);
	return 0;
}

/* SCM_RIGHTS of msg in control; gives its length. */
static int rights_make(const struct fd_make *m, const struct unix_msg *msg, struct cmsghdr *control,
	size_t *len, struct err *err)
{
	*len = 0;
	if (!msg->nr_fds)
		return 0;
	for (size_t i = 0; i < msg->nr_fds; i++) {
		if (made_now(m, msg->fds[i], err) < 0)
			return -err->code;
		memcpy(CMSG_DATA(control) + i * sizeof(int), &m->made[msg->fds[i]], sizeof(int));
	}
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(msg->nr_fds * sizeof(int));
	*len = CMSG_SPACE(msg->nr_fds * sizeof(int));
	return 0;
}

int unix_queue_make(const struct fd_make *m, int fd, const struct unix_msg *msg,
	const struct sockaddr_storage *to, socklen_t to_len, struct err *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(UNIX_MAX_FDS * sizeof(int))] = { 0 };
	struct msghdr head = { .msg_name = to_len ? (void *)(uintptr_t)to : NULL,
		.msg_namelen = to_len,
		.msg_iovlen = 1 };
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (msg->urgent ? MSG_OOB : 0);
	size_t done = 0, along;

	if (rights_make(m, msg, (void *)control, &along, err) < 0)
		return -err->code;
	do {
		struct iovec iov = { msg->data + done, msg->len - done };
		ssize_t n;

		head.msg_iov = &iov;
		head.msg_control = done || !along ? NULL : control;
		head.msg_controllen = done ? 0 : along;
		n = msg->creds.pid ? unix_send_as(m, fd, &head, &msg->creds, flags)
				   : sendmsg(fd, &head, flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "send %zu queued bytes again", msg->len - done);
		done += (size_t)n;
	} while (done < msg->len);
	return 0;
}
