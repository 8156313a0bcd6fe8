/* Files of the image: checked and opened again, or made anew; see files.h. */
#include "restore/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/build_id.h"
#include "base/fd.h"
#include "base/log.h"
#include "restore/ghosts.h"
#include "restore/job.h"
#include "restore/unshared.h"

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFLNK:
		return "a symbolic link";
	default:
		return "something else";
	}
}

static int changed(const struct snap_file *file, const struct stat *st, struct err *err)
{
	char then[32], now[32];
	struct tm tm;

	strftime(then, sizeof then, "%F %T", localtime_r(&file->mtime.tv_sec, &tm));
	strftime(now, sizeof now, "%F %T", localtime_r(&st->st_mtim.tv_sec, &tm));
	err_set(err, ESTALE,
		"%s has changed since the dump: it was %" PRIu64 " bytes of %s, it is %" PRIu64
		" bytes of %s",
		file->path, file->size, then, (uint64_t)st->st_size, now);
	return err_hint(err, "put the old file back, or dump the program again%s",
		file->nr_build_id ? " (--embed keeps program files in the image)"
				  : ", or say --files=keep if the change does no harm");
}

static bool same_time(const struct snap_file *file, const struct stat *st)
{
	return file->mtime.tv_sec == st->st_mtim.tv_sec &&
	       file->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/* Installed again, or copied. The size has to be the same: what is appended to a program or cut off
 * it (packed scripts, symbols) leaves the build-id as it was. */
static bool same_build(const struct snap_file *file, int fd, const struct stat *st)
{
	uint8_t id[sizeof file->build_id];

	return file->size == (uint64_t)st->st_size && file->nr_build_id &&
	       build_id_read(fd, id) == file->nr_build_id &&
	       !memcmp(id, file->build_id, file->nr_build_id);
}

static bool is_mapped_for_writing(const struct job *job, const struct snap_file *file)
{
	const struct snap *snap = job->snap;

	for (size_t m = 0; m < snap->nr_mms; m++)
		for (size_t i = 0; i < snap->mms[m].nr_vmas; i++) {
			const struct snap_vma *vma = &snap->mms[m].vmas[i];

			if (vma->kind == VMA_FILE && vma->file_writable &&
				&snap->files[vma->file] == file)
				return true;
		}
	return false;
}

/* Only for data: a program file of another build would not fit what was made with the old one. */
static bool change_is_accepted(
	const struct job *job, const struct snap_file *file, const struct stat *st)
{
	if (file->nr_build_id)
		return false;
	if (job->opts->files == FILES_AUTO)
		return file->size == (uint64_t)st->st_size && is_mapped_for_writing(job, file);
	return job->opts->files == FILES_KEEP;
}

bool files_unchanged(const struct snap_file *file, const struct stat *st)
{
	return file->size == (uint64_t)st->st_size && same_time(file, st);
}

/* Unchanged in size and time, or, for a program file installed again, the very same build. */
static int files_check(const struct job *job, const struct snap_file *file, int fd, int flags,
	const struct stat *st, struct err *err)
{
	bool writes_only = (flags & O_ACCMODE) == O_WRONLY;

	if ((st->st_mode & S_IFMT) != (file->mode & S_IFMT)) {
		err_set(err, ESTALE, "%s was %s at the dump and is %s now", file->path,
			type_name(file->mode), type_name(st->st_mode));
		return err_hint(err, "put back what was there, or dump the program again");
	}
	if (!S_ISREG(st->st_mode) || (flags & O_PATH) || writes_only)
		return 0;
	if (files_unchanged(file, st))
		return 0;
	if (same_build(file, fd, st))
		return 0;
	if (change_is_accepted(job, file, st)) {
		log_info("%s has changed since the dump; it is used as it is now", file->path);
		return 0;
	}
	/* Pseudo files have neither; a file on such a file system cannot be checked. */
	if (!file->size && !st->st_size && !file->ino)
		return 0;
	return changed(file, st, err);
}

static int open_ghost(int ghost, int flags, const char *path, int *fd, struct err *err)
{
	char self[40];

	flags = (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC;
	snprintf(self, sizeof self, "/proc/self/fd/%d", ghost);
	*fd = open(self, flags);
	if (*fd < 0 && errno == EACCES)
		*fd = fd_open_closed(ghost, flags);
	return *fd < 0 ? err_sys(err, "open %s anew", path) : 0;
}

static bool is_pseudo(const char *path)
{
	return !strncmp(path, "/proc/", 6) || !strncmp(path, "/sys/", 5);
}

/*
 * What has become immutable or append-only (chattr(1)) since the program opened it is neither for
 * a moment, for those who may.
 */
static int open_protected(const char *path, int flags)
{
	OWNED_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int was, now, opened;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &was) < 0 ||
		!(was & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return -1;
	now = was & ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	if (ioctl(fd, FS_IOC_SETFLAGS, &now) < 0)
		return -1;
	opened = open(path, flags);
	if (ioctl(fd, FS_IOC_SETFLAGS, &was) < 0)
		fd_close(&opened);
	return opened;
}

/* What the program made with a mode that keeps its owner out (open(2) with O_CREAT and 0400). */
static int open_closed(const char *path, int flags)
{
	OWNED_FD file = open(path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW));

	return file < 0 ? -1 : fd_open_closed(file, flags & ~O_NOFOLLOW);
}

static int open_named(const char *path, int flags)
{
	int fd, why;

	/* O_NONBLOCK keeps a FIFO or a device from making us wait; the caller sets the recorded
	 * flags. */
	flags = (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC | O_NOCTTY;
	fd = open(path, flags);
	why = errno;
	if (fd < 0 && why == EPERM)
		fd = open_protected(path, flags);
	if (fd < 0 && why == EACCES)
		fd = open_closed(path, flags);
	errno = why;
	return fd;
}

int files_open(const struct fd_make *m, uint32_t id, int flags, int *fd, struct err *err)
{
	const struct job *job = m->priv;
	const struct snap_file *file = &job->snap->files[id];
	OWNED_FD opened = -1;
	struct stat st;

	if (job->ghosts[id] >= 0)
		return open_ghost(job->ghosts[id], flags, file->path, fd, err);
	opened = open_named(file->path, flags);
	if (opened < 0 && errno == ENOENT && file->mem != ID_NONE && !file->nr_build_id) {
		if (ghosts_remake(m->priv, id, err) < 0)
			return -err->code;
		opened = open_named(file->path, flags);
	}
	if (opened < 0) {
		int ret = err_sys(err, "open %s", file->path);

		if (ret == -EMFILE || ret == -ENFILE)
			return ret; /* not the file's fault */
		return ret == -ENOENT
			       ? err_hint(err, "the program had it open or mapped at the dump: "
					       "put it back, or dump the program again")
			       : err_hint(err, "the program had it open or mapped at the dump: "
					       "see that it can be opened");
	}
	if (is_pseudo(file->path)) {
		*fd = take_fd(&opened);
		return 0;
	}
	if (fstat(opened, &st) < 0)
		return err_sys(err, "stat %s", file->path);
	if (files_check(job, file, opened, flags, &st, err) < 0)
		return -err->code;
	*fd = take_fd(&opened);
	return 0;
}

/* ---- mapped files
 * -------------------------------------------------------------------------------------- */

/*
 * A shared mapping through a read-only descriptor has not even VM_SHARED (mm/mmap.c): such a memfd
 * is opened like that, too. With VM_SHARED but without VM_MAYWRITE it was mapped after it was
 * sealed.
 */
static int memfd_open_mapped(struct job *job, const struct snap_vma *vma, struct err *err)
{
	bool writable = vma->vmflags & VMF_SHARED;
	int *fd = &job->mem_fds[writable][vma->mem];

	if (job->mems[vma->mem] < 0 || *fd >= 0)
		return 0;
	if (writable)
		*fd = job->mems[vma->mem];
	else if (open_ghost(job->mems[vma->mem], O_RDONLY, "memfd", fd, err) < 0)
		return -err->code;
	fcntl(*fd, F_SETFD, 0);
	return 0;
}

/* The mapping keeps the open file, and the lock with it, when the descriptor is closed. */
static int file_flock(const struct snap_file *file, int fd, struct err *err)
{
	if (!file->mapped_flock || flock(fd, (int)file->mapped_flock | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(err, "flock %s", file->path);
	err_set(err, EAGAIN, "the flock on %s is now held by somebody else", file->path);
	return err_hint(err, "end the program that holds it (lslocks shows them), then restore");
}

static int file_open_mapped(struct job *job, const struct snap_vma *vma, struct err *err)
{
	int *fd = &job->map_fds[vma->file_writable][vma->file];

	if (*fd >= 0)
		return 0;
	if (files_open(&job->make, vma->file, vma->file_writable ? O_RDWR : O_RDONLY, fd, err) < 0)
		return err_wrap(err, "mapped file");
	fcntl(*fd, F_SETFD, 0);
	return file_flock(&job->snap->files[vma->file], *fd, err);
}

static int files_open_mapped_of(struct job *job, const struct snap_mm *mm, struct err *err)
{
	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];
		int ret = 0;

		if (vma->kind == VMA_FILE)
			ret = file_open_mapped(job, vma, err);
		else if (vma->kind == VMA_SHARED)
			ret = memfd_open_mapped(job, vma, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int files_open_mapped(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->snap->nr_mms; i++)
		if (files_open_mapped_of(job, &job->snap->mms[i], err) < 0)
			return -err->code;
	return 0;
}

/* Without O_CLOEXEC, out of all slots. */
static int open_parked(struct job *job, uint32_t file, int flags, int *fd, struct err *err)
{
	OWNED_FD opened = -1;

	if (files_open(&job->make, file, flags, &opened, err) < 0)
		return -err->code;
	*fd = fcntl(opened, F_DUPFD, job->park);
	return *fd < 0 ? err_sys(err, "park %s", job->snap->files[file].path) : 0;
}

int files_open_others(struct job *job, struct err *err)
{
	const struct snap *snap = job->snap;

	for (uint32_t i = 0; i < snap->nr_procs; i++) {
		uint32_t mm = snap->procs[i].mm;
		bool chroot = snap->procs[i].root != ID_NONE;

		if (chroot && open_parked(job, snap->procs[i].root, O_RDONLY | O_DIRECTORY | O_PATH,
				      &job->root_fds[i], err) < 0)
			return err_wrap(err, "root directory of process %d", snap->procs[i].pid);
		/* The first one is there already, and has its program. */
		if (i == 0 && !chroot)
			continue;
		if (open_parked(job, snap->procs[i].cwd, O_RDONLY | O_DIRECTORY | O_PATH,
			    &job->cwd_fds[i], err) < 0)
			return err_wrap(err, "working directory of process %d", snap->procs[i].pid);
		if (i && job->exe_fds[mm] < 0 &&
			open_parked(job, snap->mms[mm].exe, O_RDONLY, &job->exe_fds[mm], err) < 0)
			return err_wrap(err, "the program of process %d", snap->procs[i].pid);
	}
	return unshared_open(job, err);
}
