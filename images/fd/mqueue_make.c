/* POSIX message queues made again, or found as they were; see mqueue.h. */
#include "images/fd/mqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kinds.h"

/* Names to try for a queue without a name whose old one is taken. */
enum { TRIES = 100 };

/* The system call: its names have no slash, and it adds no flags of its own. */
static int queue_open(const char *name, int flags, const struct mqueue_priv *priv)
{
	struct mq_attr attr = { .mq_maxmsg = priv->max_messages, .mq_msgsize = priv->message_len };

	return (int)syscall(SYS_mq_open, name, flags | O_CLOEXEC, priv->mode, &attr);
}

static int queue_failed(const char *name, const struct mqueue_priv *priv, struct err *err)
{
	err_sys(err, "message queue /%s: open", name);
	if (err->code == EINVAL)
		err_hint(err,
			"it had places for %lld messages of %lld bytes: raise fs.mqueue.msg_max "
			"and "
			"fs.mqueue.msgsize_max (sysctl)",
			(long long)priv->max_messages, (long long)priv->message_len);
	if (err->code == EMFILE)
		err_hint(err, "raise the limit of bytes in message queues (ulimit -q)");
	return -err->code;
}

static int queue_fill(int fd, const struct mqueue_priv *priv, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "message queue /%s", priv->name);
	if ((st.st_uid != priv->uid || st.st_gid != priv->gid) &&
		fchown(fd, priv->uid, priv->gid) < 0)
		return err_sys(err, "message queue /%s: owner", priv->name);
	if ((st.st_mode & 07777) != priv->mode && fchmod(fd, priv->mode) < 0)
		return err_sys(err, "message queue /%s: mode", priv->name);
	return mqueue_send_all(fd, priv->messages, priv->nr_messages, err);
}

/* What is there under its name has its messages: they may be newer than ours. */
static int queue_compare(const struct mqueue_priv *priv, struct err *err)
{
	OWNED_FD fd = queue_open(priv->name, O_RDONLY | O_NONBLOCK, priv);
	struct mq_attr attr;

	if (fd < 0)
		return queue_failed(priv->name, priv, err);
	if (mq_getattr(fd, &attr) < 0)
		return err_sys(err, "message queue /%s: attributes", priv->name);
	if (attr.mq_maxmsg == priv->max_messages && attr.mq_msgsize == priv->message_len) {
		log_info("message queue /%s is still there, and stays as it is", priv->name);
		return 0;
	}
	err_set(err, ESTALE,
		"message queue /%s had places for %lld messages of %lld bytes, and now has %ld of "
		"%ld",
		priv->name, (long long)priv->max_messages, (long long)priv->message_len,
		attr.mq_maxmsg, attr.mq_msgsize);
	return err_hint(
		err, "remove the one that is there (mq_unlink, rm /dev/mqueue/%s)", priv->name);
}

/* *made: it is new. */
static int queue_named(const struct mqueue_priv *priv, bool *made, struct err *err)
{
	OWNED_FD fd = queue_open(priv->name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, priv);

	*made = fd >= 0;
	if (*made)
		return queue_fill(fd, priv, err);
	return errno == EEXIST ? queue_compare(priv, err) : queue_failed(priv->name, priv, err);
}

/* Under its old name, where that is free, so that the link in /proc reads as before. */
static int queue_nameless(const struct mqueue_priv *priv, char name[NAME_MAX + 1], struct err *err)
{
	OWNED_FD fd = -1;

	snprintf(name, NAME_MAX + 1, "%s", priv->name);
	for (int i = 0; fd < 0 && i < TRIES; i++) {
		fd = queue_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, priv);
		if (fd < 0 && errno != EEXIST)
			return queue_failed(name, priv, err);
		if (fd < 0)
			snprintf(name, NAME_MAX + 1, "snapctl.%d.%d", getpid(), i);
	}
	if (fd < 0)
		return queue_failed(name, priv, err);
	return queue_fill(fd, priv, err);
}

static int end_open(const struct snap_ofd *ofd, const char *name, int *fd, struct err *err)
{
	const struct mqueue_priv *priv = ofd->priv;
	int flags = (int)(ofd->flags & (O_ACCMODE | O_NONBLOCK));

	*fd = priv->path ? open(priv->path, flags | O_CLOEXEC) : queue_open(name, flags, priv);
	if (*fd >= 0)
		return 0;
	return queue_failed(name, priv, err);
}

/* All descriptors of one queue, while it has a name. */
static int ends_open(const struct fd_make *m, uint32_t first, const char *name, struct err *err)
{
	for (uint32_t i = first; i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &m->snap->ofds[i];
		const struct mqueue_priv *priv = ofd->priv;

		if (ofd->kind == &fd_mqueue && ofd->inherited < 0 && priv->first == first &&
			m->made[i] < 0 && end_open(ofd, name, &m->made[i], err) < 0)
			return -err->code;
	}
	return 0;
}

int mqueue_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	uint32_t first = ((const struct mqueue_priv *)ofd->priv)->first;
	const struct mqueue_priv *priv = m->snap->ofds[first].priv;
	char name[NAME_MAX + 1];
	bool made = true;
	int ret;

	snprintf(name, sizeof name, "%s", priv->name);
	ret = priv->deleted ? queue_nameless(priv, name, err) : queue_named(priv, &made, err);
	if (!ret)
		ret = ends_open(m, first, name, err);
	if ((priv->deleted || (made && ret < 0)) && syscall(SYS_mq_unlink, name) < 0 && !ret)
		ret = err_sys(err, "message queue /%s: unlink", name);
	if (!ret)
		*fd = m->made[ofd->id];
	return ret;
}
