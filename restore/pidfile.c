/* The file that tells the id of the program; see pidfile.h. */
#include "restore/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

enum { PIDFILE_MOST = 16 };

/* Beyond the limit the kernel does not only refuse to write, but ends us with SIGXFSZ. */
static bool limit_forbids(size_t len)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < len;
}

int pidfile_check(const char *path, struct err *err)
{
	char *dir = path ? strdup(path) : NULL, *slash = dir ? strrchr(dir, '/') : NULL;
	const char *in = !slash ? "." : slash == dir ? "/" : dir;
	struct stat st;
	int ret = 0;

	if (slash && slash != dir)
		*slash = '\0';
	if (path && faccessat(AT_FDCWD, in, W_OK | X_OK, AT_EACCESS) < 0)
		ret = err_sys(err, "make pidfile %s", path);
	else if (path && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		ret = err_set(err, EEXIST, "make pidfile %s: something else has that name", path);
	else if (path && limit_forbids(PIDFILE_MOST))
		ret = err_set(err, EFBIG, "make pidfile %s: %s", path, strerror(EFBIG));
	free(dir);
	if (ret == -EFBIG)
		err_hint(err, "raise the limit of file sizes (ulimit -f)");
	return ret < 0 ? err_hint(err, "choose a place that can be written to with --pidfile") : 0;
}

static int pidfile_failed(const char *path, struct err *err)
{
	err_sys(err, "make pidfile %s", path);
	return err_hint(err, "choose another place for it with --pidfile");
}

/* As an image: written beside its final name. */
int pidfile_write(const char *path, pid_t pid, struct err *err)
{
	char temp[4200], text[PIDFILE_MOST];
	int len = snprintf(text, sizeof text, "%d\n", pid);
	OWNED_FD fd = -1;

	if (!path)
		return 0;
	snprintf(temp, sizeof temp, "%s.%d.tmp", path, getpid());
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return pidfile_failed(path, err);
	if (write(fd, text, (size_t)len) != len || rename(temp, path) < 0) {
		pidfile_failed(path, err);
		unlink(temp);
		return -err->code;
	}
	return 0;
}
