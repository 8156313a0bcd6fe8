/* The table of descriptor kinds; see kind.h. */
#include "images/fd/kinds.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "images/fd/refused.h"

/* First match wins: memfd before reg, since a memfd is a regular file too. */
static const struct fd_kind *const kinds[] = {
	&fd_memfd,
	&fd_reg,
	&fd_pty,
	&fd_chardev,
	&fd_pipe,
	&fd_eventfd,
	&fd_timerfd,
	&fd_signalfd,
	&fd_epoll,
	&fd_pidfd,
	&fd_inotify,
	&fd_mqueue,
	&fd_fanotify,
	&fd_unix,
	&fd_packet,
	&fd_inet,
	&fd_netlink,
	&fd_ns,
	&fd_io_uring,
	NULL,
};

const struct fd_kind *const *fd_kinds(void)
{
	return kinds;
}

const struct fd_kind *fd_kind_by_name(const char *name)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

void fd_seen_note(struct fd_seen *seen)
{
	if (fd_inotify.is(seen) && ioctl(seen->fd, FIONREAD, &seen->queued) < 0)
		seen->queued = 0;
}

/*
 * O_PATH of something that only /proc/PID/fd leads to (a pipe, an eventfd): no kind can make that.
 * Namespaces have /proc/PID/ns.
 */
static bool names_the_nameless(const struct fd_seen *seen)
{
	return seen->link[0] != '/' && fcntl(seen->fd, F_GETFL) & O_PATH && !fd_ns.is(seen);
}

const struct fd_kind *fd_kind_of(const struct fd_seen *seen, struct err *err)
{
	if (names_the_nameless(seen)) {
		fd_refused(seen, err);
		return NULL;
	}
	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->is(seen))
			return kinds[i];
	fd_refused(seen, err);
	return NULL;
}

const char *fd_seen_name(const struct fd_seen *seen, char *buf, size_t len)
{
	snprintf(buf, len, "descriptor %d (%s)", seen->num, seen->link);
	return buf;
}
