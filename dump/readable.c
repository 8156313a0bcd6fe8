/* Reading files of the target; see readable.h. */
#include "dump/readable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

int file_reopen(int fd, int *out, struct err *err)
{
	char path[32];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME);
	if (again < 0 && errno == EPERM)
		again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (again < 0)
		return err_sys(err, "open it for reading");
	*out = again;
	return 0;
}

static bool can_be_read(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH);
}

/* gunicorn's workers take the permission away in turns; and to open a file breaks a lease on it. */
int readable_open(int fd, struct readable *out, struct err *err)
{
	bool leased = fcntl(fd, F_GETLEASE) == F_WRLCK;
	int ret = leased ? err_ret(err, -EACCES, "it has a lease") : file_reopen(fd, &out->fd, err);

	if (ret != -EACCES)
		return ret;
	if (!can_be_read(fd))
		return err_hint(err, "run snapctl as root: its owner may not read it, and the "
				     "program has it not open for reading");
	out->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (out->fd < 0)
		return err_sys(err, "duplicate a descriptor");
	out->position = lseek(out->fd, 0, SEEK_CUR);
	return 0;
}

void readable_close(struct readable *r)
{
	if (r->position >= 0)
		lseek(r->fd, r->position, SEEK_SET);
	fd_close(&r->fd);
}
