/*
 * Urgent bytes of unix streams (MSG_OOB, Linux 5.15): a mark at which reading stops, and which
 * stays when the byte itself was read.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/err.h"
#include "images/fd/unix.h"

enum { X_SO_PASSPIDFD = 76 }; /* include/uapi/asm-generic/socket.h */

/* Looks stop where the sender changes, if the reader wants to know who that is. */
static int reader_asks(int fd, int name, int *was, int now)
{
	socklen_t len = sizeof *was;

	if (was && getsockopt(fd, SOL_SOCKET, name, was, &len) < 0)
		return errno == ENOPROTOOPT ? 0 : -1;
	return setsockopt(fd, SOL_SOCKET, name, &now, sizeof now) < 0 && errno != ENOPROTOOPT ? -1
											      : 0;
}

/*
 * A look ends at the end, behind a piece with descriptors, or at the mark. 1: found. The mark right
 * behind descriptors does not show.
 */
static int mark_search(int fd, size_t len, size_t *at, struct err *err)
{
	void *room = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct unix_look look;
	size_t from = 0;
	int found = 0;

	if (room == MAP_FAILED)
		return err_sys(err, "memory to look at a unix socket's queue");
	while (!found && from < len) {
		int offset = (int)from;
		ssize_t n = -1;

		if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0)
			n = unix_look(fd, room, len - from, 0, &look);
		if (n <= 0) {
			found = err_sys(err, "look at a unix socket's queue");
			break;
		}
		unix_look_finish(&look);
		from += (size_t)n;
		found = from < len && !look.had_fds;
	}
	munmap(room, len);
	*at = from;
	return found;
}

static int mark_search_quietly(int fd, size_t len, size_t *at, struct err *err)
{
	int creds = 0, pidfd = 0, found = -1;

	if (reader_asks(fd, SO_PASSCRED, &creds, 0) < 0 ||
		reader_asks(fd, X_SO_PASSPIDFD, &pidfd, 0) < 0)
		err_sys(err, "options of a unix socket");
	else
		found = mark_search(fd, len, at, err);
	if ((reader_asks(fd, SO_PASSCRED, NULL, creds) < 0 ||
		    reader_asks(fd, X_SO_PASSPIDFD, NULL, pidfd) < 0) &&
		found >= 0)
		return err_sys(err, "put options of a unix socket back");
	return found < 0 ? -err->code : found;
}

int unix_urgent_find(int fd, size_t len, enum unix_urgent *what, size_t *at, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	int first = 0, found;

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a unix socket");
	if (ioctl(fd, SIOCATMARK, &first) < 0)
		first = 0;
	*at = 0;
	found = first ? 1 : mark_search_quietly(fd, len, at, err);
	if (found < 0)
		return -err->code;
	*what = !found ? UNIX_NOT_URGENT : p.revents & POLLPRI ? UNIX_URGENT : UNIX_URGENT_READ;
	if (found || !(p.revents & POLLPRI))
		return 0;
	err_set(err, ENOTSUP, "an urgent byte (MSG_OOB) waits behind descriptors in a unix socket");
	return err_hint(err, "let the program read it before the dump");
}

int unix_urgent_read(int fd, struct err *err)
{
	char byte;

	return recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) < 0
		       ? err_sys(err, "read an urgent byte of a unix socket")
		       : 0;
}
