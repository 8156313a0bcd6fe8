/*
 * POSIX message queues. A queue belongs to the IPC namespace and lives on without its programs, so
 * at restore it is mostly there still, and then is left as it is; where it is missing, or had no
 * name any more, it is made again with its messages.
 *
 * A message can only be looked at by receiving it, so they are taken out and sent again. Who asked
 * to be told of a first message (mq_notify(3)) would be told of ours.
 */
#include "images/fd/mqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/* ipc/mqueue.c; not in linux/magic.h. HARD_MSGMAX and HARD_MSGSIZEMAX of ipc_namespace.h. */
enum { MQUEUE_MAGIC = 0x19800202, MESSAGES_MOST = 65536, MESSAGE_LEN_MOST = 16 * 1024 * 1024 };

static const char DELETED[] = " (deleted)";

static bool mqueue_is(const struct fd_seen *seen)
{
	struct statfs fs;

	return S_ISREG(seen->st.st_mode) && fstatfs(seen->fd, &fs) == 0 &&
	       fs.f_type == MQUEUE_MAGIC && !(fcntl(seen->fd, F_GETFL) & O_PATH);
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/* "QSIZE:5 NOTIFY:0 SIGNO:0 NOTIFY_PID:0": the last one is 0 if nobody waits to be told. */
static int notify_check(const struct fd_seen *seen, int fd, struct err *err)
{
	char text[256], name[256];
	ssize_t len = pread(fd, text, sizeof text - 1, 0);
	const char *pid;

	if (len < 0)
		return err_sys(err, "message queue: read its state");
	text[len] = '\0';
	pid = strstr(text, "NOTIFY_PID:");
	if (pid && strtol(pid + strlen("NOTIFY_PID:"), NULL, 10) == 0)
		return 0;
	err_set(err, ENOTSUP,
		"%s is a message queue that tells somebody of a first message (mq_notify), "
		"and the kernel does not show all of what it would tell",
		fd_seen_name(seen, name, sizeof name));
	return err_hint(err, "let the program wait in mq_receive or poll instead");
}

/* One that may do both and does not wait, whatever the program's may. */
static int queue_open(const struct fd_seen *seen, int *fd, struct err *err)
{
	return ofd_reopen(seen->fd, O_RDWR | O_NONBLOCK, fd, err);
}

static int mqueue_check(const struct fd_seen *seen, struct err *err)
{
	OWNED_FD fd = -1;

	if (queue_open(seen, &fd, err) < 0)
		return -err->code;
	return notify_check(seen, fd, err);
}

static int messages_take(int fd, struct arena *arena, struct mqueue_priv *priv, struct err *err)
{
	size_t size = (size_t)priv->message_len, cap = 0;
	char *room = arena_alloc(arena, size + 1);
	unsigned priority;

	for (;;) {
		ssize_t len = mq_receive(fd, room, size, &priority);

		if (len < 0 && errno == EAGAIN)
			return 0;
		if (len < 0)
			return err_sys(err, "message queue: receive");
		priv->messages = arena_grow(
			arena, priv->messages, priv->nr_messages, &cap, sizeof *priv->messages);
		priv->messages[priv->nr_messages++] = (struct mqueue_message){
			.priority = priority,
			.len = (size_t)len,
			.data = arena_copy(arena, room, (size_t)len),
		};
	}
}

int mqueue_send_all(int fd, const struct mqueue_message *messages, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (mq_send(fd, (const char *)messages[i].data, messages[i].len,
			    messages[i].priority) < 0)
			return err_sys(err, "message queue: send message %zu of %zu", i + 1, nr);
	return 0;
}

static int messages_save(const struct fd_seen *seen, struct mqueue_priv *priv, struct err *err)
{
	struct mq_attr attr;
	OWNED_FD fd = -1;
	int taken, put;

	if (queue_open(seen, &fd, err) < 0)
		return -err->code;
	if (mq_getattr(fd, &attr) < 0)
		return err_sys(err, "message queue: attributes");
	priv->max_messages = attr.mq_maxmsg;
	priv->message_len = attr.mq_msgsize;
	if (notify_check(seen, fd, err) < 0)
		return -err->code;
	taken = messages_take(fd, seen->dump->snap->arena, priv, err);
	/* Also when that failed: what has been taken belongs to the program. */
	put = mqueue_send_all(fd, priv->messages, priv->nr_messages, taken < 0 ? NULL : err);
	return taken < 0 ? taken : put;
}

static int mqueue_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct mqueue_priv *priv = arena_alloc(arena, sizeof *priv);
	size_t len = strlen(seen->link);
	char *path;

	(void)err;
	priv->deleted = text_ends(seen->link, DELETED) && seen->st.st_nlink == 0;
	path = arena_strndup(arena, seen->link, priv->deleted ? len - strlen(DELETED) : len);
	priv->name = strrchr(path, '/') + 1;
	/* Of mq_open(3) it is the root of a mount of the kernel's own. */
	priv->path = priv->name == path + 1 ? NULL : path;
	priv->mode = seen->st.st_mode & 07777;
	priv->uid = seen->st.st_uid;
	priv->gid = seen->st.st_gid;
	ofd->priv = priv;
	return 0;
}

static int mqueue_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct fd_dump *d = seen->dump;
	struct mqueue_priv *priv = ofd->priv;

	priv->first = ofd->id;
	for (uint32_t i = 0; i < ofd->id && priv->first == ofd->id; i++) {
		int fd = d->fd_of && d->snap->ofds[i].kind == &fd_mqueue ? d->fd_of(d, i) : -1;
		struct stat st;

		if (fd >= 0 && d->snap->ofds[i].inherited < 0 && fstat(fd, &st) == 0 &&
			st.st_ino == seen->st.st_ino && st.st_dev == seen->st.st_dev)
			priv->first = i;
	}
	return priv->first == ofd->id ? messages_save(seen, priv, err) : 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int mqueue_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct mqueue_priv *priv = ofd->priv;
	Pb__MqueueFd *m = arena_alloc(snap->arena, sizeof *m);
	Pb__MqueueMessage *out = arena_array(snap->arena, priv->nr_messages, sizeof *out);

	(void)err;
	pb__mqueue_fd__init(m);
	m->has_name = m->has_first = m->has_mode = m->has_uid = m->has_gid = true;
	m->name = message_path(priv->name);
	m->has_path = priv->path != NULL;
	m->path = message_path(priv->path ? priv->path : "");
	m->has_deleted = m->deleted = priv->deleted;
	m->first = priv->first;
	m->mode = priv->mode;
	m->uid = priv->uid;
	m->gid = priv->gid;
	m->has_max_messages = m->has_message_len = true;
	m->max_messages = (uint64_t)priv->max_messages;
	m->message_len = (uint64_t)priv->message_len;
	m->n_messages = priv->nr_messages;
	m->messages = arena_array(snap->arena, priv->nr_messages, sizeof *m->messages);
	for (size_t i = 0; i < priv->nr_messages; i++) {
		pb__mqueue_message__init(&out[i]);
		out[i].has_priority = out[i].has_data = true;
		out[i].priority = priv->messages[i].priority;
		out[i].data.len = priv->messages[i].len;
		out[i].data.data = priv->messages[i].data;
		m->messages[i] = &out[i];
	}
	msg->mqueue = m;
	return 0;
}

static int name_unpack(
	struct snap *snap, const Pb__MqueueFd *m, struct mqueue_priv *priv, struct err *err)
{
	if (!m->name.data || !m->name.len || m->name.len > NAME_MAX ||
		memchr(m->name.data, '/', m->name.len) || memchr(m->name.data, '\0', m->name.len))
		return err_set(err, EBADMSG, "message queue: a name of %zu bytes", m->name.len);
	priv->name = arena_strndup(snap->arena, (const char *)m->name.data, m->name.len);
	return m->has_path ? message_path_read(snap, &m->path, "message queue", &priv->path, err)
			   : 0;
}

static int messages_unpack(
	struct snap *snap, const Pb__MqueueFd *m, struct mqueue_priv *priv, struct err *err)
{
	priv->nr_messages = m->n_messages;
	priv->messages = arena_array(snap->arena, m->n_messages, sizeof *priv->messages);
	for (size_t i = 0; i < m->n_messages; i++) {
		const Pb__MqueueMessage *in = m->messages[i];

		if (in->priority >= MQ_PRIO_MAX || in->data.len > m->message_len)
			return err_set(err, EBADMSG, "message queue: impossible message %zu", i);
		priv->messages[i] = (struct mqueue_message){
			.priority = in->priority,
			.len = in->data.len,
			.data = arena_copy(snap->arena, in->data.data, in->data.len),
		};
	}
	return 0;
}

static int mqueue_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct mqueue_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__MqueueFd *m = msg->mqueue;

	if (!m)
		return message_missing("mqueue", err);
	if (m->first > ofd->id || snap->ofds[m->first].kind != &fd_mqueue ||
		snap->ofds[m->first].inherited >= 0)
		return err_set(err, EBADMSG, "message queue: descriptor %u is none", m->first);
	if (m->max_messages > MESSAGES_MOST || m->message_len > MESSAGE_LEN_MOST ||
		m->n_messages > m->max_messages || m->mode > 07777)
		return err_set(err, EBADMSG, "message queue: impossible attributes");
	priv->first = m->first;
	priv->deleted = m->deleted;
	priv->mode = m->mode;
	priv->uid = m->uid;
	priv->gid = m->gid;
	priv->max_messages = (int64_t)m->max_messages;
	priv->message_len = (int64_t)m->message_len;
	ofd->priv = priv;
	if (name_unpack(snap, m, priv, err) < 0)
		return -err->code;
	return messages_unpack(snap, m, priv, err);
}

static char *mqueue_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct mqueue_priv *priv = ofd->priv;

	(void)snap;
	if (priv->first != ofd->id)
		return arena_printf(arena, "message queue /%s", priv->name);
	return arena_printf(arena, "message queue /%s, %zu of %lld messages%s", priv->name,
		priv->nr_messages, (long long)priv->max_messages, priv->deleted ? ", deleted" : "");
}

const struct fd_kind fd_mqueue = {
	.name = "mqueue",
	.is = mqueue_is,
	.check = mqueue_check,
	.save = mqueue_save,
	.save_link = mqueue_save_link,
	.pack = mqueue_pack,
	.unpack = mqueue_unpack,
	.make = mqueue_make,
	.describe = mqueue_describe,
};
