/* A file that appears whole or not at all; see place.h. Directories of images: image_dir.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/place.h"

enum { ATTEMPTS = 100 };

static int file_open(int parentfd, const char *name)
{
	/* O_NONBLOCK: a FIFO of that name would keep us waiting. */
	return openat(parentfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ---- what stands there already --------------------------------------------------------------- */

static bool file_is_ours(const struct newfile *f)
{
	OWNED_FD fd = file_open(f->place.parentfd, f->place.base);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid()) && f->ours(fd);
}

static int newfile_look(struct newfile *f, bool force, struct err *err)
{
	struct stat st;

	if (fstatat(f->place.parentfd, f->place.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", f->place.path);
	if (!file_is_ours(f)) {
		err_set(err, EEXIST, "%s exists and is not %s", f->place.path, f->what);
		return err_hint(err, "nothing else is ever replaced: choose another place with -o");
	}
	if (!force) {
		err_set(err, EEXIST, "%s exists", f->place.path);
		return err_hint(err, "replace it with --force, or choose another place with -o");
	}
	f->replaces = true;
	return 0;
}

/* ---- leftovers ------------------------------------------------------------------------------- */

static void tmp_clean(int parentfd, const char *name)
{
	OWNED_FD fd = file_open(parentfd, name);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return;
	/* Its writer has it locked as long as he lives. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(parentfd, name, 0) == 0)
		log_info("removed %s, left by a snapctl that was killed", name);
}

static void tmps_clean(const struct place *place)
{
	OWNED_FD copy = openat(place->parentfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return; /* A directory that can be written but not listed. */
	take_fd(&copy);
	while ((entry = readdir(dir)))
		if (place_is_tmp_name(entry->d_name, place->base))
			tmp_clean(place->parentfd, entry->d_name);
	closedir(dir);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Is the file still there under its name? Somebody may have cleaned it away before it was locked.
 */
static bool tmp_is_still(const struct newfile *f, int fd)
{
	struct stat named, opened;

	return fstatat(f->place.parentfd, f->tmp, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
	       named.st_ino == opened.st_ino;
}

static int tmp_create(struct newfile *f, struct err *err)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		OWNED_FD fd = -1;

		if (place_tmp_name(f->place.base, f->tmp) < 0)
			return err_sys(err, "getrandom");
		fd = openat(f->place.parentfd, f->tmp,
			O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return err_sys(err, "make the file");
		/* Where there are no locks (ENOLCK), nobody can take it for a stale one. */
		if ((flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) ||
			!tmp_is_still(f, fd))
			continue;
		f->fd = take_fd(&fd);
		return 0;
	}
	return err_set(err, EEXIST, "no name for a new file is free");
}

int newfile_create(const char *path, bool force, place_ours *ours, const char *what,
	struct newfile *out, struct err *err)
{
	struct newfile f = { .fd = -1, .ours = ours, .what = what };
	int ret = place_open(path, what, &f.place, err);

	/* A file that gets too large (ulimit -f) is an error like others. */
	signal(SIGXFSZ, SIG_IGN);
	if (ret == 0)
		ret = newfile_look(&f, force, err);
	if (ret == 0) {
		tmps_clean(&f.place);
		ret = tmp_create(&f, err);
		if (ret < 0) {
			f.tmp[0] = '\0';
			place_refused(&f.place, err);
		}
	}
	if (ret < 0)
		newfile_finish(&f);
	else
		*out = f;
	return ret;
}

/* NFS and some others know no flags of renameat2(2): EINVAL. A second name does not replace. */
static int appear_new(struct newfile *f)
{
	int parent = f->place.parentfd;

	if (renameat2(parent, f->tmp, parent, f->place.base, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL || linkat(parent, f->tmp, parent, f->place.base, 0) < 0)
		return -1;
	unlinkat(parent, f->tmp, 0);
	return 0;
}

static int newfile_appear(struct newfile *f, struct err *err)
{
	int ret, parent = f->place.parentfd;

	/* It may have taken minutes: what may be replaced is judged again. */
	if (f->replaces && file_is_ours(f))
		ret = renameat(parent, f->tmp, parent, f->place.base);
	else
		ret = appear_new(f);
	if (ret == 0) {
		f->tmp[0] = '\0';
		return 0;
	}
	err_sys(err, "%s: rename the finished file", f->place.path);
	return err_hint(err, "choose another place with -o");
}

int newfile_commit(struct newfile *f, mode_t mode, struct err *err)
{
	/* Whatever the umask says. */
	if (fchmod(f->fd, mode) < 0 || fsync(f->fd) < 0) {
		err_sys(err, "bring the file to the disk");
		return place_refused(&f->place, err);
	}
	if (newfile_appear(f, err) < 0)
		return -err->code;
	if (fsync(f->place.parentfd) < 0 && errno != EINVAL)
		return err_sys(
			err, "%s: it is there, but may not survive a crash: fsync", f->place.path);
	return 0;
}

void newfile_finish(struct newfile *f)
{
	if (f->tmp[0] && unlinkat(f->place.parentfd, f->tmp, 0) < 0)
		log_warn("the unfinished file %s stays: %m", f->tmp);
	f->tmp[0] = '\0';
	if (f->place.path)
		fd_close(&f->fd);
	place_close(&f->place);
}
