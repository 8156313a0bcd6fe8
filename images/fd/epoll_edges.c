/*
 * Edges of edge-triggered items that epoll_wait(2) has reported already: added anew, such an item
 * would be reported once more. Nothing shows which items of a set are due; but poll(2) of the set
 * tells, and takes none away, that none is. Then what is ready has been reported.
 *
 * Looked for where nobody outside of the dump can make a new edge between the making of a file and
 * the adding of its item, which would be lost; and where to poll is not to read, as it is with
 * files of /proc.
 */
#include "images/fd/epoll.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/text.h"
#include "images/fd/kinds.h"

static bool is_nameless(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa, int_len = sizeof(int);
	int listens = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) == 0 && !listens &&
	       getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && len == sizeof sa.ss_family;
}

/* Nobody outside can come near it. */
static bool is_inside(const struct snap_ofd *target, int fd)
{
	if (target->inherited >= 0 || !target->label)
		return false;
	return target->kind == &fd_eventfd ||
	       (target->kind == &fd_pipe && text_starts(target->label, "pipe:[")) ||
	       (target->kind == &fd_unix && is_nameless(fd));
}

static bool is_ready(struct fd_dump *d, const struct epoll_item *item)
{
	int fd = d->fd_of ? d->fd_of(d, item->ofd) : -1;
	struct pollfd p = { .fd = fd, .events = (short)(item->events & ~EPOLL_HOW_BITS) };

	return fd >= 0 && item->events & EPOLLET && !(item->events & EPOLLONESHOT) &&
	       is_inside(&d->snap->ofds[item->ofd], fd) && poll(&p, 1, 0) > 0;
}

/* To poll the set is to poll what it watches. */
static bool may_poll(const struct snap *snap, const struct epoll_priv *priv)
{
	for (size_t i = 0; i < priv->nr_items; i++) {
		const struct fd_kind *kind = snap->ofds[priv->items[i].ofd].kind;

		if (kind == &fd_epoll || kind == &fd_reg)
			return false;
	}
	return true;
}

void epoll_edges_find(const struct fd_seen *seen, struct epoll_priv *priv)
{
	struct pollfd set = { .fd = seen->fd, .events = POLLIN };
	bool some = false;

	for (size_t i = 0; i < priv->nr_items; i++) {
		priv->items[i].reported = is_ready(seen->dump, &priv->items[i]);
		some = some || priv->items[i].reported;
	}
	if (!some || (may_poll(seen->dump->snap, priv) && poll(&set, 1, 0) == 0))
		return;
	for (size_t i = 0; i < priv->nr_items; i++)
		priv->items[i].reported = false;
}
