/*
 * Connections that a live unix socket has not accepted yet. sock_diag(7) tells who waits in the
 * accept queue; what these have sent already is in sockets that nobody has, until they are
 * accepted. The kernel knows no way back, so that is done by us only where the target ends: at once
 * if it ends whatever becomes of the dump, else as the very last of it.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/unix.h"

enum { CLOSED_MOST = 262144 }; /* what a closed client may have sent, for one estimate */

/* ---- who waits ------------------------------------------------------------------------------- */

int unix_waiting_save(const struct fd_seen *seen, struct unix_sock *listener, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	uint32_t *inos;
	size_t nr;

	if (sock_diag_unix_pending(seen->st.st_ino, arena, &inos, &nr, err) < 0) {
		if (err->code != EMSGSIZE)
			return -err->code;
		err_set(err, EAGAIN, "too many connections wait to be accepted");
		return err_hint(err, "let the program accept them before the dump");
	}
	listener->waiting = arena_array(arena, nr, sizeof *listener->waiting);
	listener->nr_waiting = nr;
	for (size_t i = 0; i < nr; i++) {
		listener->waiting[i].ino = inos[i];
		listener->waiting[i].client = ID_NONE;
	}
	return 0;
}

/* ---- is there anything to be looked at? ------------------------------------------------------ */

/*
 * Of unix sockets SIOCOUTQ is the memory that what was sent takes until it is read. Of a client
 * that is closed or was not found yet nobody knows.
 */
static size_t sent_over(const struct fd_seen *seen, const struct unix_waiting *w)
{
	struct fd_dump *d = seen->dump;
	uint32_t ofd = w->ino ? d->ofd_of_inode(d, seen->st.st_dev, w->ino, ID_NONE) : ID_NONE;
	int fd = ofd != ID_NONE && d->fd_of ? d->fd_of(d, ofd) : -1, used = 0;

	if (fd < 0 || ioctl(fd, SIOCOUTQ, &used) < 0)
		return CLOSED_MOST;
	return (size_t)used;
}

static size_t sent_over_all(const struct fd_seen *seen, const struct unix_sock *listener)
{
	size_t bytes = 0;

	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (!listener->waiting[i].known)
			bytes += sent_over(seen, &listener->waiting[i]);
	return bytes;
}

static int must_accept(const struct unix_sock *listener, const char *why, struct err *err)
{
	char text[UNIX_NAME_TEXT];

	err_set(err, EAGAIN,
		"a connection to %s is not accepted yet, and %s was sent over it already",
		unix_name_text(&listener->name, text), why);
	return err_hint(err, "wait until the program has accepted it");
}

/*
 * Of a program that is not ours, only what cannot fail: descriptors might be of a kind that is
 * refused. The listener's fdinfo counts those of all that wait.
 */
static bool may_be_refused(const struct fd_seen *seen)
{
	int labels = 0;
	socklen_t len = sizeof labels;

	if (getsockopt(seen->fd, SOL_SOCKET, SO_PASSSEC, &labels, &len) == 0 && labels)
		return true;
	return unix_rights_waiting(seen->fdinfo) > 0;
}

int unix_waiting_check(
	const struct fd_seen *seen, const struct unix_sock *listener, struct err *err)
{
	const struct fd_opts *opts = seen->dump->opts;

	if (!sent_over_all(seen, listener))
		return 0;
	if (opts->leave_running) {
		must_accept(listener, "something", err);
		return err_hint(err,
			"wait until the program has accepted it, or let it end with the dump: "
			"without --leave-running");
	}
	if (!opts->launched && may_be_refused(seen)) {
		must_accept(listener, "a descriptor (SCM_RIGHTS)", err);
		return err_hint(err, "wait until the program has accepted it, or start it with "
				     "`snapctl dump PROGRAM`");
	}
	return 0;
}

/* ---- looking, for good ----------------------------------------------------------------------- */

static int accept_next(const struct fd_seen *seen, int *out, struct err *err)
{
	struct pollfd p = { .fd = seen->fd, .events = POLLIN };
	OWNED_FD fd = -1;

	if (poll(&p, 1, 0) == 1)
		fd = accept4(seen->fd, NULL, NULL, SOCK_CLOEXEC);
	else
		errno = EAGAIN;
	if (fd < 0)
		return err_sys(err, "accept a connection of a unix socket");
	*out = take_fd(&fd);
	return 0;
}

/* *eof: nothing more will come. */
static int is_the_one(const struct unix_waiting *w, ino_t ino, bool *eof, struct err *err)
{
	struct diag_unix diag;

	if (sock_diag_unix(ino, &diag, err) < 0)
		return -err->code;
	*eof = diag.shutdown & UNIX_SHUT_RCV;
	if ((diag.has_peer ? diag.peer : 0) != w->ino)
		return err_set(err, EAGAIN,
			"the connections that wait to be accepted are others meanwhile");
	return 0;
}

static void client_name(int fd, struct unix_name *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0)
		unix_name_from(&sa, len, out);
}

/* fd is what accept(2) gave. */
static int look_at(const struct fd_seen *seen, const struct unix_sock *listener, int fd,
	struct unix_waiting *w, struct err *err)
{
	struct unix_sock end = { .type = listener->type,
		.state = w->ino ? UNIX_PEER : UNIX_ORPHAN };
	struct fd_seen accepted = *seen;
	bool eof = false;

	accepted.fd = fd;
	if (fstat(fd, &accepted.st) < 0)
		return err_sys(err, "fstat");
	if (is_the_one(w, accepted.st.st_ino, &eof, err) < 0 ||
		unix_peercred_save(seen->dump->snap->arena, fd, &w->creds, err) < 0 ||
		unix_queue_save(&accepted, eof, &end, err) < 0)
		return -err->code;
	client_name(fd, &w->client_name);
	w->queue = end.queue;
	w->nr_queue = end.nr_queue;
	w->known = true;
	return 0;
}

/* It stays open: its client is not to see an end before its own. */
static int accept_and_look(const struct fd_seen *seen, const struct unix_sock *listener,
	struct unix_waiting *w, struct err *err)
{
	OWNED_FD fd = -1;

	if (accept_next(seen, &fd, err) < 0 || look_at(seen, listener, fd, w, err) < 0)
		return err_wrap(err, "a connection that waits to be accepted");
	if (seen->dump->keep_fd)
		seen->dump->keep_fd(seen->dump, take_fd(&fd));
	return 0;
}

static int look_at_all(const struct fd_seen *seen, struct unix_sock *listener, struct err *err)
{
	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (accept_and_look(seen, listener, &listener->waiting[i], err) < 0)
			return -err->code;
	return 0;
}

int unix_waiting_look(const struct fd_seen *seen, struct unix_sock *listener, struct err *err)
{
	const struct fd_opts *opts = seen->dump->opts;

	if (!opts->launched || opts->leave_running || !sent_over_all(seen, listener))
		return 0;
	return look_at_all(seen, listener, err);
}

int unix_waiting_finish(
	const struct fd_seen *seen, struct unix_sock *listener, size_t *bytes, struct err *err)
{
	size_t sent = sent_over_all(seen, listener);

	if (bytes)
		*bytes += sent;
	return sent && !bytes ? look_at_all(seen, listener, err) : 0;
}
