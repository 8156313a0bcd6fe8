/*
 * Connections of unix sockets that were not accepted yet: who waits where, and making them wait
 * again. What was sent over them is looked at in unix_waiting.c.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/unix_making.h"

/* ---- live -> record -------------------------------------------------------------------------- */

static int pending_outside(const struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT];

	err_set(err, EAGAIN,
		"%zu connection%s to %s wait%s to be accepted, and one is not part of the dump",
		sock->nr_waiting, sock->nr_waiting == 1 ? "" : "s",
		unix_name_text(&sock->name, text), sock->nr_waiting == 1 ? "s" : "");
	return err_hint(err, "let the program accept them before the dump");
}

int unix_pending_link(
	const struct fd_seen *seen, struct unix_sock *listener, bool may_turn_up, struct err *err)
{
	struct fd_dump *d = seen->dump;

	for (size_t i = 0; i < listener->nr_waiting; i++) {
		struct unix_waiting *w = &listener->waiting[i];

		if (!w->ino)
			continue;
		w->client = d->ofd_of_inode(d, seen->st.st_dev, w->ino, ID_NONE);
		if (w->client == ID_NONE && !may_turn_up)
			return pending_outside(listener, err);
	}
	return 0;
}

static bool waits_at(const struct unix_sock *listener, uint32_t ino)
{
	for (size_t i = 0; i < listener->nr_waiting; i++)
		if (listener->waiting[i].ino == ino)
			return true;
	return false;
}

bool unix_pending_at(const struct snap *snap, uint32_t ino)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct unix_sock *other = unix_of(snap, i);

		if (other && other->state == UNIX_LISTEN && waits_at(other, ino))
			return true;
	}
	return false;
}

int unix_pending_find(const struct fd_seen *seen, struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT];

	if (unix_pending_at(seen->dump->snap, sock->ino)) {
		sock->state = UNIX_PENDING;
		return 0;
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
static struct unix_creds connector_of(const struct snap *snap, const struct unix_waiting *w)
{
	for (uint32_t i = 0; !w->known && i < snap->nr_procs; i++) {
		const struct snap_proc *proc = &snap->procs[i];

		if (proc->nr_tasks && has_descriptor(proc, w->client))
			return creds_of(proc);
	}
	return w->creds;
}

static int pending_connect(struct making *k, const struct unix_sock *to, int fd,
	const struct unix_waiting *w, struct err *err)
{
	const struct unix_creds creds = connector_of(k->m->snap, w);

	return unix_connect(k->m, fd, to, &creds, NULL, err);
}

/* One that is closed again when all is sent over it. */
static int pending_closed(
	struct making *k, const struct unix_sock *to, struct unix_waiting *w, struct err *err)
{
	OWNED_FD fd = -1;

	if (making_socket(to->type, &fd, err) < 0)
		return -err->code;
	if (w->client_name.len)
		unix_bind_lost(k->arena, fd, &w->client_name);
	making_widen(fd, w->queue, w->nr_queue);
	if (pending_connect(k, to, fd, w, err) < 0)
		return -err->code;
	w->far_end = take_fd(&fd) + 1;
	return 0;
}

static int pending_one(
	struct making *k, const struct unix_sock *to, struct unix_waiting *w, struct err *err)
{
	const struct unix_sock *sock;

	if (w->client == ID_NONE)
		return pending_closed(k, to, w, err);
	sock = making_done(k, w->client);
	if (!sock || sock->state != UNIX_PENDING || sock->type != to->type)
		return err_set(
			err, EBADMSG, "unix socket: ofd %u cannot wait to be accepted", w->client);
	return pending_connect(k, to, k->m->made[w->client], w, err);
}

static int pending_at(struct making *k, uint32_t id, const struct unix_sock *sock, struct err *err)
{
	int fd = k->m->made[id];
	/* Nobody accepts, so the queue must not be full for anybody. */
	int room = (int)(sock->nr_waiting > sock->backlog ? sock->nr_waiting : sock->backlog);

	if (!sock->nr_waiting)
		return 0;
	if (making_listen(k, fd, room, &sock->peercred, err) < 0)
		return -err->code;
	for (size_t i = 0; i < sock->nr_waiting; i++)
		if (pending_one(k, sock, &sock->waiting[i], err) < 0)
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

static int pending_fill(struct making *k, struct unix_waiting *w, struct err *err)
{
	int from = w->far_end ? w->far_end - 1 : k->m->made[w->client];

	for (size_t q = 0; q < w->nr_queue; q++)
		if (unix_queue_make(k->m, from, &w->queue[q], NULL, 0, err) < 0)
			return err_wrap(err, "queue of a connection that waits to be accepted");
	return 0;
}

int making_fill_pending(struct making *k, const struct unix_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_waiting; i++)
		if (pending_fill(k, &sock->waiting[i], err) < 0)
			return -err->code;
	making_forget_pending(sock);
	return 0;
}

void making_forget_pending(const struct unix_sock *sock)
{
	for (size_t i = 0; i < sock->nr_waiting; i++) {
		struct unix_waiting *w = &sock->waiting[i];

		if (w->far_end)
			close(w->far_end - 1);
		w->far_end = 0;
	}
}
