/*
 * fanotify(7): groups that are told of events, not those that are asked for permission. fdinfo
 * shows the marks: of a mount by its id, of a file system by its device, of a file by its inode,
 * like inotify. They are set at the very last, so that nothing of the restore is reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/inode_path.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/* Newer than the headers of Debian 12; linux/fanotify.h. */
enum { MARK_EVICTABLE = 0x200, MARK_IGNORE = 0x400, CLASS_BITS = 0xc };
enum { MOUNTINFO_LIMIT = 16 * 1024 * 1024 };

struct mark {
	uint32_t type;  /* FAN_MARK_INODE, _MOUNT, _FILESYSTEM */
	uint32_t flags; /* FAN_MARK_...: how the ignored mask is meant */
	uint64_t mask, ignored;
	char *path; /* the file, or where it is mounted */
};

struct fanotify_priv {
	uint32_t flags, event_flags; /* of fanotify_init(2) */
	struct mark *marks;
	size_t nr_marks;
};

static bool fanotify_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[fanotify]");
}

/* ---- alive -> record: fdinfo ----------------------------------------------------------------- */

static bool masks_read(struct text *t, struct mark *mark)
{
	uint64_t flags;

	if (!text_word_hex(t, "mflags:", &flags) || !text_word_hex(t, "mask:", &mark->mask) ||
		!text_word_hex(t, "ignored_mask:", &mark->ignored))
		return false;
	mark->flags = (uint32_t)flags;
	return true;
}

/*
 * Behind "fanotify ": "mnt_id:1d mflags:..", "sdev:1b mflags:..", or "ino:a8 sdev:fe00000 mflags:..
 * mask:.. ignored_mask:.. fhandle-bytes:8 fhandle-type:1 f_handle:f2e6". *id: of mount or device.
 */
static bool mark_read(struct text t, struct mark *mark, struct inode_path *inode, uint64_t *id)
{
	if (text_word_hex(&t, "mnt_id:", id)) {
		mark->type = FAN_MARK_MOUNT;
		return masks_read(&t, mark);
	}
	if (!text_word_hex(&t, "ino:", &inode->ino)) {
		mark->type = FAN_MARK_FILESYSTEM;
		return text_word_hex(&t, "sdev:", id) && masks_read(&t, mark);
	}
	mark->type = FAN_MARK_INODE;
	if (!text_word_hex(&t, "sdev:", id) || !masks_read(&t, mark))
		return false;
	inode->dev = fd_kernel_dev(*id);
	inode_handle_read(&t, inode);
	return true;
}

/* Where it is mounted: "36 35 98:0 /root /point rw ..", by mount id, else by device. */
static char *mount_path(struct arena *arena, bool by_id, uint64_t wanted)
{
	OWNED_FD fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char *text, *found = NULL;
	const char *line;
	struct text t;
	size_t len;

	if (fd < 0 || fd_read_text(fd, MOUNTINFO_LIMIT, &text, &len, NULL) < 0)
		return NULL;
	t.at = text;
	while (!found && text_line(&t, &line, &len)) {
		struct text at = { line };
		uint64_t id, parent, maj, min;

		if (!text_dec(&at, &id) || !text_char(&at, ' ') || !text_dec(&at, &parent) ||
			!text_char(&at, ' ') || !text_dec(&at, &maj) || !text_char(&at, ':') ||
			!text_dec(&at, &min) || !text_char(&at, ' ') ||
			(by_id ? id : makedev((unsigned)maj, (unsigned)min)) != wanted)
			continue;
		at.at += strcspn(at.at, " \n");
		if (!text_char(&at, ' '))
			continue;
		found = arena_strndup(arena, at.at, strcspn(at.at, " \n"));
		text_unescape(found);
	}
	free(text);
	return found;
}

static void mark_find(
	const struct fd_seen *seen, struct mark *mark, struct inode_path *inode, uint64_t id)
{
	struct snap *snap = seen->dump->snap;

	if (mark->type == FAN_MARK_INODE) {
		inode_paths_find(snap, inode, 1);
		mark->path = inode->path;
	} else {
		bool by_id = mark->type == FAN_MARK_MOUNT;

		mark->path = mount_path(snap->arena, by_id, by_id ? id : fd_kernel_dev(id));
	}
}

static int marks_read(const struct fd_seen *seen, struct fanotify_priv *priv, struct err *err)
{
	struct text t = { seen->fdinfo };
	const char *line;
	size_t len, cap = 0;

	while (text_line(&t, &line, &len)) {
		struct inode_path inode = { 0 };
		struct text at = { line };
		struct mark mark = { 0 };
		uint64_t id;

		if (!text_word(&at, "fanotify ") || text_starts(at.at, "flags:"))
			continue;
		if (!mark_read(at, &mark, &inode, &id))
			return err_set(err, EPROTO, "fanotify: cannot read \"%.*s\" in fdinfo",
				(int)len, line);
		mark_find(seen, &mark, &inode, id);
		if (!mark.path) {
			err_set(err, ENOTSUP, "fanotify: no path was found for \"%.*s\"", (int)len,
				line);
			return err_hint(err, "the file may be deleted, or in another mount "
					     "namespace: let the program remove the mark");
		}
		priv->marks = arena_grow(seen->dump->snap->arena, priv->marks, priv->nr_marks, &cap,
			sizeof *priv->marks);
		priv->marks[priv->nr_marks++] = mark;
	}
	return 0;
}

static int flags_read(
	const struct fd_seen *seen, uint64_t *flags, uint64_t *event_flags, struct err *err)
{
	const char *line = strstr(seen->fdinfo, "fanotify flags:");
	struct text t = { line ? line + strlen("fanotify ") : "" };

	if (text_word_hex(&t, "flags:", flags) && text_word_hex(&t, "event-flags:", event_flags))
		return 0;
	return err_set(err, EPROTO, "fanotify: no flags in fdinfo");
}

static int fanotify_check(const struct fd_seen *seen, struct err *err)
{
	uint64_t flags, event_flags;
	char name[256];
	int queued = 0;

	fd_seen_name(seen, name, sizeof name);
	if (flags_read(seen, &flags, &event_flags, err) < 0)
		return -err->code;
	if (flags & CLASS_BITS) {
		err_set(err, ENOTSUP,
			"%s is an fanotify group that others ask for permission, and they would "
			"wait for ever",
			name);
		return err_hint(err, "stop the watching part of the program before the dump");
	}
	if (ioctl(seen->fd, FIONREAD, &queued) < 0)
		return err_sys(err, "FIONREAD");
	if (!queued)
		return 0;
	err_set(err, ENOTSUP,
		"%s: fanotify events wait to be read, and cannot be put back once they are taken",
		name);
	return err_hint(err, "try again when the program has read them");
}

static int fanotify_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct fanotify_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);
	uint64_t flags, event_flags;

	if (fanotify_check(seen, err) < 0 || flags_read(seen, &flags, &event_flags, err) < 0)
		return -err->code;
	priv->flags = (uint32_t)flags;
	priv->event_flags = (uint32_t)event_flags;
	ofd->priv = priv;
	return 0;
}

/* When all files of the dump are known, since the search begins at them. */
static int fanotify_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	return marks_read(seen, ofd->priv, err);
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static int fanotify_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct fanotify_priv *priv = ofd->priv;
	Pb__FanotifyMark *marks = arena_array(snap->arena, priv->nr_marks, sizeof *marks);
	Pb__FanotifyFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__fanotify_fd__init(m);
	m->has_flags = m->has_event_flags = true;
	m->flags = priv->flags;
	m->event_flags = priv->event_flags;
	m->n_marks = priv->nr_marks;
	m->marks = arena_array(snap->arena, priv->nr_marks, sizeof *m->marks);
	for (size_t i = 0; i < priv->nr_marks; i++) {
		const struct mark *mark = &priv->marks[i];

		pb__fanotify_mark__init(&marks[i]);
		marks[i].has_type = marks[i].has_flags = marks[i].has_path = true;
		marks[i].has_mask = marks[i].has_ignored = true;
		marks[i].type = mark->type;
		marks[i].flags = mark->flags;
		marks[i].path = message_path(mark->path);
		marks[i].mask = mark->mask;
		marks[i].ignored = mark->ignored;
		m->marks[i] = &marks[i];
	}
	msg->fanotify = m;
	return 0;
}

static int mark_unpack(
	struct snap *snap, const Pb__FanotifyMark *m, struct mark *mark, struct err *err)
{
	if (m->type != FAN_MARK_INODE && m->type != FAN_MARK_MOUNT &&
		m->type != FAN_MARK_FILESYSTEM)
		return err_set(err, EBADMSG, "fanotify: a mark of type %u", m->type);
	mark->type = m->type;
	mark->flags = m->flags;
	mark->mask = m->mask;
	mark->ignored = m->ignored;
	return message_path_read(snap, &m->path, "fanotify", &mark->path, err);
}

static int fanotify_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct fanotify_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__FanotifyFd *m = msg->fanotify;

	if (!m)
		return message_missing("fanotify", err);
	if (m->flags & CLASS_BITS)
		return err_set(
			err, EBADMSG, "fanotify: a group of class %u", m->flags & CLASS_BITS);
	priv->flags = m->flags;
	priv->event_flags = m->event_flags;
	priv->nr_marks = m->n_marks;
	priv->marks = arena_array(snap->arena, m->n_marks, sizeof *priv->marks);
	for (size_t i = 0; i < m->n_marks; i++)
		if (mark_unpack(snap, m->marks[i], &priv->marks[i], err) < 0)
			return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------- */

static int fanotify_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct fanotify_priv *priv = ofd->priv;
	OWNED_FD fresh = fanotify_init(priv->flags, priv->event_flags);

	(void)m;
	if (fresh < 0) {
		err_sys(err, "fanotify_init");
		if (err->code == EPERM)
			err_hint(
				err, "the program watched files with fanotify: restore it as root");
		return -err->code;
	}
	/* FAN_CLOEXEC would show in fdinfo. */
	if (fcntl(fresh, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "F_SETFD");
	*fd = take_fd(&fresh);
	return 0;
}

static int mark_add(int fd, const struct mark *mark, struct err *err)
{
	unsigned how = FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW | mark->type |
		       (mark->flags & MARK_EVICTABLE);
	unsigned ignore = mark->flags & MARK_IGNORE ? (unsigned)MARK_IGNORE : FAN_MARK_IGNORED_MASK;

	ignore |= mark->flags & FAN_MARK_IGNORED_SURV_MODIFY;
	if ((mark->mask && fanotify_mark(fd, how, mark->mask, AT_FDCWD, mark->path) < 0) ||
		(mark->ignored &&
			fanotify_mark(fd, how | ignore, mark->ignored, AT_FDCWD, mark->path) < 0))
		return err_sys(err, "fanotify: mark %s", mark->path);
	return 0;
}

static int fanotify_finish(
	const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct fanotify_priv *priv = ofd->priv;

	(void)m;
	for (size_t i = 0; i < priv->nr_marks; i++)
		if (mark_add(fd, &priv->marks[i], err) < 0)
			return -err->code;
	return 0;
}

static char *fanotify_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct fanotify_priv *priv = ofd->priv;

	(void)snap;
	if (priv->nr_marks == 0)
		return arena_strdup(arena, "watches nothing");
	if (priv->nr_marks == 1)
		return arena_printf(arena, "watches %s", priv->marks[0].path);
	return arena_printf(
		arena, "watches %s and %zu more", priv->marks[0].path, priv->nr_marks - 1);
}

const struct fd_kind fd_fanotify = {
	.name = "fanotify",
	.is = fanotify_is,
	.check = fanotify_check,
	.save = fanotify_save,
	.save_link = fanotify_save_link,
	.pack = fanotify_pack,
	.unpack = fanotify_unpack,
	.make = fanotify_make,
	.finish = fanotify_finish,
	.describe = fanotify_describe,
};
