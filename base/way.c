/* Directories for a moment; see way.h. */
#include "base/way.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

size_t way_make(const char *path)
{
	char dir[PATH_MAX];
	size_t first = 0;

	snprintf(dir, sizeof dir, "%s", path);
	for (char *at = strchr(dir + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(dir, 0700) == 0 && !first)
			first = (size_t)(at - dir);
		*at = '/';
	}
	return first;
}

void way_remove(const char *path, size_t first)
{
	char dir[PATH_MAX];
	char *end;

	snprintf(dir, sizeof dir, "%s", path);
	while (first && (end = strrchr(dir, '/')) && (size_t)(end - dir) >= first) {
		*end = '\0';
		if (rmdir(dir) < 0)
			log_warn("remove %s, which was made for a moment: %m", dir);
	}
}

/* /dev/shm first: programs rather watch /tmp. */
int way_own(char path[WAY_OWN], struct err *err)
{
	static const char *const places[] = { "/dev/shm", "/tmp", "/var/tmp" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, WAY_OWN, "%s/.snapctl-XXXXXX", places[i]);
		if (mkdtemp(path))
			return 0;
	}
	return err_sys(err, "make a directory in /dev/shm or /tmp");
}

int way_nearest(const char *path)
{
	char dir[PATH_MAX];
	char *end;
	int fd = -1;

	snprintf(dir, sizeof dir, "%s", path);
	errno = ENOENT;
	while (fd < 0 && errno == ENOENT && (end = strrchr(dir, '/'))) {
		end[end == dir] = '\0'; /* "/" itself keeps its name */
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (end == dir)
			break;
	}
	return fd;
}
