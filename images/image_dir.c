/* Directories of images: temporary names, and removal that never touches what is not ours. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/image_internal.h"
#include "images/place.h"

enum { ATTEMPTS = 100 };

static int dir_open(int parentfd, const char *name)
{
	return openat(parentfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_image_file(const char *name)
{
	for (size_t i = 0; i < IMAGE_NR_FILES; i++)
		if (!strcmp(name, image_file_names[i]))
			return true;
	return false;
}

static bool dir_has_magic(int dirfd)
{
	OWNED_FD fd = openat(dirfd, image_file_names[IMAGE_INVENTORY],
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char magic[IMAGE_MAGIC];

	return fd >= 0 && pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
	       !memcmp(magic, image_magic, sizeof magic);
}

static int dir_has_foreign(int dirfd, bool *foreign, struct err *err)
{
	OWNED_FD copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return err_sys(err, "look into the directory");
	take_fd(&copy);
	*foreign = false;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
			!is_image_file(entry->d_name))
			*foreign = true;
	closedir(dir);
	return 0;
}

int image_dir_is_ours(int parentfd, const char *name, bool *ours, struct err *err)
{
	OWNED_FD dirfd = dir_open(parentfd, name);
	bool foreign = true;
	struct stat st;
	int ret;

	*ours = false;
	if (dirfd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (dirfd < 0 || fstat(dirfd, &st) < 0)
		return err_sys(err, "open the old image");
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || !dir_has_magic(dirfd))
		return 0;
	ret = dir_has_foreign(dirfd, &foreign, err);
	*ours = ret == 0 && !foreign;
	return ret;
}

int image_dir_remove(int parentfd, const char *name, struct err *err)
{
	OWNED_FD dirfd = dir_open(parentfd, name);

	if (dirfd < 0)
		return err_sys(err, "open %s", name);
	for (size_t i = 0; i < IMAGE_NR_FILES; i++)
		if (unlinkat(dirfd, image_file_names[i], 0) < 0 && errno != ENOENT)
			return err_sys(err, "remove %s/%s", name, image_file_names[i]);
	if (unlinkat(parentfd, name, AT_REMOVEDIR) < 0)
		return err_sys(err, "remove %s", name);
	return 0;
}

/* ---- temporary names ------------------------------------------------------------------------- */

/* Is the directory still there under its name? Somebody may have cleaned it away before it was
 * locked. 1: it is not. */
static int dir_is_gone(int parentfd, const char *name, int dirfd, struct err *err)
{
	struct stat named, opened;

	if (fstatat(parentfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : err_sys(err, "look at the directory for the image");
	if (fstat(dirfd, &opened) < 0)
		return err_sys(err, "look at the directory for the image");
	return named.st_dev != opened.st_dev || named.st_ino != opened.st_ino;
}

/* Opened and locked. 1: somebody takes it for a stale one. */
static int dir_take(int parentfd, const char *name, int *dirfd, struct err *err)
{
	OWNED_FD fd = dir_open(parentfd, name);
	int ret;

	/* Whatever the umask says. */
	if (fd < 0 && errno == EACCES && fchmodat(parentfd, name, 0700, 0) == 0)
		fd = dir_open(parentfd, name);
	if (fd < 0)
		return errno == ENOENT ? 1 : err_sys(err, "open the directory for the image");
	/* Where there are no locks (ENOLCK), nobody can. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return 1;
	ret = dir_is_gone(parentfd, name, fd, err);
	if (!ret)
		*dirfd = take_fd(&fd);
	return ret;
}

int image_dir_create(
	int parentfd, const char *base, char name[PLACE_TMP_NAME], int *dirfd, struct err *err)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		int ret;

		if (place_tmp_name(base, name) < 0)
			return err_sys(err, "getrandom");
		if (mkdirat(parentfd, name, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(err, "make a directory for the image");
		}
		ret = dir_take(parentfd, name, dirfd, err);
		if (ret < 0)
			unlinkat(parentfd, name, AT_REMOVEDIR);
		if (ret <= 0)
			return ret;
	}
	return err_set(err, EEXIST, "no name for a new directory is free");
}

static void dir_clean(int parentfd, const char *name)
{
	OWNED_FD dirfd = dir_open(parentfd, name);
	struct err err = { 0 };
	struct stat st;

	if (dirfd < 0 || fstat(dirfd, &st) < 0 || st.st_uid != geteuid())
		return;
	/* Its writer has it locked as long as he lives. */
	if (flock(dirfd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (image_dir_remove(parentfd, name, &err) < 0)
		log_info("the rest of an unfinished image stays: %s", err.msg);
	else
		log_info("removed %s, left by a dump that was killed", name);
}

void image_dir_clean(int parentfd, const char *base)
{
	OWNED_FD copy = openat(parentfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return; /* A directory that can be written but not listed: nothing to be seen in it.
			 */
	take_fd(&copy);
	while ((entry = readdir(dir)))
		if (place_is_tmp_name(entry->d_name, base))
			dir_clean(parentfd, entry->d_name);
	closedir(dir);
}
