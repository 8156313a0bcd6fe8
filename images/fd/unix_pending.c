/*
 * Connections of unix sockets that were not accepted yet. sock_diag(7) tells who waits in the
 * accept queue; what these have sent already nobody can look at without accepting, so that is
 * refused.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/unix_making.h"

/* ---- live -> record -------------------------------------------------------------------------- */

int unix_pending_save(const struct fd_seen *seen, struct unix_sock *sock, struct err *err)
{
	if (sock_diag_unix_pending(seen->st.st_ino, seen->dump->snap->arena, &sock->pending_inos,
		    &sock->nr_pending, err) == 0)
		return 0;
	if (err->code != EMSGSIZE)
		return -err->code;
	err_set(err, ENOTSUP, "too many connections wait to be accepted");
	return err_hint(err, "let the program accept them before the dump");
}

int unix_pending_check(const struct fd_seen *seen, const struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT];
	int used = 0;

	/* Of unix sockets: memory that what it sent takes until it is read. */
	if (ioctl(seen->fd, SIOCOUTQ, &used) < 0)
		return err_sys(err, "what was sent over a unix socket");
	if (!used)
		return 0;
	err_set(err, ENOTSUP,
		"the connection to %s is not accepted yet, and something was sent over it already",
		unix_name_text(&sock->peer_name, text));
	return err_hint(err, "wait until it is accepted");
}

static int pending_outside(const struct unix_sock *sock, const char *what, struct err *err)
{
	char text[UNIX_NAME_TEXT];

	err_set(err, ENOTSUP, "%zu connection%s to %s wait%s to be accepted, and one is %s",
		sock->nr_pending, sock->nr_pending == 1 ? "" : "s",
		unix_name_text(&sock->name, text), sock->nr_pending == 1 ? "s" : "", what);
	return err_hint(err, "let the program accept them before the dump");
}

int unix_pending_link(
	const struct fd_seen *seen, struct unix_sock *listener, bool may_turn_up, struct err *err)
{
	struct fd_dump *d = seen->dump;

	listener->pending = arena_array(
		d->snap->arena, listener->nr_pending, sizeof *listener->pending);
	for (size_t i = 0; i < listener->nr_pending; i++) {
		uint32_t ino = listener->pending_inos[i];

		if (!ino)
			return pending_outside(listener, "closed again", err);
		listener->pending[i] = d->ofd_of_inode(d, seen->st.st_dev, ino, ID_NONE);
		if (listener->pending[i] == ID_NONE && !may_turn_up)
			return pending_outside(listener, "not part of the dump", err);
	}
	return 0;
}

static bool waits_at(const struct unix_sock *listener, uint32_t ino)
{
	for (size_t i = 0; i < listener->nr_pending; i++)
		if (listener->pending_inos[i] == ino)
			return true;
	return false;
}

int unix_pending_find(const struct fd_seen *seen, struct unix_sock *sock, struct err *err)
{
	const struct snap *snap = seen->dump->snap;
	char text[UNIX_NAME_TEXT];

	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *other = unix_of(snap, i);

		if (!other || other->state != UNIX_LISTEN || !waits_at(other, sock->ino))
			continue;
		sock->state = UNIX_PENDING;
		return unix_pending_check(seen, sock, err);
	}
	if (sock->state != UNIX_PENDING)
		return 0;
	err_set(err, ENOTSUP,
		"the connection to %s is not accepted yet, and who listens there is "
		"not part of the dump",
		unix_name_text(&sock->peer_name, text));
	return err_hint(err, "wait until it is accepted, or dump the other program as well");
}

/* ---- record -> live -------------------------------------------------------------------------- */

static bool has_descriptor(const struct snap_proc *proc, uint32_t ofd)
{
	for (size_t i = 0; i < proc->nr_fds; i++)
		if (proc->fds[i].ofd == ofd)
			return true;
	return false;
}

static struct unix_creds creds_of(const struct snap_proc *proc)
{
	const struct snap_creds *c = &proc->tasks[0].creds;

	return (struct unix_creds){ .pid = proc->pid,
		.uid = c->euid,
		.gid = c->egid,
		.has_groups = true,
		.groups = c->groups,
		.nr_groups = c->nr_groups };
}

/*
 * Who has connected nobody tells before it is accepted: mostly the first process that has the
 * descriptor, as the user that it is now. One that is only in flight: whoever makes it.
 */
static struct unix_creds connector_of(const struct snap *snap, uint32_t ofd)
{
	for (uint32_t i = 0; i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (proc->nr_tasks && has_descriptor(proc, ofd))
			return creds_of(proc);
	}
	return (struct unix_creds){ 0 };
}

static int pending_connect(struct making *k, uint32_t listener, uint32_t id, struct err *err)
{
	const struct unix_sock *to = unix_of(k->m->snap, listener), *sock = making_done(k, id);
	const struct unix_creds creds = connector_of(k->m->snap, id);

	if (!sock || sock->state != UNIX_PENDING || sock->type != to->type)
		return err_set(err, EBADMSG, "unix socket: ofd %u cannot wait to be accepted", id);
	return unix_connect(k->m, k->m->made[id], to, &creds, NULL, err);
}

static int pending_at(
	struct making *k, uint32_t listener, const struct unix_sock *sock, struct err *err)
{
	int fd = k->m->made[listener];
	/* Nobody accepts, so the queue must not be full for anybody. */
	int room = (int)(sock->nr_pending > sock->backlog ? sock->nr_pending : sock->backlog);

	if (!sock->nr_pending)
		return 0;
	if (making_listen(k, fd, room, &sock->peercred, err) < 0)
		return -err->code;
	for (size_t i = 0; i < sock->nr_pending; i++)
		if (pending_connect(k, listener, sock->pending[i], err) < 0)
			return -err->code;
	return making_listen(k, fd, (int)sock->backlog, &sock->peercred, err);
}

int making_pending(struct making *k, struct err *err)
{
	for (uint32_t i = 0; i < k->m->snap->nr_ofds; i++) {
		const struct unix_sock *sock = making_done(k, i);

		if (sock && sock->state == UNIX_LISTEN && pending_at(k, i, sock, err) < 0)
			return -err->code;
	}
	return 0;
}
