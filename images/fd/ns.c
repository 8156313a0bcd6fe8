/*
 * Descriptors of namespaces that the process is in itself (/proc/PID/ns/NAME, for setns(2) and to
 * compare). A restored process is in the caller's or in new ones: it gets those that it is in then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/refused.h"

struct ns_priv {
	const char *name;
};

static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

/* Of "net:[4026531840]" the part in front, which is len bytes long; NULL: no namespace we know. */
static const char *ns_name(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == len && !strncmp(names[i], text, len))
			return names[i];
	return NULL;
}

static bool ns_is(const struct fd_seen *seen)
{
	struct statfs fs;

	return fstatfs(seen->fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
	       ns_name(seen->link, strcspn(seen->link, ":"));
}

static int ns_check(const struct fd_seen *seen, struct err *err)
{
	const char *name = ns_name(seen->link, strcspn(seen->link, ":"));
	char path[64];
	struct stat own;

	snprintf(path, sizeof path, "/proc/%d/ns/%s", seen->pid, name);
	if (stat(path, &own) == 0 && own.st_ino == seen->st.st_ino && own.st_dev == seen->st.st_dev)
		return 0;
	return fd_refused(seen, err);
}

static int ns_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct ns_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	if (ns_check(seen, err) < 0)
		return -err->code;
	priv->name = ns_name(seen->link, strcspn(seen->link, ":"));
	ofd->priv = priv;
	return 0;
}

static int ns_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct ns_priv *priv = ofd->priv;

	(void)err;
	msg->ns = arena_alloc(snap->arena, sizeof *msg->ns);
	pb__ns_fd__init(msg->ns);
	msg->ns->name = arena_strdup(snap->arena, priv->name);
	return 0;
}

static int ns_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct ns_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!msg->ns || !msg->ns->name)
		return message_missing("namespace", err);
	priv->name = ns_name(msg->ns->name, strlen(msg->ns->name));
	if (!priv->name)
		return err_set(err, EBADMSG, "there are no namespaces called %s", msg->ns->name);
	ofd->priv = priv;
	return 0;
}

static int ns_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct ns_priv *priv = ofd->priv;
	char path[64];
	int fresh;

	(void)m;
	snprintf(path, sizeof path, "/proc/self/ns/%s", priv->name);
	fresh = open(path, (int)ofd->flags | O_CLOEXEC);
	if (fresh < 0)
		return err_sys(err, "open %s", path);
	*fd = fresh;
	return 0;
}

static char *ns_describe(const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct ns_priv *priv = ofd->priv;

	(void)snap;
	return arena_printf(arena, "the %s namespace that it is in", priv->name);
}

const struct fd_kind fd_ns = {
	.name = "ns",
	.is = ns_is,
	.check = ns_check,
	.save = ns_save,
	.pack = ns_pack,
	.unpack = ns_unpack,
	.make = ns_make,
	.describe = ns_describe,
};
