/* Owned descriptors and whole reads and writes; see fd.h. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void fd_hold_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
}

int fd_above_standard(int fd)
{
	int above;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	fd_close(&fd);
	fd_hold_standard();
	return above;
}

int fd_open_closed(int fd, int flags)
{
	struct stat st;
	char self[40];
	int opened;

	if (fstat(fd, &st) < 0)
		return -1;
	errno = EACCES;
	if (st.st_mode & (S_ISUID | S_ISGID))
		return -1;
	/* chmod(2), as fchmod(2) refuses O_PATH. */
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (chmod(self, (st.st_mode & 07777) | S_IRUSR | S_IWUSR) < 0)
		return -1;
	opened = open(self, flags);
	if (chmod(self, st.st_mode & 07777) < 0)
		fd_close(&opened);
	return opened;
}

int fd_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *from = data;

	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_all(int fd, void *data, size_t len, off_t offset, struct err *err)
{
	char *to = data;

	while (len > 0) {
		ssize_t n = pread(fd, to, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			return err_set(
				err, ENODATA, "read: the file ends %zu bytes too early", len);
		to += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

int fd_read_text(int fd, size_t limit, char **text, size_t *len, struct err *err)
{
	size_t cap = 4096, used = 0;
	char *buf = malloc(cap);

	while (buf) {
		ssize_t n = read(fd, buf + used, cap - used - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, "read");
			free(buf);
			return -errno;
		}
		used += (size_t)n;
		if (n == 0) {
			buf[used] = '\0';
			*text = buf;
			*len = used;
			return 0;
		}
		if (used > limit) {
			free(buf);
			return err_set(err, EFBIG, "read: more than %zu bytes", limit);
		}
		if (cap - used < 4096) {
			char *more = realloc(buf, cap *= 2);

			if (!more)
				free(buf);
			buf = more;
		}
	}
	return err_nomem(err);
}
