/*
 * Character devices without a state of their own, and terminals whose other end is outside the dump
 * (pty.c has the rest). What came from the launcher never gets here (D10); what was opened once
 * more through /dev/stdout or /dev/tty leads to the caller's again, any other terminal is refused.
 * Other devices are in refused.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "base/way.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/* Numbers of Documentation/admin-guide/devices.txt. */
enum { MEM_MAJOR = 1, TTY_MAJOR = 4, TTYAUX_MAJOR = 5, PTS_FIRST = 136, PTS_LAST = 143 };

static const char DELETED[] = " (deleted)";

struct chardev_priv {
	char *path; /* ends in DELETED where that name was removed */
	uint64_t rdev;
	uint32_t like; /* terminal: inherited ofd to open again; ID_NONE: there is none */
};

static bool is_plain(uint64_t rdev)
{
	/* null, zero, full, random, urandom */
	return major(rdev) == MEM_MAJOR && minor(rdev) < 32 &&
	       (1u << 3 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9) >> minor(rdev) & 1;
}

static bool is_terminal(uint64_t rdev)
{
	return major(rdev) == TTY_MAJOR || major(rdev) == TTYAUX_MAJOR ||
	       (major(rdev) >= PTS_FIRST && major(rdev) <= PTS_LAST);
}

static bool chardev_is(const struct fd_seen *seen)
{
	return S_ISCHR(seen->st.st_mode) && seen->link[0] == '/' &&
	       (is_plain(seen->st.st_rdev) || is_terminal(seen->st.st_rdev));
}

/* The controlling terminal, under whatever name that has. */
static bool is_dev_tty(uint64_t rdev)
{
	return major(rdev) == TTYAUX_MAJOR && minor(rdev) == 0;
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/* An inherited descriptor of the same terminal; its name may be another one (/dev/tty). */
static uint32_t terminal_like_inherited(const struct fd_seen *seen)
{
	uint32_t found = ofd_like_inherited(seen->dump->snap, seen->link);
	struct fd_dump *d = seen->dump;
	unsigned mine, other;

	if (found != ID_NONE || !d->fd_of || ioctl(seen->fd, TIOCGDEV, &mine) < 0)
		return found;
	for (uint32_t i = 0; i < d->snap->nr_ofds; i++)
		if (d->snap->ofds[i].inherited >= 0 &&
			ioctl(d->fd_of(d, i), TIOCGDEV, &other) == 0 && mine == other)
			return i;
	return ID_NONE;
}

/* The session, and with it the terminal, is the launcher's if its leader is not in the dump. */
static bool session_is_launchers(const struct fd_seen *seen)
{
	const struct snap *snap = seen->dump->snap;

	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].pid == seen->pid)
			return !snap_has_process(snap, snap->procs[i].sid);
	return false;
}

static const char *terminal_name(uint64_t rdev)
{
	if (major(rdev) == TTY_MAJOR)
		return minor(rdev) < 64 ? "a virtual console" : "a serial line";
	if (major(rdev) == TTYAUX_MAJOR)
		return is_dev_tty(rdev) ? "a controlling terminal" : "the system console";
	return "a terminal whose other end is outside the dump";
}

static int terminal_check(const struct fd_seen *seen, const char *name, struct err *err)
{
	if (terminal_like_inherited(seen) != ID_NONE ||
		(is_dev_tty(seen->st.st_rdev) && session_is_launchers(seen)))
		return 0;
	err_set(err, ENOTSUP,
		"%s is %s; it is a terminal that did not come from whoever launched the program",
		name, terminal_name(seen->st.st_rdev));
	return err_hint(err,
		"start the program with setsid and </dev/null, or with the terminal as its "
		"standard input and output only");
}

static bool is_removed(const struct fd_seen *seen)
{
	return text_ends(seen->link, DELETED) && !seen->st.st_nlink;
}

static int chardev_check(const struct fd_seen *seen, struct err *err)
{
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (is_terminal(seen->st.st_rdev))
		return terminal_check(seen, name, err);
	if (!is_removed(seen) || !geteuid())
		return 0;
	err_set(err, ENOTSUP, "%s is a device whose name was removed", name);
	return err_hint(err,
		"dump and restore as root, who may make it again (mknod), or let the program "
		"close it");
}

static int chardev_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct chardev_priv *priv = arena_alloc(arena, sizeof *priv);

	if (chardev_check(seen, err) < 0)
		return -err->code;
	priv->path = arena_strdup(arena, seen->link);
	priv->rdev = seen->st.st_rdev;
	priv->like = is_terminal(seen->st.st_rdev) ? terminal_like_inherited(seen) : ID_NONE;
	if (is_removed(seen)) {
		ofd->mode = seen->st.st_mode & 07777;
		ofd->uid = seen->st.st_uid;
		ofd->gid = seen->st.st_gid;
	}
	ofd->priv = priv;
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int chardev_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct chardev_priv *priv = ofd->priv;
	Pb__CharFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__char_fd__init(m);
	m->has_path = m->has_rdev = true;
	m->path = message_path(priv->path);
	m->rdev = priv->rdev;
	m->has_like = priv->like != ID_NONE;
	m->like = priv->like;
	msg->chardev = m;
	return 0;
}

static int like_unpack(
	const struct snap *snap, const Pb__CharFd *m, struct chardev_priv *priv, struct err *err)
{
	priv->like = m->has_like ? m->like : ID_NONE;
	if (!m->has_like)
		return is_plain(priv->rdev) || is_dev_tty(priv->rdev)
			       ? 0
			       : err_set(err, EBADMSG, "chardev: device %u:%u", major(priv->rdev),
					 minor(priv->rdev));
	if (message_id_check(m->like, snap->nr_ofds, "chardev: descriptor", err) < 0)
		return -err->code;
	if (snap->ofds[m->like].inherited < 0)
		return err_set(err, EBADMSG, "chardev: descriptor %u is not inherited", m->like);
	return 0;
}

static int chardev_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	const Pb__CharFd *m = msg->chardev;
	struct chardev_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!m)
		return message_missing("chardev", err);
	priv->rdev = m->rdev;
	if (message_path_read(snap, &m->path, "chardev", &priv->path, err) < 0 ||
		like_unpack(snap, m, priv, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

/*
 * One whose name was removed has it for a moment, or one beside it. Owner and mode are
 * set by ofd_make_common().
 */
static int device_anew(const struct chardev_priv *priv, int flags)
{
	char name[PATH_MAX];
	int len = (int)(strlen(priv->path) - strlen(DELETED)), fd = -1, made;
	size_t way;

	snprintf(name, sizeof name, "%.*s", len, priv->path);
	way = way_make(name);
	made = mknod(name, S_IFCHR | 0600, priv->rdev);
	for (unsigned i = 0; made < 0 && errno == EEXIST && i < 16; i++) {
		snprintf(name, sizeof name, "%.*s.%x.%u", len < PATH_MAX - 32 ? len : PATH_MAX - 32,
			priv->path, (unsigned)getpid(), i);
		made = mknod(name, S_IFCHR | 0600, priv->rdev);
	}
	if (made == 0) {
		fd = open(name, flags);
		unlink(name);
	}
	way_remove(name, way);
	return fd;
}

static int device_open(const struct chardev_priv *priv, uint32_t flags, int *fd, struct err *err)
{
	OWNED_FD fresh = open(priv->path, (int)flags | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fresh < 0 && errno == ENOENT && text_ends(priv->path, DELETED))
		fresh = device_anew(priv, (int)flags | O_CLOEXEC | O_NOCTTY);
	if (fresh < 0)
		return err_sys(err, "open %s", priv->path);
	if (fstat(fresh, &st) < 0)
		return err_sys(err, "stat %s", priv->path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != priv->rdev)
		return err_set(err, ESTALE,
			"%s was device %u:%u at the dump and is another one now", priv->path,
			major(priv->rdev), minor(priv->rdev));
	*fd = take_fd(&fresh);
	return 0;
}

/* The caller's, if there is one: else whatever the caller has instead of a terminal. */
static int tty_open(const struct fd_make *m, const struct chardev_priv *priv, uint32_t flags,
	int *fd, struct err *err)
{
	int like = priv->like == ID_NONE ? -1 : m->made[priv->like];

	*fd = open(priv->path, (int)flags | O_CLOEXEC | O_NOCTTY);
	if (*fd >= 0)
		return 0;
	if (errno == ENXIO && like >= 0) {
		log_info("there is no controlling terminal here: the program's /dev/tty is what it "
			 "has as descriptor %d",
			m->snap->ofds[priv->like].inherited);
		return ofd_reopen(like, flags, fd, err);
	}
	err_sys(err, "open %s", priv->path);
	return err_hint(
		err, "the program uses its controlling terminal: restore it from a terminal");
}

static int chardev_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct chardev_priv *priv = ofd->priv;
	uint32_t flags = ofd->flags & ~(uint32_t)(O_ASYNC | O_CREAT | O_EXCL | O_TRUNC);

	if (is_dev_tty(priv->rdev))
		return tty_open(m, priv, flags, fd, err);
	if (priv->like == ID_NONE)
		return device_open(priv, flags, fd, err);
	return ofd_reopen(m->made[priv->like], flags, fd, err);
}

static char *chardev_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct chardev_priv *priv = ofd->priv;

	if (is_dev_tty(priv->rdev))
		return arena_strdup(arena, "the caller's");
	if (priv->like == ID_NONE)
		return NULL;
	return arena_printf(
		arena, "opened again from the caller's %d", snap->ofds[priv->like].inherited);
}

const struct fd_kind fd_chardev = {
	.name = "chardev",
	.is = chardev_is,
	.check = chardev_check,
	.save = chardev_save,
	.pack = chardev_pack,
	.unpack = chardev_unpack,
	.make = chardev_make,
	.describe = chardev_describe,
};
