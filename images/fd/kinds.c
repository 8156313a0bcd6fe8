/* The table of descriptor kinds; see kind.h. */
#include "images/fd/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/refused.h"

/* asm-generic/socket.h since Linux 5.14: SO_NETNS_COOKIE. */
enum { NETNS_COOKIE = 71 };

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

/* 0: a kernel before Linux 5.14, which does not tell. */
static uint64_t netns_cookie(int fd)
{
	uint64_t cookie = 0;

	return getsockopt(fd, SOL_SOCKET, NETNS_COOKIE, &cookie, &(socklen_t){ sizeof cookie }) < 0
		       ? 0
		       : cookie;
}

/* Made in another network namespace than ours, as which the target's counts (check_process.c). */
static bool is_elsewhere(const struct fd_seen *seen)
{
	OWNED_FD own = -1;
	uint64_t theirs = S_ISSOCK(seen->st.st_mode) ? netns_cookie(seen->fd) : 0;

	if (!theirs)
		return false;
	own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return own >= 0 && netns_cookie(own) != theirs;
}

const struct fd_kind *fd_kind_of(const struct fd_seen *seen, struct err *err)
{
	if (names_the_nameless(seen)) {
		fd_refused(seen, err);
		return NULL;
	}
	if (is_elsewhere(seen)) {
		err_set(err, ENOTSUP, "descriptor %d (%s) is a socket of another network namespace",
			seen->num, seen->link);
		err_hint(err, "let the program close it before the dump, or give its place to "
			      "another one with --external");
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
