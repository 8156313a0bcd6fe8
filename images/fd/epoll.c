/*
 * epoll(7): what is looked at and how it is written down. fdinfo shows every item: the slot it was
 * added under, events, data, and the inode of its file. How sets are made again: epoll_make.c.
 *
 * The kernel ties an item to the file, not to the slot: when the slot was closed or reused, the
 * item lives on as long as the file is open anywhere. kcmp(2) tells which of our duplicates is the
 * file of an item.
 */
#include "images/fd/epoll.h"

#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

static bool epoll_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[eventpoll]");
}

/* ---- alive -> record: fdinfo ---------------------------------------------------------------- */

struct line {
	int num;
	uint32_t order; /* in fdinfo */
	uint32_t nth;   /* among those of the same slot: KCMP_EPOLL_TFD counts so */
	uint32_t events;
	uint64_t data, ino, dev;
};

struct lines {
	struct line *array;
	size_t nr, cap;
};

/* Behind "tfd:": "        8 events:       19 data: 1122334455667788  pos:0 ino:28ac sdev:f" */
static bool line_read(const char *text, struct line *line)
{
	struct text t = { text };
	uint64_t num, events, pos, dev;

	text_blanks(&t);
	if (!text_dec(&t, &num) || num > INT_MAX || !text_word_hex(&t, "events:", &events) ||
		!text_word_hex(&t, "data:", &line->data))
		return false;
	text_blanks(&t);
	if (!text_word(&t, "pos:") || !text_dec(&t, &pos) ||
		!text_word_hex(&t, "ino:", &line->ino) || !text_word_hex(&t, "sdev:", &dev))
		return false;
	line->dev = fd_kernel_dev(dev);
	line->num = (int)num;
	line->events = (uint32_t)events;
	return true;
}

static int line_compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->num != y->num)
		return x->num < y->num ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* All lines, sorted by slot. */
static int lines_read(const struct fd_seen *seen, struct lines *lines, struct err *err)
{
	const char *text = text_field(seen->fdinfo, "tfd");

	for (; text; text = text_field(strchr(text, '\n'), "tfd")) {
		struct line line = { .order = (uint32_t)lines->nr };

		if (!line_read(text, &line))
			return err_set(err, EPROTO, "epoll: cannot read \"%.*s\" in fdinfo",
				(int)strcspn(text, "\n"), text);
		lines->array = arena_grow(seen->dump->snap->arena, lines->array, lines->nr,
			&lines->cap, sizeof *lines->array);
		lines->array[lines->nr++] = line;
	}
	if (lines->nr)
		qsort(lines->array, lines->nr, sizeof *lines->array, line_compare);
	for (size_t i = 1; i < lines->nr; i++)
		if (lines->array[i].num == lines->array[i - 1].num)
			lines->array[i].nth = lines->array[i - 1].nth + 1;
	return 0;
}

/* ---- alive -> record: which file ------------------------------------------------------------ */

enum same { SAME, OTHER, UNKNOWN };

static enum same item_is(const struct fd_seen *seen, const struct line *line, uint32_t ofd)
{
	struct kcmp_epoll_slot slot = {
		.efd = (uint32_t)seen->fd,
		.tfd = (uint32_t)line->num,
		.toff = line->nth,
	};
	int fd = seen->dump->fd_of ? seen->dump->fd_of(seen->dump, ofd) : -1;
	pid_t self = getpid();
	long ret;

	if (fd < 0)
		return UNKNOWN;
	ret = syscall(SYS_kcmp, self, self, KCMP_EPOLL_TFD, fd, &slot);
	return ret < 0 ? UNKNOWN : ret == 0 ? SAME : OTHER;
}

/* Where kcmp(2) cannot tell: an inode of its own does; anonymous ones all have the same. */
static uint32_t ofd_by_inode(struct fd_dump *d, const struct line *line)
{
	uint32_t found = d->ofd_of_inode(d, line->dev, line->ino, ID_NONE);

	if (found == ID_NONE || !d->snap->ofds[found].label ||
		text_starts(d->snap->ofds[found].label, "anon_inode:"))
		return ID_NONE;
	return found;
}

static uint32_t ofd_elsewhere(const struct fd_seen *seen, const struct line *line)
{
	bool unknown = false;

	for (uint32_t i = 0; i < seen->dump->snap->nr_ofds; i++) {
		enum same same = item_is(seen, line, i);

		if (same == SAME)
			return i;
		unknown = unknown || same == UNKNOWN;
	}
	return unknown ? ofd_by_inode(seen->dump, line) : ID_NONE;
}

static int item_refused(const struct fd_seen *seen, const struct line *line, struct err *err)
{
	char name[256];

	err_set(err, ENOTSUP,
		"%s watches what was descriptor %d when it was added and is now open outside "
		"the dump only",
		fd_seen_name(seen, name, sizeof name), line->num);
	return err_hint(err,
		"let the program take descriptors out of its epoll sets (EPOLL_CTL_DEL) before "
		"it closes them");
}

static int item_save(const struct fd_seen *seen, const struct line *line, struct epoll_item *item,
	struct err *err)
{
	uint32_t ofd = seen->dump->ofd_of_slot(seen->dump, seen->pid, line->num);

	*item = (struct epoll_item){
		.num = line->num,
		.ofd = ofd,
		.events = line->events,
		.data = line->data,
	};
	if (ofd != ID_NONE && item_is(seen, line, ofd) != OTHER)
		return 0;
	item->moved = true;
	item->ofd = ofd_elsewhere(seen, line);
	return item->ofd == ID_NONE ? item_refused(seen, line, err) : 0;
}

static int epoll_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct epoll_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);

	(void)err;
	/* Before Linux 6.9 there are no such parameters. */
	if (ioctl(seen->fd, EPOLL_IOC_GET_PARAMS, &priv->busy) < 0)
		memset(&priv->busy, 0, sizeof priv->busy);
	ofd->priv = priv;
	return 0;
}

/* Items, when all ofds are known. */
static int epoll_save_link(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct epoll_priv *priv = ofd->priv;
	struct lines lines = { 0 };

	if (lines_read(seen, &lines, err) < 0)
		return -err->code;
	priv->items = arena_array(seen->dump->snap->arena, lines.nr, sizeof *priv->items);
	for (size_t i = 0; i < lines.nr; i++)
		if (item_save(seen, &lines.array[i], &priv->items[i], err) < 0)
			return -err->code;
	priv->nr_items = lines.nr;
	epoll_edges_find(seen, priv);
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static Pb__EpollItem **items_pack(const struct snap *snap, const struct epoll_priv *priv)
{
	Pb__EpollItem **out = arena_array(snap->arena, priv->nr_items, sizeof *out);
	Pb__EpollItem *items = arena_array(snap->arena, priv->nr_items, sizeof *items);

	for (size_t i = 0; i < priv->nr_items; i++) {
		const struct epoll_item *from = &priv->items[i];
		Pb__EpollItem *m = out[i] = &items[i];

		pb__epoll_item__init(m);
		m->has_num = m->has_ofd = m->has_events = m->has_data = true;
		m->num = (uint32_t)from->num;
		m->ofd = from->ofd;
		m->events = from->events;
		m->data = from->data;
		m->has_moved = m->moved = from->moved;
		m->has_reported = m->reported = from->reported;
	}
	return out;
}

static int epoll_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct epoll_priv *priv = ofd->priv;
	Pb__EpollFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__epoll_fd__init(m);
	m->n_items = priv->nr_items;
	m->items = items_pack(snap, priv);
	m->has_busy_poll_usecs = (m->busy_poll_usecs = priv->busy.usecs) != 0;
	m->has_busy_poll_budget = (m->busy_poll_budget = priv->busy.budget) != 0;
	m->has_prefer_busy_poll = m->prefer_busy_poll = priv->busy.prefer != 0;
	msg->epoll = m;
	return 0;
}

static int item_unpack(const struct snap *snap, const struct snap_ofd *ofd, const Pb__EpollItem *m,
	struct epoll_item *item, struct err *err)
{
	if (!m->has_num || !m->has_ofd || m->num > INT_MAX)
		return err_set(err, EBADMSG, "epoll: an item without slot or descriptor");
	if (message_id_check(m->ofd, snap->nr_ofds, "epoll: descriptor", err) < 0)
		return -err->code;
	if (m->ofd == ofd->id)
		return err_set(err, EBADMSG, "epoll: a set that watches itself");
	*item = (struct epoll_item){
		.num = (int32_t)m->num,
		.ofd = m->ofd,
		.events = m->events,
		.data = m->data,
		.moved = m->moved,
		.reported = m->reported,
	};
	if (m->reported && (!(m->events & EPOLLET) || m->events & EPOLLONESHOT))
		return err_set(err, EBADMSG, "epoll: a reported edge of what reports none");
	return 0;
}

static int epoll_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	const Pb__EpollFd *m = msg->epoll;
	struct epoll_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!m)
		return message_missing("epoll", err);
	if (m->busy_poll_budget > UINT16_MAX)
		return err_set(err, EBADMSG, "epoll: a budget of %u", m->busy_poll_budget);
	priv->busy.usecs = m->busy_poll_usecs;
	priv->busy.budget = (uint16_t)m->busy_poll_budget;
	priv->busy.prefer = m->prefer_busy_poll;
	priv->nr_items = m->n_items;
	priv->items = arena_array(snap->arena, m->n_items, sizeof *priv->items);
	for (size_t i = 0; i < m->n_items; i++)
		if (item_unpack(snap, ofd, m->items[i], &priv->items[i], err) < 0)
			return -err->code;
	ofd->priv = priv;
	return 0;
}

static char *epoll_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct epoll_priv *priv = ofd->priv;
	char *text = arena_strdup(arena, priv->nr_items ? "watches" : "watches nothing");
	size_t shown = priv->nr_items < 16 ? priv->nr_items : 16;

	(void)snap;
	for (size_t i = 0; i < shown; i++)
		text = arena_printf(arena, "%s%s %d%s", text, i ? "," : "", priv->items[i].num,
			priv->items[i].moved ? " (closed)" : "");
	if (shown < priv->nr_items)
		text = arena_printf(arena, "%s and %zu more", text, priv->nr_items - shown);
	return text;
}

const struct fd_kind fd_epoll = {
	.name = "epoll",
	.is = epoll_is,
	.save = epoll_save,
	.save_link = epoll_save_link,
	.pack = epoll_pack,
	.unpack = epoll_unpack,
	.make = epoll_make,
	.make_link = epoll_make_link,
	.finish = epoll_finish,
	.finish_needed = epoll_finish_needed,
	.describe = epoll_describe,
};
