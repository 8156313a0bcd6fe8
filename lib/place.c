/* The directory where processes meet that ask for a dump; see place.h. */
#include "lib/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int place_name(char name[SNAPCTL_PLACE_LEN])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (runtime && runtime[0] == '/')
		len = snprintf(name, SNAPCTL_PLACE_LEN, "%s/snapctl", runtime);
	else
		len = snprintf(name, SNAPCTL_PLACE_LEN, "/tmp/snapctl-%u", geteuid());
	return len < SNAPCTL_PLACE_LEN ? 0 : -ENAMETOOLONG;
}

/* Looked at after it was opened without following a link: what is checked is what is used. */
int place_open(const char *name)
{
	struct stat st;
	int fd, code;

	if (mkdir(name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	code = fstat(fd, &st) < 0 ? errno : 0;
	if (!code && (st.st_uid != geteuid() || (st.st_mode & 077)))
		code = EPERM;
	if (code)
		close(fd);
	return code ? -code : fd;
}
