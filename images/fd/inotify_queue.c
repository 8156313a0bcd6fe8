/* Events of inotify(7) that nobody has read; see inotify_queue.h. */
#include "images/fd/inotify_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inotify_stage.h"

enum {
	EVENT_LEN = sizeof(struct inotify_event),
	FILL_STEP = 4096,
	FILL_MOST = 8 * 1024 * 1024, /* of fs.inotify.max_queued_events */
	SAVE_TRIES = 8,
};

bool inotify_saved_valid(const struct inotify_saved *event)
{
	uint32_t what = event->mask & ~(uint32_t)IN_ISDIR;
	bool named = what & (IN_MOVE | IN_CREATE | IN_DELETE);
	const char *name = event->name;

	if (event->mask == IN_Q_OVERFLOW)
		return event->wd == -1 && !name;
	if (event->wd < 1 || !what || what & (what - 1) ||
		what & ~(uint32_t)(IN_ALL_EVENTS | IN_UNMOUNT | IN_IGNORED))
		return false;
	if (!name)
		return !named;
	return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..") &&
	       !(what & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED));
}

/* ---- reading --------------------------------------------------------------------------------- */

static int queued_len(int fd, size_t *len, struct err *err)
{
	int queued = 0;

	if (ioctl(fd, FIONREAD, &queued) < 0)
		return err_sys(err, "inotify: FIONREAD");
	*len = (size_t)queued;
	return 0;
}

int inotify_drain(int fd, struct err *err)
{
	char events[16 * 1024];
	int queued = 0;

	while (ioctl(fd, FIONREAD, &queued) == 0 && queued > 0)
		if (read(fd, events, sizeof events) < 0)
			return err_sys(err, "inotify: read");
	return 0;
}

static bool same_event(const struct inotify_saved *a, const struct inotify_saved *b)
{
	return a->wd == b->wd && a->mask == b->mask && !a->name == !b->name &&
	       (!a->name || !strcmp(a->name, b->name));
}

/* As the kernel does it: twice the same in a row is one (event_compare() in inotify_fsnotify.c). */
static void event_append(
	struct arena *arena, struct inotify_queue *q, const struct inotify_saved *event)
{
	if (q->nr && !(event->mask & IN_IGNORED) && same_event(&q->events[q->nr - 1], event))
		return;
	q->events = arena_grow(arena, q->events, q->nr, &q->cap, sizeof *q->events);
	q->events[q->nr++] = *event;
}

static int events_take(int fd, struct arena *arena, struct inotify_queue *q, struct err *err)
{
	char buf[64 * 1024] __attribute__((aligned(8)));
	size_t left;

	while (queued_len(fd, &left, err) == 0 && left > 0) {
		ssize_t len = read(fd, buf, sizeof buf);

		if (len < 0)
			return err_sys(err, "inotify: read");
		for (ssize_t at = 0; at < len;) {
			const struct inotify_event *e = (const void *)(buf + at);
			struct inotify_saved event = { .wd = e->wd,
				.mask = e->mask,
				.cookie = e->cookie,
				.name = e->len ? arena_strdup(arena, e->name) : NULL };

			event_append(arena, q, &event);
			at += (ssize_t)(sizeof *e + e->len);
		}
	}
	return 0;
}

/* What FIONREAD will say: names are padded (round_event_name_len() in inotify_user.c). */
static size_t event_len(const struct inotify_saved *event)
{
	size_t padded = event->name ? (strlen(event->name) / EVENT_LEN + 1) * EVENT_LEN : 0;

	return EVENT_LEN + padded;
}

static size_t events_len(const struct inotify_queue *q)
{
	size_t len = 0;

	for (size_t i = 0; i < q->nr; i++)
		len += event_len(&q->events[i]);
	return len;
}

/* Nobody can tell our reading from that of others. Nothing else is ours. */
static void forget_reading(struct inotify_queue *q, size_t own)
{
	const uint32_t reading = IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE;
	size_t len = 0, kept = 0;

	for (size_t i = 0; i < q->nr; i++) {
		len += event_len(&q->events[i]);
		if (len > own && q->events[i].mask & reading)
			continue;
		/* Without what was between them, two may be one. */
		if (!kept || q->events[i].mask & IN_IGNORED ||
			!same_event(&q->events[kept - 1], &q->events[i]))
			q->events[kept++] = q->events[i];
	}
	q->nr = kept;
}

/* ---- the program's watches ------------------------------------------------------------------- */

int inotify_real_set(int fd, const struct inotify_real *real, uint32_t mask, struct err *err)
{
	int wd = inotify_add_watch(
		fd, real->path, mask | (real->follow ? 0 : (uint32_t)IN_DONT_FOLLOW));

	if (wd < 0) {
		int ret = err_sys(err, "inotify: watch %s", real->path);

		if (ret == -ENOSPC)
			err_hint(err, INOTIFY_NO_WATCHES);
		return ret;
	}
	if (wd != real->wd)
		return err_set(err, EEXIST, "inotify: watch of %s became %d, not %d", real->path,
			wd, real->wd);
	return 0;
}

static int reals_quiet(int fd, const struct inotify_real *reals, size_t nr, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++)
		ret = inotify_real_set(fd, &reals[i], STAGE_QUIET, err);
	return ret;
}

/* As they were; removed: also those that are not there just now. */
static int reals_loud(
	int fd, const struct inotify_real *reals, size_t nr, bool removed, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++) {
		if (removed && ioctl(fd, INOTIFY_SET_NEXT_WD, reals[i].wd) < 0)
			return err_sys(err, "INOTIFY_IOC_SETNEXTWD");
		ret = inotify_real_set(fd, &reals[i], reals[i].mask, err);
	}
	return ret;
}

static int compare_wd(const void *a, const void *b)
{
	const struct inotify_real *x = a, *y = b;

	return x->wd < y->wd ? -1 : x->wd > y->wd;
}

/* Those that others stand for meanwhile; reals ascend. */
static int reals_remove(int fd, const struct inotify_real *reals, size_t nr,
	const struct inotify_queue *q, struct err *err)
{
	for (size_t i = 0; i < q->nr; i++) {
		struct inotify_real key = { .wd = q->events[i].wd };

		/* EINVAL: it has been removed already. */
		if (nr && bsearch(&key, reals, nr, sizeof *reals, compare_wd) &&
			inotify_rm_watch(fd, key.wd) < 0 && errno != EINVAL)
			return err_sys(err, "inotify: remove watch %d", key.wd);
	}
	return 0;
}

/* ---- putting --------------------------------------------------------------------------------- */

static int32_t highest_wd(
	const struct inotify_real *reals, size_t nr, const struct inotify_queue *q)
{
	int32_t most = nr ? reals[nr - 1].wd : 0;

	for (size_t i = 0; i < q->nr; i++)
		if (q->events[i].wd > most)
			most = q->events[i].wd;
	return most;
}

/* Watches the junk: at first without a wish, which tells the number that would be next. */
static int junk_watch(struct stage *s, int32_t highest, struct inotify_queue *q, struct err *err)
{
	int wd = stage_watch(s->fd, s->dir, "junk", 0, IN_ACCESS | IN_MODIFY, err);

	if (wd < 0)
		return wd;
	if (q->next_wd <= 0)
		q->next_wd = wd;
	if (inotify_rm_watch(s->fd, wd) < 0)
		return err_sys(err, "inotify: remove watch %d", wd);
	wd = stage_watch(s->fd, s->dir, "junk", highest < INT_MAX ? highest + 1 : 0,
		IN_ACCESS | IN_MODIFY, err);
	s->junk_wd = wd;
	return wd < 0 ? wd : 0;
}

/* Until the queue is full and its overflow is at its end. *most: how many fit without that. */
static int fill(struct stage *s, size_t *most, struct err *err)
{
	size_t done = 0, len = 0;

	do {
		if (stage_junk(s, FILL_STEP, err) < 0 || queued_len(s->fd, &len, err) < 0)
			return -err->code;
		done += FILL_STEP;
		if (done > FILL_MOST)
			return err_set(err, ENOTSUP, "inotify: its queue never gets full");
	} while (len / EVENT_LEN >= done);
	*most = len / EVENT_LEN - 1;
	return 0;
}

/* Exactly nr events without names. */
static int read_away(int fd, size_t nr, struct err *err)
{
	char buf[64 * 1024];
	size_t left = nr * EVENT_LEN;

	while (left) {
		ssize_t len = read(fd, buf, left < sizeof buf ? left : sizeof buf);

		if (len <= 0)
			return err_sys(err, "inotify: read");
		left -= (size_t)len;
	}
	return 0;
}

static int queue_too_long(const struct inotify_queue *q, size_t most, struct err *err)
{
	err_set(err, ENOTSUP, "inotify: %zu events wait to be read, and %zu are the most there",
		q->nr, most);
	return err_hint(err, "raise fs.inotify.max_queued_events (sysctl)");
}

/* The queue in full: junk, the overflow, and all events, in that order or as recorded. */
static int play_all(struct stage *s, const struct inotify_queue *q, size_t *head, struct err *err)
{
	size_t overflow = 0, most = 0, junk;
	bool recorded;

	while (overflow < q->nr && q->events[overflow].mask != IN_Q_OVERFLOW)
		overflow++;
	recorded = overflow < q->nr;
	if (fill(s, &most, err) < 0)
		return -err->code;
	if (q->nr > most + recorded - !recorded)
		return queue_too_long(q, most, err);
	junk = most;
	if (recorded) {
		junk -= overflow;
		if (inotify_drain(s->fd, err) < 0 || stage_junk(s, junk, err) < 0 ||
			stage_play(s, q->events, q->nr, 0, overflow, err) < 0 ||
			stage_junk(s, 1, err) < 0) /* one too many */
			return -err->code;
	}
	/* Room for the rest, and for no more. The overflow has a place, too. */
	*head = q->nr + !recorded < most ? most - q->nr - !recorded : 0;
	if (read_away(s->fd, junk - *head, err) < 0 ||
		stage_play(s, q->events, q->nr, recorded ? overflow + 1 : 0, q->nr, err) < 0)
		return -err->code;
	*head += !recorded;
	return 0;
}

static int put_staged(struct stage *s, const struct inotify_real *reals, size_t nr,
	struct inotify_queue *q, struct err *err)
{
	size_t head = 0, len = 0;

	if (junk_watch(s, highest_wd(reals, nr, q), q, err) < 0 ||
		reals_remove(s->fd, reals, nr, q, err) < 0 || inotify_drain(s->fd, err) < 0 ||
		play_all(s, q, &head, err) < 0 || stage_unwatch(s, err) < 0 ||
		read_away(s->fd, head, err) < 0 || queued_len(s->fd, &len, err) < 0)
		return -err->code;
	if (len != events_len(q))
		return err_set(err, ENOTSUP,
			"inotify: %zu bytes of events became %zu when they were made again",
			events_len(q), len);
	return 0;
}

int inotify_queue_put(int fd, const struct inotify_real *reals, size_t nr,
	struct inotify_queue *queue, struct err *err)
{
	int flags = fcntl(fd, F_GETFL), ret, loud;
	struct stage stage;

	/* Nobody gets signals for what happens here. */
	if (flags < 0 || (flags & O_ASYNC && fcntl(fd, F_SETFL, flags & ~O_ASYNC) < 0))
		return err_sys(err, "inotify: flags");
	ret = stage_init(&stage, fd, err);
	if (!ret)
		ret = put_staged(&stage, reals, nr, queue, err);
	stage_finish(&stage);
	/* Also where it failed: then its overflow is there, and says that events were lost. */
	loud = reals_loud(fd, reals, nr, true, ret < 0 ? NULL : err);
	if (!loud && ioctl(fd, INOTIFY_SET_NEXT_WD, queue->next_wd) < 0)
		loud = err_sys(ret < 0 ? NULL : err, "INOTIFY_IOC_SETNEXTWD");
	if (flags & O_ASYNC && fcntl(fd, F_SETFL, flags) < 0 && !ret && !loud)
		return err_sys(err, "inotify: flags");
	return ret < 0 ? ret : loud;
}

/* ---- a live one ------------------------------------------------------------------------------ */

/* Another inotify, that sees what happens while the program's does not. */
struct guard {
	int fd;
	const struct inotify_real *reals;
};

/* Where the user has no watches left the queue could not be put back either: nothing of it is
 * taken then. */
static int guard_open(struct guard *g, const struct inotify_real *reals, size_t nr, struct err *err)
{
	const uint32_t once = (uint32_t)IN_ONESHOT;
	int ret = 0;

	g->reals = reals;
	g->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* No instances left: then without. */
	for (size_t i = 0; g->fd >= 0 && !ret && i < nr; i++) {
		struct inotify_real own = reals[i];

		own.wd = (int32_t)i + 1;
		ret = inotify_real_set(g->fd, &own, own.mask & ~once, err);
	}
	if (ret < 0)
		fd_close(&g->fd);
	return ret;
}

/* Appends what it has seen but for the first `known`. Returns how many, or an error. */
static int guard_take(struct guard *g, struct arena *arena, struct inotify_queue *q,
	const struct inotify_queue *taken, struct err *err)
{
	struct inotify_queue seen = { 0 };
	size_t known = 0;

	if (g->fd < 0)
		return 0;
	if (events_take(g->fd, arena, &seen, err) < 0)
		return -err->code;
	for (size_t i = 0; i < seen.nr; i++)
		if (seen.events[i].wd > 0)
			seen.events[i].wd = g->reals[seen.events[i].wd - 1].wd;
	/* Both saw what came between the guard and the silence: the end of one, the begin of the
	 * other. */
	for (size_t n = seen.nr; taken && n && !known; n--) {
		size_t same = 0;

		while (n <= taken->nr && same < n &&
			same_event(&seen.events[same], &taken->events[taken->nr - n + same]))
			same++;
		known = same == n ? n : 0;
	}
	for (size_t i = known; i < seen.nr; i++)
		event_append(arena, q, &seen.events[i]);
	return (int)(seen.nr - known);
}

/* Put back until nothing has been missed. */
static int put_back(int fd, const struct inotify_real *reals, size_t nr, struct guard *guard,
	struct arena *arena, struct inotify_queue *queue, struct err *err)
{
	for (int i = 0; i < SAVE_TRIES; i++) {
		int missed;

		if (inotify_queue_put(fd, reals, nr, queue, err) < 0)
			return -err->code;
		missed = guard_take(guard, arena, queue, NULL, err);
		if (missed <= 0)
			return missed;
		if (reals_quiet(fd, reals, nr, err) < 0)
			return -err->code;
	}
	return err_set(err, EBUSY, "inotify: its files never come to rest");
}

int inotify_queue_save(int fd, size_t own, const struct inotify_real *reals, size_t nr,
	struct arena *arena, struct inotify_queue *queue, struct err *err)
{
	struct guard guard;
	int ret = guard_open(&guard, reals, nr, err);

	if (ret < 0)
		return ret;
	ret = reals_quiet(fd, reals, nr, err);
	if (!ret)
		ret = events_take(fd, arena, queue, err);
	if (!ret && guard_take(&guard, arena, queue, queue, err) < 0)
		ret = -err->code;
	if (!ret)
		forget_reading(queue, own);
	if (!ret)
		ret = queue->nr ? put_back(fd, reals, nr, &guard, arena, queue, err)
				: reals_loud(fd, reals, nr, false, err);
	fd_close(&guard.fd);
	return ret;
}
