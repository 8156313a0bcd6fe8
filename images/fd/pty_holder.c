/* Who else has a terminal open; see pty_holder.h. */
#include "images/fd/pty_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/common.h"
#include "images/fd/kind.h"

enum { PTS_MAJOR = 136, STATUS_LIMIT = 64 * 1024 };

static bool is_number(const char *name)
{
	return isdigit((unsigned char)name[0]);
}

/* Its id as it sees it itself: the last of "NSpid:\t4711\t7". 0 where it is gone. */
static int32_t own_pid(int proc)
{
	OWNED_FD fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);
	int64_t pid = 0;
	struct text t;
	char *status;
	size_t len;

	if (fd < 0 || fd_read_text(fd, STATUS_LIMIT, &status, &len, NULL) < 0)
		return 0;
	t.at = text_field(status, "NSpid");
	while (t.at && text_int(&t, &pid))
		text_blanks(&t);
	free(status);
	return (int32_t)pid;
}

static bool has_open(DIR *fds, uint64_t rdev)
{
	struct dirent *entry;
	char link[64];
	struct stat st;
	ssize_t len;

	while ((entry = readdir(fds))) {
		if (!is_number(entry->d_name))
			continue;
		/* The text first: to stat(2) what may be a dead network mount would hang. */
		len = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1);
		link[len > 0 ? len : 0] = '\0';
		if (strstr(link, "/pts/") && !fstatat(dirfd(fds), entry->d_name, &st, 0) &&
			S_ISCHR(st.st_mode) && st.st_rdev == rdev)
			return true;
	}
	return false;
}

static bool process_has_open(int proc, uint64_t rdev)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	bool found;

	if (!fds) {
		fd_close(&fd);
		return false;
	}
	found = has_open(fds, rdev);
	closedir(fds);
	return found;
}

/* The first process outside the dump that has it open; 0: none that we may look into. */
static int holder_find(const struct snap *snap, DIR *procs, uint64_t rdev)
{
	struct dirent *entry;

	while ((entry = readdir(procs))) {
		int pid = is_number(entry->d_name) ? atoi(entry->d_name) : 0;
		OWNED_FD proc = -1;

		if (pid == 0 || pid == getpid())
			continue;
		proc = openat(dirfd(procs), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc >= 0 && process_has_open(proc, rdev) &&
			!snap_has_process(snap, own_pid(proc)))
			return pid;
	}
	return 0;
}

int pty_holder_check(const struct fd_seen *master, int index, struct err *err)
{
	DIR *procs = opendir("/proc");
	char name[256];
	int holder;

	if (!procs)
		return err_sys(err, "open /proc");
	holder = holder_find(master->dump->snap, procs, makedev(PTS_MAJOR, (unsigned)index));
	closedir(procs);
	if (!holder)
		return 0;
	err_set(err, ENOTSUP,
		"%s is the master of terminal /dev/pts/%d, which is open in process %d outside the "
		"dump",
		fd_seen_name(master, name, sizeof name), index, holder);
	return err_hint(err, "end process %d, or dump a process that both descend from", holder);
}
