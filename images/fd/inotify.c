/*
 * inotify(7). fdinfo shows the watches, by inode; which path that is, inode_path.c finds out. Watch
 * descriptors are given out in a row, so numbers in between are used up to get the recorded ones.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/inode_path.h"
#include "images/fd/inotify_queue.h"
#include "images/fd/inotify_stage.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/*
 * Without INOTIFY_IOC_SETNEXTWD, a watch descriptor costs two system calls for every number
 * skipped: this is a third of a second.
 */
enum { WD_MOST = 200000 };
/*
 * Each number skipped leaves an event (IN_IGNORED); the kernel's queue has 16384 places at first.
 */
enum { DRAIN_EVERY = 1024 };

struct watch {
	int32_t wd;
	uint32_t mask;
	char *path;   /* NULL: of a file without a name, ... */
	uint32_t ofd; /* ... which is open as this one; else ID_NONE */
};

struct inotify_priv {
	struct watch *watches; /* ascending wd */
	size_t nr_watches;
	struct inotify_queue queue;
};

static bool inotify_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:inotify");
}

/* ---- alive -> record ------------------------------------------------------------------------ */

/*
 * "wd:1 ino:3c51a sdev:fe00000 mask:102 ignored_mask:0 fhandle-bytes:8 fhandle-type:1
 * f_handle:1ac5..."
 */
static bool watch_read(struct text t, struct watch *watch, struct inode_path *inode)
{
	uint64_t wd, dev, mask, ignored;

	if (!text_word_hex(&t, "wd:", &wd) || wd > INT_MAX ||
		!text_word_hex(&t, "ino:", &inode->ino) || !text_word_hex(&t, "sdev:", &dev) ||
		!text_word_hex(&t, "mask:", &mask) || !text_word_hex(&t, "ignored_mask:", &ignored))
		return false;
	watch->wd = (int32_t)wd;
	watch->mask = (uint32_t)mask;
	inode->dev = fd_kernel_dev(dev);
	/* Not there for file systems without handles. */
	inode_handle_read(&t, inode);
	return true;
}

struct watches {
	struct watch *array;
	struct inode_path *inodes;
	size_t nr, cap, cap_inodes;
};

static int watches_read(const struct fd_seen *seen, struct watches *w, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct text t = { seen->fdinfo };
	const char *line;
	size_t len;

	while (text_line(&t, &line, &len)) {
		struct text at = { line };

		if (!text_word(&at, "inotify "))
			continue;
		w->array = arena_grow(arena, w->array, w->nr, &w->cap, sizeof *w->array);
		w->inodes = arena_grow(arena, w->inodes, w->nr, &w->cap_inodes, sizeof *w->inodes);
		w->inodes[w->nr] = (struct inode_path){ 0 };
		if (!watch_read(at, &w->array[w->nr], &w->inodes[w->nr]))
			return err_set(err, EPROTO, "inotify: cannot read \"%.*s\" in fdinfo",
				(int)len, line);
		w->nr++;
	}
	return 0;
}

static int watch_refused(const struct fd_seen *seen, const struct watch *watch,
	const struct inode_path *inode, struct err *err)
{
	char name[256];

	fd_seen_name(seen, name, sizeof name);
	if (watch->path || watch->ofd != ID_NONE) {
		err_set(err, ENOTSUP,
			"%s: watch descriptor %d is too high to be reached again (most: %d)", name,
			watch->wd, WD_MOST);
		return err_hint(err,
			"let the program keep its watches instead of adding them again and again");
	}
	err_set(err, ENOTSUP,
		"%s watches inode %llu of device %u:%u, and no path of it could be found", name,
		(unsigned long long)inode->ino, major(inode->dev), minor(inode->dev));
	return err_hint(err,
		geteuid() ? "run snapctl as root (CAP_DAC_READ_SEARCH), who may ask by file handle"
			  : "the file may be deleted, or in another mount namespace: let the "
			    "program remove the watch");
}

/* Asked at a fresh one: the program's would give out other numbers from then on. */
static bool numbers_can_be_set(void)
{
	OWNED_FD fd = inotify_init1(IN_CLOEXEC);

	return fd >= 0 && ioctl(fd, INOTIFY_SET_NEXT_WD, 1) == 0;
}

/* Events can be made again where watches can be given their numbers. */
static int queue_check(const struct fd_seen *seen, bool *queued, struct err *err)
{
	char name[256];
	int len = 0;

	if (ioctl(seen->fd, FIONREAD, &len) < 0)
		return err_sys(err, "FIONREAD");
	*queued = len > 0;
	if (len == 0 || numbers_can_be_set())
		return 0;
	err_set(err, ENOTSUP,
		"%s: events wait to be read, and cannot be put back once they are taken",
		fd_seen_name(seen, name, sizeof name));
	return err_hint(err, "try again when the program has read them, or use a kernel with "
			     "CONFIG_CHECKPOINT_RESTORE");
}

static int inotify_check(const struct fd_seen *seen, struct err *err)
{
	bool queued;

	return queue_check(seen, &queued, err);
}

static int watch_compare(const void *a, const void *b)
{
	const struct watch *x = a, *y = b;

	return x->wd < y->wd ? -1 : x->wd > y->wd;
}

static int inotify_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	(void)err;
	ofd->priv = arena_alloc(seen->dump->snap->arena, sizeof(struct inotify_priv));
	return 0;
}

/* A deleted file has no path, but it may be open in the dump: nobody has to search for that. */
static void watch_find_open(
	const struct fd_seen *seen, struct watch *watch, struct inode_path *inode)
{
	struct fd_dump *d = seen->dump;

	watch->ofd = d->ofd_of_inode(d, inode->dev, inode->ino, ID_NONE);
	if (watch->ofd != ID_NONE && d->snap->ofds[watch->ofd].label &&
		text_ends(d->snap->ofds[watch->ofd].label, " (deleted)"))
		inode->path = "";
	else
		watch->ofd = ID_NONE;
}

static bool watch_resolve(struct watch *watch, const struct inode_path *inode)
{
	watch->path = watch->ofd == ID_NONE ? inode->path : NULL;
	return watch->path || watch->ofd != ID_NONE;
}

static char *self_path(struct arena *arena, int fd)
{
	return arena_printf(arena, "/proc/self/fd/%d", fd);
}

/* Nothing of this may fail once events have been taken. */
static int queue_save(const struct fd_seen *seen, struct inotify_priv *priv, struct err *err)
{
	struct fd_dump *d = seen->dump;
	struct arena *arena = d->snap->arena;
	struct inotify_real *reals = arena_array(arena, priv->nr_watches, sizeof *reals);

	for (size_t i = 0; i < priv->nr_watches; i++) {
		const struct watch *w = &priv->watches[i];
		int fd = w->path || !d->fd_of ? -1 : d->fd_of(d, w->ofd);

		if (!w->path && fd < 0)
			return err_set(err, ENOTSUP, "inotify: no descriptor for watch %d", w->wd);
		reals[i] = (struct inotify_real){ w->wd, w->mask,
			w->path ? w->path : self_path(arena, fd), !w->path };
	}
	return inotify_queue_save(
		seen->fd, (size_t)seen->queued, reals, priv->nr_watches, arena, &priv->queue, err);
}

/* When all files of the dump are known, since the search begins at them. */
static int inotify_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	bool queued = false;
	struct inotify_priv *priv = ofd->priv;
	int32_t most = numbers_can_be_set() ? INT_MAX : WD_MOST;
	struct watches w = { 0 };

	if (watches_read(seen, &w, err) < 0)
		return -err->code;
	for (size_t i = 0; i < w.nr; i++)
		watch_find_open(seen, &w.array[i], &w.inodes[i]);
	inode_paths_find(seen->dump->snap, w.inodes, w.nr);
	for (size_t i = 0; i < w.nr; i++)
		if (!watch_resolve(&w.array[i], &w.inodes[i]) || w.array[i].wd > most)
			return watch_refused(seen, &w.array[i], &w.inodes[i], err);
	if (w.nr)
		qsort(w.array, w.nr, sizeof *w.array, watch_compare);
	priv->watches = w.array;
	priv->nr_watches = w.nr;
	if (queue_check(seen, &queued, err) < 0)
		return -err->code;
	return queued ? queue_save(seen, priv, err) : 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static void queue_pack(const struct snap *snap, const struct inotify_queue *q, Pb__InotifyFd *m)
{
	Pb__InotifyEvent *events = arena_array(snap->arena, q->nr, sizeof *events);

	m->n_events = q->nr;
	m->events = arena_array(snap->arena, q->nr, sizeof *m->events);
	m->has_next_wd = q->next_wd > 0;
	m->next_wd = q->next_wd;
	for (size_t i = 0; i < q->nr; i++) {
		const struct inotify_saved *e = &q->events[i];

		pb__inotify_event__init(&events[i]);
		events[i].has_wd = events[i].has_mask = true;
		events[i].wd = e->wd;
		events[i].mask = e->mask;
		events[i].has_cookie = e->cookie != 0;
		events[i].cookie = e->cookie;
		events[i].has_name = e->name != NULL;
		if (e->name)
			events[i].name = message_path(e->name);
		m->events[i] = &events[i];
	}
}

static int inotify_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct inotify_priv *priv = ofd->priv;
	Pb__InotifyWatch *watches = arena_array(snap->arena, priv->nr_watches, sizeof *watches);
	Pb__InotifyFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__inotify_fd__init(m);
	m->n_watches = priv->nr_watches;
	m->watches = arena_array(snap->arena, priv->nr_watches, sizeof *m->watches);
	for (size_t i = 0; i < priv->nr_watches; i++) {
		pb__inotify_watch__init(&watches[i]);
		watches[i].has_wd = watches[i].has_mask = true;
		watches[i].wd = priv->watches[i].wd;
		watches[i].has_path = priv->watches[i].path != NULL;
		if (watches[i].has_path)
			watches[i].path = message_path(priv->watches[i].path);
		watches[i].has_ofd = priv->watches[i].ofd != ID_NONE;
		watches[i].ofd = priv->watches[i].ofd;
		watches[i].mask = priv->watches[i].mask;
		m->watches[i] = &watches[i];
	}
	queue_pack(snap, &priv->queue, m);
	msg->inotify = m;
	return 0;
}

static int place_unpack(
	struct snap *snap, const Pb__InotifyWatch *m, struct watch *watch, struct err *err)
{
	watch->ofd = m->has_ofd ? m->ofd : ID_NONE;
	if (m->has_ofd)
		return message_id_check(m->ofd, snap->nr_ofds, "inotify: descriptor", err);
	return message_path_read(snap, &m->path, "inotify", &watch->path, err);
}

static int queue_unpack(
	struct snap *snap, const Pb__InotifyFd *m, struct inotify_queue *q, struct err *err)
{
	bool overflow = false;

	q->events = arena_array(snap->arena, m->n_events, sizeof *q->events);
	q->nr = m->n_events;
	q->next_wd = m->has_next_wd ? m->next_wd : 0;
	if (q->next_wd < 0)
		return err_set(err, EBADMSG, "inotify: next watch descriptor %d", q->next_wd);
	for (size_t i = 0; i < m->n_events; i++) {
		const Pb__InotifyEvent *e = m->events[i];
		const ProtobufCBinaryData *name = &e->name;
		bool named = e->has_name && name->len;
		bool damaged = e->has_name && (!named || memchr(name->data, '\0', name->len));

		q->events[i] = (struct inotify_saved){ e->wd, e->mask, e->cookie,
			named ? arena_strndup(snap->arena, (const char *)name->data, name->len)
			      : NULL };
		/* The kernel has one for each queue. */
		if (damaged || !inotify_saved_valid(&q->events[i]) || (e->wd == -1 && overflow))
			return err_set(err, EBADMSG, "inotify: event 0x%x of watch descriptor %d",
				e->mask, e->wd);
		overflow = overflow || e->wd == -1;
	}
	return 0;
}

static int inotify_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct inotify_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__InotifyFd *m = msg->inotify;
	int32_t last = 0;

	if (!m)
		return message_missing("inotify", err);
	priv->nr_watches = m->n_watches;
	priv->watches = arena_array(snap->arena, m->n_watches, sizeof *priv->watches);
	for (size_t i = 0; i < m->n_watches; i++) {
		struct watch *watch = &priv->watches[i];

		watch->wd = m->watches[i]->wd;
		watch->mask = m->watches[i]->mask;
		if (watch->wd <= last)
			return err_set(err, EBADMSG, "inotify: watch descriptor %d after %d",
				watch->wd, last);
		if (place_unpack(snap, m->watches[i], watch, err) < 0)
			return -err->code;
		last = watch->wd;
	}
	ofd->priv = priv;
	return queue_unpack(snap, m, &priv->queue, err);
}

/* ---- record -> alive ------------------------------------------------------------------------ */

static const char *watch_name(const struct watch *watch)
{
	return watch->path ? watch->path : "a deleted file";
}

static int watch_failed(const struct watch *watch, struct err *err)
{
	err_sys(err, "inotify: watch %s", watch_name(watch));
	if (err->code == ENOSPC)
		err_hint(err, "raise fs.inotify.max_user_watches (sysctl)");
	return -err->code;
}

static int watch_add(const struct fd_make *m, int fd, const struct watch *watch)
{
	char self[40];

	if (watch->path)
		return inotify_add_watch(fd, watch->path, watch->mask | IN_DONT_FOLLOW);
	snprintf(self, sizeof self, "/proc/self/fd/%d", m->made[watch->ofd]);
	return inotify_add_watch(fd, self, watch->mask);
}

/* last: the highest number that is in use. */
static int watch_make(
	const struct fd_make *m, int fd, const struct watch *watch, int32_t last, struct err *err)
{
	/* Where the kernel does not know this, numbers are used up one by one. */
	ioctl(fd, INOTIFY_SET_NEXT_WD, watch->wd);
	for (int skipped = 0;; skipped++) {
		int wd = watch_add(m, fd, watch);

		if (wd < 0)
			return watch_failed(watch, err);
		if (wd == watch->wd)
			return skipped ? inotify_drain(fd, err) : 0;
		/* The same inode again gives the old number. */
		if (wd <= last || wd > watch->wd || skipped == WD_MOST)
			return err_set(err, EEXIST,
				"inotify: %s is watched already, by another name or number",
				watch_name(watch));
		if (inotify_rm_watch(fd, wd) < 0)
			return err_sys(err, "inotify: remove watch %d", wd);
		if (skipped % DRAIN_EVERY == DRAIN_EVERY - 1 && inotify_drain(fd, err) < 0)
			return -err->code;
	}
}

static int inotify_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	(void)m;
	*fd = inotify_init1(IN_CLOEXEC | (int)(ofd->flags & IN_NONBLOCK));
	if (*fd >= 0)
		return 0;
	err_sys(err, "inotify_init");
	if (err->code == EMFILE)
		err_hint(err, "raise fs.inotify.max_user_instances (sysctl)");
	return -err->code;
}

/* Now that all files have been made and opened. */
static int inotify_make_link(
	const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct inotify_priv *priv = ofd->priv;

	for (size_t i = 0; i < priv->nr_watches; i++)
		if (watch_make(m, fd, &priv->watches[i], i ? priv->watches[i - 1].wd : 0, err) < 0)
			return -err->code;
	return 0;
}

static int queue_make(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct inotify_priv *priv = ofd->priv;
	struct arena *arena = m->snap->arena;
	struct inotify_real *reals = arena_array(arena, priv->nr_watches, sizeof *reals);
	int *open = arena_array(arena, priv->nr_watches, sizeof *open), ret = 0;
	struct inotify_queue queue = priv->queue;

	for (size_t i = 0; i < priv->nr_watches; i++) {
		const struct watch *w = &priv->watches[i];

		open[i] = -1;
		if (!ret && !w->path)
			ret = m->made_fd(m, w->ofd, &open[i], err);
		reals[i] = (struct inotify_real){ w->wd, w->mask,
			w->path ? w->path : self_path(arena, open[i]), !w->path };
	}
	for (size_t i = 0; !ret && i < priv->nr_watches; i++)
		ret = inotify_real_set(fd, &reals[i], IN_UNMOUNT, err);
	if (!ret)
		ret = inotify_queue_put(fd, reals, priv->nr_watches, &queue, err);
	for (size_t i = 0; i < priv->nr_watches; i++)
		fd_close(&open[i]);
	return ret;
}

/* What our own opening and closing of the program's files has left there is taken away. */
static int inotify_finish(
	const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct inotify_priv *priv = ofd->priv;

	return priv->queue.nr ? queue_make(m, ofd, fd, err) : inotify_drain(fd, err);
}

static char *inotify_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct inotify_priv *priv = ofd->priv;
	const char *queued = "";

	(void)snap;
	if (priv->queue.nr)
		queued = arena_printf(arena, ", %zu events wait to be read", priv->queue.nr);
	if (priv->nr_watches == 0)
		return arena_printf(arena, "watches nothing%s", queued);
	if (priv->nr_watches == 1)
		return arena_printf(arena, "watches %s%s", watch_name(&priv->watches[0]), queued);
	return arena_printf(arena, "watches %s and %zu more%s", watch_name(&priv->watches[0]),
		priv->nr_watches - 1, queued);
}

const struct fd_kind fd_inotify = {
	.name = "inotify",
	.is = inotify_is,
	.check = inotify_check,
	.save = inotify_save,
	.save_link = inotify_save_link,
	.pack = inotify_pack,
	.unpack = inotify_unpack,
	.make = inotify_make,
	.make_link = inotify_make_link,
	.finish = inotify_finish,
	.describe = inotify_describe,
};
