/*
 * epoll sets made again. Items are added when all descriptors stand in their slots; for one whose
 * slot was closed or reused the right file is put there for a moment.
 *
 * What is ready is found out anew by the kernel; an edge that was reported already is taken again
 * where that is known (epoll_edges.c). Elsewhere it may be reported once more, which edge-triggered
 * programs have to expect anyway (epoll(7), "Questions and answers").
 */
#include "images/fd/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kinds.h"
#include "images/fd/pidfd.h"

int epoll_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct epoll_priv *priv = ofd->priv;
	OWNED_FD fresh = epoll_create1(EPOLL_CLOEXEC);

	(void)m;
	if (fresh < 0)
		return err_sys(err, "epoll_create");
	if ((priv->busy.usecs || priv->busy.budget || priv->busy.prefer) &&
		ioctl(fresh, EPOLL_IOC_SET_PARAMS, &priv->busy) < 0)
		return err_sys(err, "epoll: set the parameters of busy polling");
	*fd = take_fd(&fresh);
	return 0;
}

/* ---- one item ------------------------------------------------------------------------------- */

static int item_add_here(const struct snap *snap, int epfd, const struct epoll_item *item,
	uint32_t events, struct err *err)
{
	struct epoll_event event = { .events = events, .data.u64 = item->data };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, item->num, &event) == 0)
		return 0;
	err_sys(err, "epoll: watch descriptor %d", item->num);
	if (err->code == EPERM && snap->ofds[item->ofd].inherited >= 0)
		err_hint(err,
			"the program waits for input on descriptor %d of the caller, which regular "
			"files "
			"and /dev/null cannot do: give it a pipe or a terminal",
			snap->ofds[item->ofd].inherited);
	return -err->code;
}

/* What stands in the slot is moved aside, and put back with its flag. */
static int item_add_moved(const struct snap *snap, int epfd, const struct epoll_item *item,
	uint32_t events, int file, struct err *err)
{
	int cloexec = fcntl(item->num, F_GETFD), ret;
	OWNED_FD aside = -1;

	if (cloexec >= 0) {
		aside = fcntl(item->num, F_DUPFD_CLOEXEC, item->num + 1);
		if (aside < 0)
			return err_sys(err, "epoll: move descriptor %d aside", item->num);
	}
	if (dup3(file, item->num, O_CLOEXEC) < 0)
		return err_sys(err, "epoll: put a file into slot %d", item->num);
	ret = item_add_here(snap, epfd, item, events, err);
	/* The item stays: it goes when the last descriptor of the file is closed, not this one. */
	if (aside < 0)
		close(item->num);
	else if (dup3(aside, item->num, cloexec & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 && !ret)
		ret = err_sys(err, "epoll: put descriptor %d back", item->num);
	return ret;
}

/* All sets are made in the first process: another one's slot, or a slot that was closed or reused
 * since, does not hold the file here. */
static bool stands_in_slot(const struct snap *snap, const struct epoll_item *item)
{
	const struct snap_proc *first = &snap->procs[0];

	for (size_t i = 0; i < first->nr_fds; i++)
		if (first->fds[i].num == (uint32_t)item->num)
			return first->fds[i].ofd == item->ofd;
	return false;
}

static int item_add(const struct fd_make *m, int epfd, const struct epoll_item *item,
	uint32_t events, struct err *err)
{
	int file = m->made[item->ofd];

	if (file < 0)
		return err_set(err, EBADF, "epoll: what descriptor %d was is not open", item->num);
	/* The file may stand in that very slot, if it was opened there again. */
	if (!stands_in_slot(m->snap, item) && file != item->num)
		return item_add_moved(m->snap, epfd, item, events, file, err);
	return item_add_here(m->snap, epfd, item, events, err);
}

/* ---- one-shot items that were delivered ----------------------------------------------------- */

static bool is_spent(const struct epoll_item *item)
{
	return item->events & EPOLLONESHOT && !(item->events & ~EPOLL_HOW_BITS);
}

static bool is_ready(int fd)
{
	struct pollfd p = { .fd = fd,
		.events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLWRBAND };

	return poll(&p, 1, 0) > 0;
}

/* An empty pipe would never be ready: lend it a byte. *lent: it has to be taken back. */
static int pipe_lend(const struct snap_ofd *target, int file, bool *lent, struct err *err)
{
	OWNED_FD end = -1;

	if (target->kind != &fd_pipe || target->inherited >= 0 || !target->label ||
		!text_starts(target->label, "pipe:["))
		return 0;
	if (ofd_reopen(file, O_WRONLY | O_NONBLOCK, &end, err) < 0)
		return -err->code;
	if (write(end, "", 1) != 1)
		return err_sys(err, "write to a pipe");
	*lent = true;
	return 0;
}

static int pipe_take_back(int file, struct err *err)
{
	OWNED_FD end = -1;
	char byte;

	if (ofd_reopen(file, O_RDONLY | O_NONBLOCK, &end, err) < 0)
		return -err->code;
	return read(end, &byte, 1) == 1 ? 0 : err_sys(err, "read from a pipe");
}

/*
 * The kernel switches a one-shot item off when it delivers it, and there is no other way: add it
 * for all events and take what comes. This is done before other items are there, which would come
 * too.
 *
 * What is ready for nothing (a listening socket, a timer) keeps EPOLLERR and EPOLLHUP, which the
 * kernel adds to every item: fdinfo shows them, and those files never report them.
 */
static int item_add_spent(
	const struct fd_make *m, int epfd, const struct epoll_item *item, struct err *err)
{
	uint32_t all = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLWRBAND;
	struct epoll_event taken;
	int file = m->made[item->ofd];
	bool ready, lent = false;

	ready = file >= 0 && is_ready(file);
	if (file >= 0 && !ready && pipe_lend(&m->snap->ofds[item->ofd], file, &lent, err) < 0)
		return -err->code;
	ready = ready || lent;
	if (item_add(m, epfd, item, item->events | (ready ? all : 0), err) < 0)
		return -err->code;
	if (!ready)
		log_info("epoll: descriptor %d was delivered and stays off but for errors",
			item->num);
	else if (epoll_wait(epfd, &taken, 1, 0) < 0)
		return err_sys(err, "epoll_wait");
	return lent ? pipe_take_back(file, err) : 0;
}

/* An edge that was reported: also before other items are there. */
static int item_add_reported(
	const struct fd_make *m, int epfd, const struct epoll_item *item, struct err *err)
{
	struct epoll_event taken;

	if (item_add(m, epfd, item, item->events, err) < 0)
		return -err->code;
	return epoll_wait(epfd, &taken, 1, 0) < 0 ? err_sys(err, "epoll_wait") : 0;
}

/* What it watches is another file until all processes are there. */
static bool is_later(const struct snap *snap, const struct epoll_item *item)
{
	uint32_t flags;

	return pidfd_later(snap, &snap->ofds[item->ofd], &flags) != 0;
}

static bool has_moved(const struct snap *snap, const struct epoll_priv *priv)
{
	for (size_t i = 0; i < priv->nr_items; i++)
		if (!stands_in_slot(snap, &priv->items[i]))
			return true;
	return false;
}

/* Those that have to be alone in the set for a moment first. */
static int items_add(const struct fd_make *m, const struct epoll_priv *priv, int set, bool alone,
	struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < priv->nr_items; i++) {
		const struct epoll_item *item = &priv->items[i];
		bool spent = is_spent(item);

		if ((spent || item->reported) != alone || is_later(m->snap, item))
			continue;
		ret = spent            ? item_add_spent(m, set, item, err)
		      : item->reported ? item_add_reported(m, set, item, err)
				       : item_add(m, set, item, item->events, err);
	}
	return ret;
}

int epoll_make_link(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct epoll_priv *priv = ofd->priv;
	OWNED_FD above = -1;
	int set = fd;

	/* Above all items, one of which may be put where the set itself stands. */
	if (has_moved(m->snap, priv)) {
		set = above = fcntl(fd, F_DUPFD_CLOEXEC, priv->items[priv->nr_items - 1].num + 1);
		if (above < 0)
			return err_sys(err, "epoll: duplicate descriptor %d", fd);
	}
	if (items_add(m, priv, set, true, err) < 0)
		return -err->code;
	return items_add(m, priv, set, false, err);
}

/* Here no slot is the program's, so each file is put into the right one for a moment. */
static int item_add_later(
	const struct fd_make *m, int fd, const struct epoll_item *item, struct err *err)
{
	OWNED_FD set = fcntl(fd, F_DUPFD_CLOEXEC, item->num + 1);
	int file = m->made[item->ofd];

	if (set < 0)
		return err_sys(err, "epoll: duplicate descriptor %d", fd);
	if (file < 0)
		return err_set(err, EBADF, "epoll: what descriptor %d was is not open", item->num);
	if (file == item->num)
		return item_add_here(m->snap, set, item, item->events, err);
	return item_add_moved(m->snap, set, item, item->events, file, err);
}

bool epoll_finish_needed(const struct snap *snap, const struct snap_ofd *ofd)
{
	const struct epoll_priv *priv = ofd->priv;

	for (size_t i = 0; i < priv->nr_items; i++)
		if (is_later(snap, &priv->items[i]))
			return true;
	return false;
}

int epoll_finish(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err)
{
	const struct epoll_priv *priv = ofd->priv;

	for (size_t i = 0; i < priv->nr_items; i++)
		if (is_later(m->snap, &priv->items[i]) &&
			item_add_later(m, fd, &priv->items[i], err) < 0)
			return -err->code;
	return 0;
}
