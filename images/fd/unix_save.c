/* A live unix socket -> struct unix_sock: names from the duplicate, peer and state from sock_diag.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/unix.h"

enum { X_SO_PEERGROUPS = 59 }; /* include/uapi/asm-generic/socket.h */

static int save_names(int fd, struct unix_sock *sock, bool *connected, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_sys(err, "name of a unix socket");
	unix_name_from(&sa, len, &sock->name);
	len = sizeof sa;
	*connected = getpeername(fd, (struct sockaddr *)&sa, &len) == 0;
	if (*connected)
		unix_name_from(&sa, len, &sock->peer_name);
	else if (errno != ENOTCONN)
		return err_sys(err, "peer of a unix socket");
	return 0;
}

static int save_listening(const struct fd_seen *seen, const struct diag_unix *diag,
	struct unix_sock *sock, struct err *err)
{
	sock->state = UNIX_LISTEN;
	sock->backlog = diag->wqueue;
	if (!sock->name.len) {
		err_set(err, ENOTSUP, "a unix socket listens without a name");
		return err_hint(err, "close it before the dump");
	}
	return diag->rqueue ? unix_waiting_save(seen, sock, err) : 0;
}

/*
 * The end of a closed connection has both directions shut down. A peer without an inode is
 * otherwise a connection that nobody has accepted yet.
 */
static int save_connected(const struct fd_seen *seen, const struct diag_unix *diag,
	struct unix_sock *sock, struct err *err)
{
	struct pollfd p = { .fd = seen->fd };

	sock->state = diag->peer ? UNIX_PEER : UNIX_ORPHAN; /* whose peer: unix_sock_link */
	sock->peer_ino = diag->peer;
	if (diag->peer)
		return 0;
	if (sock->type == SOCK_DGRAM) {
		if (sock->peer_name.len)
			sock->state = UNIX_OUTSIDE;
		return 0;
	}
	if (diag->shutdown != (UNIX_SHUT_RCV | UNIX_SHUT_SEND)) {
		sock->state = UNIX_PENDING;
		return 0;
	}
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a unix socket");
	sock->reset = p.revents & POLLERR;
	return 0;
}

/* Linux 4.13 and later tell them. */
static void save_peergroups(struct arena *arena, int fd, struct unix_creds *creds)
{
	socklen_t len = 0;

	if (getsockopt(fd, SOL_SOCKET, X_SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
		return;
	creds->groups = arena_alloc(arena, len);
	if (len && getsockopt(fd, SOL_SOCKET, X_SO_PEERGROUPS, creds->groups, &len) < 0)
		return;
	creds->nr_groups = len / sizeof *creds->groups;
	creds->has_groups = true;
}

int unix_peercred_save(struct arena *arena, int fd, struct unix_creds *out, struct err *err)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_sys(err, "SO_PEERCRED");
	if (cred.pid <= 0)
		return 0;
	*out = (struct unix_creds){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	save_peergroups(arena, fd, out);
	return 0;
}

static int save_state(
	const struct fd_seen *seen, struct unix_sock *sock, bool *eof, struct err *err)
{
	struct diag_unix diag;
	bool connected;

	if (save_names(seen->fd, sock, &connected, err) < 0 ||
		sock_diag_unix(seen->st.st_ino, &diag, err) < 0)
		return -err->code;
	if (unix_peercred_save(seen->dump->snap->arena, seen->fd, &sock->peercred, err) < 0)
		return -err->code;
	sock->shutdown = diag.shutdown;
	*eof = diag.shutdown & UNIX_SHUT_RCV;
	if (diag.state == TCP_LISTEN) {
		if (save_listening(seen, &diag, sock, err) < 0)
			return -err->code;
	} else if (connected && save_connected(seen, &diag, sock, err) < 0) {
		return -err->code;
	}
	if (unix_is_path(&sock->name))
		return unix_file_save(seen, &sock->name, &diag, &sock->file, err);
	return 0;
}

int unix_sock_save(const struct fd_seen *seen, struct unix_sock *out, struct err *err)
{
	struct sockopt_who who;
	bool eof = false;

	memset(out, 0, sizeof *out);
	if (sockopt_who_of(seen->fd, &who, err) < 0)
		return -err->code;
	out->type = who.type;
	out->peer = ID_NONE;
	out->ino = (uint32_t)seen->st.st_ino;
	if (save_state(seen, out, &eof, err) < 0 ||
		sockopt_save(seen->dump, seen->fd, &who, &out->options, err) < 0)
		return -err->code;
	if (out->state == UNIX_LISTEN)
		return unix_waiting_look(seen, out, err);
	if (out->state == UNIX_PENDING)
		return 0;
	return unix_queue_save(seen, eof, out, err);
}

/* ---- when all sockets are saved -------------------------------------------------------------- */

static int peer_outside(const struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT], who[128];
	const char *name = "a socket without a name";

	if (sock->peer_name.len)
		name = unix_name_text(&sock->peer_name, text);
	else if (sock->name.len)
		name = unix_name_text(&sock->name, text);
	err_set(err, ENOTSUP, "unix connection (%s), and its other end is not part of the dump",
		name);
	/* Often something that has gone into the background on its own, as crash handlers do. */
	if (sock->peer_ino && sock_diag_owner(sock->peer_ino, who, sizeof who))
		return err_hint(err,
			"%s has that: close the connection before the dump, or dump it as well "
			"(`snapctl dump PROGRAM` takes along what goes into the background)",
			who);
	return err_hint(
		err, "close the connection before the dump, or dump the other program as well");
}

static int link_waiting(
	const struct fd_seen *seen, struct unix_sock *listener, bool may_turn_up, struct err *err)
{
	if (unix_pending_link(seen, listener, may_turn_up, err) < 0)
		return -err->code;
	return unix_waiting_check(seen, listener, err);
}

int unix_sock_check(const struct fd_seen *seen, struct err *err)
{
	struct unix_sock sock = { 0 };
	struct sockopt_who who;
	struct diag_unix diag;
	bool connected;

	if (sockopt_who_of(seen->fd, &who, err) < 0 ||
		save_names(seen->fd, &sock, &connected, err) < 0 ||
		sock_diag_unix(seen->st.st_ino, &diag, err) < 0)
		return -err->code;
	sock.type = who.type;
	if (diag.state == TCP_LISTEN) {
		if (save_listening(seen, &diag, &sock, err) < 0)
			return -err->code;
		return link_waiting(seen, &sock, unix_queues_hold(seen->dump), err);
	}
	if (!connected)
		return 0;
	if (save_connected(seen, &diag, &sock, err) < 0)
		return -err->code;
	if (diag.peer && sock.type != SOCK_DGRAM &&
		seen->dump->ofd_of_inode(seen->dump, seen->st.st_dev, diag.peer, ID_NONE) ==
			ID_NONE &&
		!unix_pending_at(seen->dump->snap, (uint32_t)seen->st.st_ino) &&
		!unix_queues_hold(seen->dump))
		return peer_outside(&sock, err);
	return 0;
}

static int link_peer(
	const struct fd_seen *seen, uint32_t own, struct unix_sock *sock, struct err *err)
{
	const struct unix_sock *peer;

	if (sock->peer_ino == sock->ino)
		sock->peer = own;
	else
		sock->peer = seen->dump->ofd_of_inode(
			seen->dump, seen->st.st_dev, sock->peer_ino, own);
	peer = unix_of(seen->dump->snap, sock->peer);
	if (!peer && sock->type == SOCK_DGRAM && sock->peer_name.len) {
		sock->state = UNIX_OUTSIDE;
		sock->peer = ID_NONE;
		return 0;
	}
	if (!peer && sock->type != SOCK_DGRAM && unix_pending_at(seen->dump->snap, sock->ino)) {
		sock->state = UNIX_PENDING; /* looked at meanwhile: unix_waiting.c */
		return 0;
	}
	if (!peer)
		return peer_outside(sock, err);
	if (sock->type == SOCK_DGRAM && peer->peer_ino != sock->ino && !peer->name.len) {
		err_set(err, ENOTSUP,
			"datagram socket is connected to one that has no name and went on "
			"to another peer");
		return err_hint(err, "close it before the dump");
	}
	return 0;
}

/* Abstract names nobody else can have while somebody has them; paths are bound aside. */
static bool name_is_free(const struct unix_name *name)
{
	OWNED_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(name, &sa);

	return unix_is_path(name) || (fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0);
}

static bool name_is_bound(const struct snap *snap, const struct unix_name *name)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *other = unix_of(snap, i);

		if (other && other->type == SOCK_DGRAM && unix_name_equal(&other->name, name))
			return true;
	}
	return false;
}

/* Can every queued datagram be sent again under its sender's name? */
static int link_queue(const struct fd_seen *seen, struct unix_sock *sock, struct err *err)
{
	const struct unix_sock *peer = unix_of(seen->dump->snap, sock->peer);
	bool pair = sock->state == UNIX_ORPHAN ||
		    (peer && peer->peer_ino == sock->ino && peer != sock);

	for (size_t i = 0; sock->type == SOCK_DGRAM && i < sock->nr_queue; i++) {
		const struct unix_name *from = &sock->queue[i].from;
		bool known = from->len == 0 || name_is_bound(seen->dump->snap, from) ||
			     (!pair && name_is_free(from));

		if (pair && peer)
			known = unix_name_equal(from, &peer->name);
		if (known && (pair || sock->name.len))
			continue;
		err_set(err, ENOTSUP,
			"a datagram waits to be read whose sender is not part of the dump");
		return err_hint(err, "let the program read it before the dump");
	}
	return 0;
}

int unix_sock_link(
	const struct fd_seen *seen, uint32_t own, struct unix_sock *sock, struct err *err)
{
	if (sock->state == UNIX_LISTEN)
		return link_waiting(seen, sock, false, err);
	if (sock->state == UNIX_PENDING || sock->state == UNIX_ORPHAN)
		return unix_pending_find(seen, sock, err);
	if (sock->state == UNIX_PEER && link_peer(seen, own, sock, err) < 0)
		return -err->code;
	return link_queue(seen, sock, err);
}
