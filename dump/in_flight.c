/* Open file descriptions that are in no slot; see in_flight.h. */
#include "dump/in_flight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/fds.h"

/* Looking at the queue has put it into our own table, so our own /proc tells about it. */
static int in_flight_see(
	struct dumping *d, const struct fd_seen *via, int fd, struct fd_seen *seen, struct err *err)
{
	struct arena *a = d->snap->arena;
	OWNED_FD self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[32], *link, *fdinfo;
	size_t len;

	if (self < 0)
		return err_sys(err, "open /proc/self");
	snprintf(name, sizeof name, "fd/%d", fd);
	if (proc_link(self, name, a, &link, err) < 0)
		return -err->code;
	snprintf(name, sizeof name, "fdinfo/%d", fd);
	if (proc_text(self, name, a, &fdinfo, &len, err) < 0)
		return -err->code;
	/* For messages: the slot of the socket it is in. */
	*seen = (struct fd_seen){
		.link = link, .fdinfo = fdinfo, .pid = via->pid, .num = via->num, .dump = via->dump
	};
	if (fstat(fd, &seen->st) < 0)
		return err_sys(err, "fstat");
	seen->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return seen->fd < 0 ? err_sys(err, "duplicate a descriptor") : 0;
}

int in_flight_ofd(
	struct fd_dump *hooks, const struct fd_seen *via, int fd, uint32_t *ofd, struct err *err)
{
	struct dumping *d = hooks->priv;
	struct fd_seen seen;

	if (in_flight_see(d, via, fd, &seen, err) < 0)
		return -err->code;
	return fds_add(d, &seen, ofd, err);
}
