/* Making events of inotify(7) happen; see inotify_stage.h. */
#include "images/fd/inotify_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/way.h"
#include "images/fd/inotify_queue.h"

/* Where the other half of a move is; nobody watches it. */
#define AWAY "away"

enum { PATH_LEN = 400 };

/* ---- places ---------------------------------------------------------------------------------- */

/* A file system that is mounted nowhere, and goes with its descriptor; root's only. */
static int mount_own(void)
{
	OWNED_FD fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
}

static int directory_own(struct stage *s, struct err *err)
{
	if (way_own(s->path, err) < 0) {
		s->path[0] = '\0';
		return err_wrap(err, "inotify");
	}
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return s->dir < 0 ? err_sys(err, "open %s", s->path) : 0;
}

static int object_make(int dir, const char *path, bool is_dir, struct err *err)
{
	OWNED_FD fd = -1;

	if (is_dir)
		return mkdirat(dir, path, 0700) < 0 ? err_sys(err, "mkdir") : 0;
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "create");
	/* A file without contents cannot be accessed. */
	return fd_write_all(fd, "x", 1, err);
}

static void stand_name(const struct stand *stand, char name[PATH_LEN])
{
	snprintf(name, PATH_LEN, "w%d", stand->wd);
}

int stage_watch(int fd, int dir, const char *name, int32_t wd, uint32_t mask, struct err *err)
{
	char path[PATH_LEN + 40];
	int got;

	snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
	if (wd > 0 && ioctl(fd, INOTIFY_SET_NEXT_WD, wd) < 0)
		return err_sys(err, "INOTIFY_IOC_SETNEXTWD");
	got = inotify_add_watch(fd, path, mask);
	if (got < 0) {
		int ret = err_sys(err, "inotify: watch a stand-in");

		if (ret == -ENOSPC)
			err_hint(err, INOTIFY_NO_WATCHES);
		return ret;
	}
	if (wd > 0 && got != wd)
		return err_set(err, EEXIST, "inotify: watch descriptor %d is taken", wd);
	return got;
}

/* ---- the stage ------------------------------------------------------------------------------- */

int stage_init(struct stage *s, int fd, struct err *err)
{
	*s = (struct stage){ .fd = fd, .dir = mount_own(), .junk_fd = -1, .junk_wd = -1 };
	if (s->dir < 0 && directory_own(s, err) < 0)
		return -err->code;
	if (mkdirat(s->dir, AWAY, 0700) < 0)
		return err_sys(err, "mkdir");
	s->junk_fd = openat(s->dir, "junk", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->junk_fd < 0)
		return err_sys(err, "inotify: create");
	return fd_write_all(s->junk_fd, "x", 1, err);
}

static void stand_remove(struct stand *stand)
{
	char name[PATH_LEN];

	stand_name(stand, name);
	unlinkat(stand->dir, name, stand->is_dir ? AT_REMOVEDIR : 0);
	if (stand->unmounts)
		fd_close(&stand->dir);
	stand->alive = false;
}

void stage_finish(struct stage *s)
{
	for (size_t i = 0; i < s->nr_stands; i++)
		if (s->stands[i].alive)
			stand_remove(&s->stands[i]);
	free(s->stands);
	fd_close(&s->junk_fd);
	if (s->path[0] && s->dir >= 0) {
		unlinkat(s->dir, "junk", 0);
		unlinkat(s->dir, AWAY "/moved", 0);
		unlinkat(s->dir, AWAY "/moved", AT_REMOVEDIR);
		unlinkat(s->dir, AWAY, AT_REMOVEDIR);
	}
	if (s->path[0])
		rmdir(s->path);
	fd_close(&s->dir);
}

int stage_junk(struct stage *s, size_t nr, struct err *err)
{
	char byte = 'x';

	for (size_t i = 0; i < nr; i++) {
		ssize_t done = s->junk_nr++ & 1 ? pread(s->junk_fd, &byte, 1, 0)
						: pwrite(s->junk_fd, &byte, 1, 0);

		if (done != 1)
			return err_sys(err, "inotify: use a file");
	}
	return 0;
}

int stage_unwatch(struct stage *s, struct err *err)
{
	for (size_t i = 0; i < s->nr_stands; i++)
		if (s->stands[i].alive && inotify_rm_watch(s->fd, s->stands[i].wd) < 0)
			return err_sys(err, "inotify: remove stand-in %d", s->stands[i].wd);
	if (s->junk_wd > 0 && inotify_rm_watch(s->fd, s->junk_wd) < 0)
		return err_sys(err, "inotify: remove watch %d", s->junk_wd);
	s->junk_wd = -1;
	return 0;
}

/* ---- stand-ins ------------------------------------------------------------------------------- */

static struct stand *stand_find(struct stage *s, int32_t wd)
{
	for (size_t i = s->nr_stands; i > 0; i--)
		if (s->stands[i - 1].wd == wd)
			return &s->stands[i - 1];
	return NULL;
}

/* What the events from here on, until the watch goes, say about the one that they happened to. */
static void stand_guess(
	struct stand *stand, const struct inotify_saved *events, size_t nr, size_t from)
{
	for (size_t i = from; i < nr; i++) {
		if (events[i].wd != stand->wd)
			continue;
		if (events[i].name || events[i].mask & IN_ISDIR)
			stand->is_dir = true;
		if (events[i].mask & IN_UNMOUNT)
			stand->unmounts = true;
		if (events[i].mask & IN_IGNORED)
			return;
	}
}

static int stand_create(struct stage *s, struct stand *stand, struct err *err)
{
	char name[PATH_LEN];

	stand->dir = stand->unmounts ? mount_own() : s->dir;
	if (stand->dir < 0)
		return err_sys(err, "inotify: mount a file system, for an event about that");
	stand_name(stand, name);
	if (object_make(stand->dir, name, stand->is_dir, err) < 0 ||
		stage_watch(s->fd, stand->dir, name, stand->wd, STAGE_QUIET, err) < 0)
		return -err->code;
	stand->alive = true;
	return 0;
}

static int stand_of(struct stage *s, const struct inotify_saved *events, size_t nr, size_t i,
	struct stand **out, struct err *err)
{
	struct stand *stand = stand_find(s, events[i].wd);

	if (!stand) {
		if (s->nr_stands == s->cap_stands) {
			size_t cap = s->cap_stands ? 2 * s->cap_stands : 16;
			void *more = reallocarray(s->stands, cap, sizeof *s->stands);

			if (!more)
				return err_nomem(err);
			s->stands = more;
			s->cap_stands = cap;
		}
		stand = &s->stands[s->nr_stands++];
		*stand = (struct stand){ .wd = events[i].wd, .dir = -1 };
	}
	*out = stand;
	if (stand->alive || (stand->ignored && events[i].mask & IN_IGNORED))
		return 0;
	stand->is_dir = stand->unmounts = stand->ignored = false;
	stand_guess(stand, events, nr, i);
	return stand_create(s, stand, err);
}

static int stand_arm(struct stage *s, const struct stand *stand, const char *name, uint32_t mask,
	struct err *err)
{
	char own[PATH_LEN];

	stand_name(stand, own);
	return stage_watch(s->fd, stand->dir, name ? name : own, 0, mask, err) < 0 ? -err->code : 0;
}

/* ---- what happens ---------------------------------------------------------------------------- */

/* One event being made: what it happens to, and an open descriptor of that where it takes one. */
struct scene {
	struct stage *s;
	struct stand *stand;
	uint32_t what;       /* its one bit */
	bool is_dir, child;  /* child: something in the watched directory */
	char path[PATH_LEN]; /* from stand->dir */
	int fd;
};

static int scene_open(struct scene *c)
{
	int how = c->what & (IN_MODIFY | IN_CLOSE_WRITE) ? O_WRONLY : O_RDONLY;

	c->fd = openat(c->stand->dir, c->path, how | O_NOFOLLOW | O_CLOEXEC);
	return c->fd;
}

static int scene_access(struct scene *c)
{
	char room[1024];

	return (int)(c->is_dir ? syscall(SYS_getdents64, c->fd, room, sizeof room)
			       : pread(c->fd, room, 1, 0));
}

static int scene_make(struct scene *c)
{
	return c->is_dir ? mkdirat(c->stand->dir, c->path, 0700)
			 : mknodat(c->stand->dir, c->path, S_IFREG | 0600, 0);
}

static int scene_act(struct scene *c)
{
	switch (c->what) {
	case IN_ACCESS:
		return scene_access(c);
	case IN_MODIFY:
		return (int)pwrite(c->fd, "x", 1, 0);
	case IN_ATTRIB:
		return fchmodat(c->stand->dir, c->path, 0700, 0);
	case IN_OPEN:
		return scene_open(c);
	case IN_CLOSE_WRITE:
	case IN_CLOSE_NOWRITE:
		fd_close(&c->fd);
		return 0;
	case IN_CREATE:
		return scene_make(c);
	case IN_DELETE:
	case IN_DELETE_SELF:
		return unlinkat(c->stand->dir, c->path, c->is_dir ? AT_REMOVEDIR : 0);
	case IN_MOVED_FROM:
	case IN_MOVE_SELF:
		return renameat(c->stand->dir, c->path, c->s->dir, AWAY "/moved");
	case IN_MOVED_TO:
		return renameat(c->s->dir, AWAY "/moved", c->stand->dir, c->path);
	default:
		errno = EINVAL;
		return -1;
	}
}

static int scene_before(struct scene *c, struct err *err)
{
	if (c->what == IN_MOVED_TO && object_make(c->s->dir, AWAY "/moved", c->is_dir, err) < 0)
		return -err->code;
	if (c->child && c->what != IN_CREATE && c->what != IN_MOVED_TO &&
		object_make(c->stand->dir, c->path, c->is_dir, err) < 0)
		return -err->code;
	if (c->what & (IN_ACCESS | IN_MODIFY | IN_CLOSE) && scene_open(c) < 0)
		return err_sys(err, "open");
	return 0;
}

static int scene_after(struct scene *c, struct err *err)
{
	int remove = c->is_dir ? AT_REMOVEDIR : 0, ret = 0;

	fd_close(&c->fd);
	if (c->what == IN_MOVE_SELF)
		ret = renameat(c->s->dir, AWAY "/moved", c->stand->dir, c->path);
	else if (c->what == IN_MOVED_FROM)
		ret = unlinkat(c->s->dir, AWAY "/moved", remove);
	else if (c->child && c->what != IN_DELETE)
		ret = unlinkat(c->stand->dir, c->path, remove);
	return ret < 0 ? err_sys(err, "clean up") : 0;
}

static struct scene scene_of(
	struct stage *s, struct stand *stand, const struct inotify_saved *event)
{
	struct scene c = { .s = s, .stand = stand, .fd = -1, .child = event->name != NULL };

	c.what = event->mask & IN_ALL_EVENTS;
	c.is_dir = event->name ? event->mask & IN_ISDIR : stand->is_dir;
	if (event->name)
		snprintf(c.path, sizeof c.path, "w%d/%s", stand->wd, event->name);
	else
		stand_name(stand, c.path);
	return c;
}

static int scene_play(struct scene *c, struct err *err)
{
	const char *there = c->what == IN_MOVE_SELF ? AWAY "/moved" : NULL;

	if (scene_before(c, err) < 0 || stand_arm(c->s, c->stand, NULL, c->what, err) < 0)
		return -err->code;
	if (scene_act(c) < 0) {
		err_sys(err, "act");
		fd_close(&c->fd);
		return -err->code;
	}
	if (c->what == IN_DELETE_SELF) {
		c->stand->alive = false;
		c->stand->ignored = true;
		return 0;
	}
	if (stand_arm(c->s, c->stand, there, STAGE_QUIET, err) < 0)
		return -err->code;
	return scene_after(c, err);
}

/* Both halves have one cookie, so they have to be one move. */
static int move_play(struct stage *s, struct stand *from, struct stand *to,
	const struct inotify_saved *a, const struct inotify_saved *b, struct err *err)
{
	struct scene old = scene_of(s, from, a), new = scene_of(s, to, b);
	uint32_t both = from == to ? (uint32_t)IN_MOVE : 0;

	if (object_make(from->dir, old.path, old.is_dir, err) < 0 ||
		stand_arm(s, from, NULL, both ? both : (uint32_t)IN_MOVED_FROM, err) < 0 ||
		(!both && stand_arm(s, to, NULL, IN_MOVED_TO, err) < 0))
		return -err->code;
	if (renameat(from->dir, old.path, to->dir, new.path) < 0)
		return err_sys(err, "rename");
	if (stand_arm(s, from, NULL, STAGE_QUIET, err) < 0 ||
		stand_arm(s, to, NULL, STAGE_QUIET, err) < 0)
		return -err->code;
	return unlinkat(to->dir, new.path, new.is_dir ? AT_REMOVEDIR : 0) < 0
		       ? err_sys(err, "clean up")
		       : 0;
}

static int gone_play(
	struct stage *s, struct stand *stand, const struct inotify_saved *event, struct err *err)
{
	if (event->mask & IN_UNMOUNT) {
		fd_close(&stand->dir); /* which unmounts it */
		stand->unmounts = stand->alive = false;
		stand->ignored = true;
	} else if (stand->ignored) {
		stand->ignored = false;
	} else {
		if (inotify_rm_watch(s->fd, stand->wd) < 0)
			return err_sys(err, "remove watch %d", stand->wd);
		stand_remove(stand);
	}
	return 0;
}

/* The other half of a move: [from, to) has it at *other, or not. */
static bool move_partner(const struct inotify_saved *events, size_t from, size_t to, size_t *other)
{
	bool first = events[from].mask & IN_MOVED_FROM;

	for (size_t i = from + 1; first && i < to; i++)
		if (events[i].mask & IN_MOVED_TO && events[i].cookie == events[from].cookie &&
			events[i].cookie) {
			*other = i;
			return true;
		}
	return false;
}

static bool is_second_half(const struct inotify_saved *events, size_t from, size_t i)
{
	for (size_t k = i; events[i].mask & IN_MOVED_TO && events[i].cookie && k > from; k--)
		if (events[k - 1].mask & IN_MOVED_FROM && events[k - 1].cookie == events[i].cookie)
			return true;
	return false;
}

static int event_play(struct stage *s, const struct inotify_saved *events, size_t nr, size_t i,
	size_t to, struct err *err)
{
	struct stand *stand, *target;
	struct scene scene;
	size_t other;

	if (stand_of(s, events, nr, i, &stand, err) < 0)
		return -err->code;
	if (events[i].mask & (IN_IGNORED | IN_UNMOUNT))
		return gone_play(s, stand, &events[i], err);
	if (move_partner(events, i, to, &other)) {
		/* Both may be new ones, and the table may move. */
		if (stand_of(s, events, nr, other, &target, err) < 0)
			return -err->code;
		stand = stand_find(s, events[i].wd);
		return move_play(s, stand, target, &events[i], &events[other], err);
	}
	scene = scene_of(s, stand, &events[i]);
	return scene_play(&scene, err);
}

int stage_play(struct stage *s, const struct inotify_saved *events, size_t nr, size_t from,
	size_t to, struct err *err)
{
	for (size_t i = from; i < to; i++)
		if (!is_second_half(events, from, i) && event_play(s, events, nr, i, to, err) < 0)
			return err_wrap(err, "inotify: make event %zu (0x%x of watch %d) again",
				i + 1, events[i].mask, events[i].wd);
	return 0;
}
