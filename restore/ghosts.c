/* Files made anew from what travelled in the image; see ghosts.h. */
#include "restore/ghosts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/way.h"
#include "images/fd/reg.h"
#include "restore/files.h"
#include "restore/job.h"

static int ghost_fill(struct job *job, const struct snap_file *file, int fd, struct err *err)
{
	size_t nr;
	const struct page_run *runs = pages_runs_of(&job->img.index, file->mem, &nr);
	void *buf = mmap(
		NULL, PAGES_FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	if (buf == MAP_FAILED)
		return err_nomem(err);
	if (ftruncate(fd, (off_t)file->size) < 0)
		ret = err_sys(
			err, "make %s (deleted) %" PRIu64 " bytes long", file->path, file->size);
	for (size_t i = 0; i < nr && !ret; i++) {
		size_t len = (size_t)runs[i].nr_pages * PAGES_PAGE;

		if (runs[i].addr >= file->size)
			break;
		ret = pages_read(
			job->img.pages_fd, &job->img.index, file->mem, runs[i].addr, buf, len, err);
		if (!ret && runs[i].addr + len > file->size)
			len = (size_t)(file->size - runs[i].addr);
		if (!ret && pwrite(fd, buf, len, (off_t)runs[i].addr) != (ssize_t)len)
			ret = err_sys(err, "write contents of %s", file->path);
	}
	munmap(buf, PAGES_FRAME);
	return ret;
}

/* After the owner, who may have them, and before the mode, which may forbid it; they are not worth
 * a restore where there can be none. */
static void ghost_xattrs(const struct snap_file *file, int fd)
{
	for (size_t i = 0; i < file->nr_attributes; i++) {
		const struct snap_attribute *a = &file->attributes[i];

		if (fsetxattr(fd, a->name, a->value, a->len, 0) < 0)
			log_warn("%s has no attribute %s any more: %m", file->path, a->name);
	}
}

/* Owner, mode and time as recorded; never a set-id bit that nobody asked for. */
static int ghost_attributes(
	const struct job *job, const struct snap_file *file, int fd, struct err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, file->mtime };

	if (job->privileged && fchown(fd, file->uid, file->gid) < 0)
		return err_sys(err, "owner of %s", file->path);
	ghost_xattrs(file, fd);
	if (fchmod(fd, file->mode & 01777) < 0)
		return err_sys(err, "mode of %s", file->path);
	if (futimens(fd, times) < 0)
		return err_sys(err, "time of %s", file->path);
	return 0;
}

/* ---- descriptors of files without a name that are opened when they are made ------------------ */

static int born_keep(struct job *job, uint32_t ofd, int fd, struct err *err)
{
	job->born_with[ofd] = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
	return job->born_with[ofd] < 0 ? err_sys(err, "park a descriptor") : 0;
}

/* What cannot be opened with O_NOFOLLOW now is opened without it later. */
static int born_by_name(struct job *job, uint32_t id, const char *name, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		OWNED_FD fd = -1;
		uint32_t flags;

		if (job->born_with[i] >= 0 || reg_made_with(&job->snap->ofds[i], &flags) != id ||
			!(flags & O_NOFOLLOW))
			continue;
		fd = open(name, (int)(flags & ~(uint32_t)O_TMPFILE) | O_CLOEXEC | O_NOCTTY);
		if (fd >= 0 && born_keep(job, i, fd, err) < 0)
			return -err->code;
	}
	return 0;
}

/*
 * A removed directory may have no size any more, and then nobody gets as far out as where ext4 says
 * that a directory ends (ext4_dir_llseek). What cannot be set now is tried later.
 */
static int born_directory(struct job *job, uint32_t id, const char *name, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &job->snap->ofds[i];
		OWNED_FD fd = -1;

		if (!ofd->offset || reg_access(ofd, id) < 0)
			continue;
		fd = open(name, (int)reg_later_flags(ofd) | O_CLOEXEC);
		if (fd >= 0 && lseek(fd, (off_t)ofd->offset, SEEK_SET) >= 0 &&
			born_keep(job, i, fd, err) < 0)
			return -err->code;
	}
	return 0;
}

/* The descriptor by which O_TMPFILE has made the file; ID_NONE: there is none. */
static uint32_t born_tmpfile(const struct job *job, uint32_t id, uint32_t *flags)
{
	for (uint32_t i = 0; i < job->snap->nr_ofds; i++)
		if (reg_made_with(&job->snap->ofds[i], flags) == id &&
			(*flags & O_TMPFILE) == O_TMPFILE)
			return i;
	return ID_NONE;
}

/* Only a file that was made like that can be given a name (open(2)). */
static int tmpfile_create(struct job *job, uint32_t id)
{
	const char *path = job->snap->files[id].path, *end = strrchr(path, '/');
	struct err err = { 0 };
	uint32_t flags, ofd = born_tmpfile(job, id, &flags);
	char dir[4200];
	int fd;

	if (ofd == ID_NONE)
		return -1;
	snprintf(dir, sizeof dir, "%.*s", end > path ? (int)(end - path) : 1, path);
	fd = open(dir, (int)flags | O_CLOEXEC, 0600);
	if (fd >= 0 && born_keep(job, ofd, fd, &err) < 0)
		fd_close(&fd);
	return fd;
}

/* ---- where it was ------------------------------------------------------------------------------
 */

/* A name for a moment; directories above it that were removed, too, are there as long. */
struct place {
	char name[4200];
	size_t way; /* of way_make() */
};

static int create_at(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* A name beside path that nobody can foresee. */
static int create_beside(const char *path, char *name, size_t len)
{
	uint64_t salt;

	if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
		return -1;
	snprintf(name, len, "%s.%016" PRIx64, path, salt);
	return create_at(name);
}

/*
 * The old name is used again where it is free, so that the links in /proc read as before. Where it
 * is taken by another file now, a name beside it has to do; where the directory is not ours, a
 * memfd. name is empty if there is nothing to unlink.
 */
static int ghost_create(struct job *job, uint32_t id, struct place *place)
{
	const struct snap_file *file = &job->snap->files[id];
	const char *base = strrchr(file->path, '/');
	int fd;

	fd = job->some_born ? tmpfile_create(job, id) : -1;
	if (fd >= 0)
		return fd;
	snprintf(place->name, sizeof place->name, "%s", file->path);
	fd = create_at(place->name);
	if (fd < 0 && errno == ENOENT) {
		place->way = way_make(place->name);
		fd = create_at(place->name);
	}
	if (fd < 0 && errno == EEXIST)
		fd = create_beside(file->path, place->name, sizeof place->name);
	if (fd >= 0)
		return fd;
	log_info("%s cannot be made anew there (%m): it becomes a memfd", file->path);
	way_remove(place->name, place->way);
	place->name[0] = '\0';
	return memfd_create(base ? base + 1 : file->path, MFD_CLOEXEC);
}

/* Read-only, since a file that is open for writing can be neither run nor mapped as text. */
static int ghost_reopen(struct job *job, uint32_t id, int fd, struct err *err)
{
	char self[40];
	OWNED_FD reopened = -1;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	reopened = open(self, O_RDONLY | O_CLOEXEC);
	job->ghosts[id] = reopened < 0 ? -1 : fcntl(reopened, F_DUPFD_CLOEXEC, job->park);
	if (job->ghosts[id] < 0)
		return err_sys(err, "open %s anew", job->snap->files[id].path);
	return 0;
}

/* A file that has no name for the program, or not the one of the file that stands there now. */
static int ghost_make(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	OWNED_FD fd = -1;
	struct place place = { .way = 0 };
	int ret;

	fd = ghost_create(job, id, &place);
	if (fd < 0)
		return err_sys(err, "make %s anew", file->path);
	ret = ghost_fill(job, file, fd, err);
	if (!ret)
		ret = ghost_reopen(job, id, fd, err);
	if (!ret && place.name[0] && job->some_born)
		ret = born_by_name(job, id, place.name, err);
	/* Last, as the mode may keep even the owner out. */
	if (!ret)
		ret = ghost_attributes(job, file, fd, err);
	if (place.name[0] && unlink(place.name) < 0 && !ret)
		ret = err_sys(err, "unlink %s", place.name);
	way_remove(place.name, place.way);
	return ret;
}

static int directory_create(const struct snap_file *file, struct place *place)
{
	uint64_t salt;
	int ret;

	snprintf(place->name, sizeof place->name, "%s", file->path);
	ret = mkdir(place->name, 0700);
	if (ret < 0 && errno == ENOENT) {
		place->way = way_make(place->name);
		ret = mkdir(place->name, 0700);
	}
	if (ret < 0 && errno == EEXIST && getrandom(&salt, sizeof salt, 0) == sizeof salt) {
		snprintf(place->name, sizeof place->name, "%s.%016" PRIx64, file->path, salt);
		ret = mkdir(place->name, 0700);
	}
	return ret;
}

/* A directory that was removed while in use: made and removed again. */
static int ghost_make_directory(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	struct place place = { .way = 0 };
	OWNED_FD fd = -1;
	int ret = 0;

	if (directory_create(file, &place) < 0) {
		err_sys(err, "make the removed directory %s again", file->path);
		way_remove(place.name, place.way);
		return -err->code;
	}
	fd = open(place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	job->ghosts[id] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, job->park);
	if (job->ghosts[id] < 0)
		ret = err_sys(err, "open %s", place.name);
	if (!ret)
		ret = born_directory(job, id, place.name, err);
	if (!ret)
		ret = ghost_attributes(job, file, fd, err);
	if (rmdir(place.name) < 0 && !ret)
		ret = err_sys(err, "remove %s", place.name);
	way_remove(place.name, place.way);
	return ret;
}

/* ---- files that kept another name ---------------------------------------------------------------
 */

/* A FIFO is only named: who opens it is seen by those at its other end. */
static int linked_flags(const struct snap_file *file)
{
	return S_ISFIFO(file->mode) ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC | O_NONBLOCK;
}

static int handle_open(const struct snap_file *file, struct err *err)
{
	OWNED_FD mount = way_nearest(file->path);
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = { .head.handle_bytes = file->nr_handle, .head.handle_type = file->handle_type };
	int fd;

	memcpy(h.head.f_handle, file->handle, file->nr_handle);
	fd = mount < 0 ? -1 : open_by_handle_at(mount, &h.head, linked_flags(file));
	if (fd < 0) {
		err_sys(err, "find the file that was %s, and has another name since", file->path);
		err_hint(err, errno == EPERM ? "that needs CAP_DAC_READ_SEARCH: restore as root"
					     : "it must not be removed between dump and restore");
	}
	return fd;
}

/* Give it back its old name for a moment, for the links in /proc to read as before. */
static int handle_rename(const struct snap_file *file, int fd)
{
	size_t way = way_make(file->path);
	char self[40];
	int named = -1;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0) {
		named = open(file->path, linked_flags(file) | O_NOFOLLOW);
		unlink(file->path);
	}
	way_remove(file->path, way);
	return named;
}

/* What is in a FIFO changes its time, and is looked after elsewhere. */
static bool linked_unchanged(const struct snap_file *file, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == file->ino &&
	       (st.st_mode & S_IFMT) == (file->mode & S_IFMT) &&
	       (S_ISFIFO(st.st_mode) || files_unchanged(file, &st));
}

static int linked_find(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	OWNED_FD fd = handle_open(file, err), named = -1;

	if (fd < 0)
		return -err->code;
	if (!linked_unchanged(file, fd)) {
		err_set(err, ESTALE, "the file that was %s has changed since the dump", file->path);
		return err_hint(err, "dump the program again");
	}
	named = handle_rename(file, fd);
	job->ghosts[id] = fcntl(named < 0 ? fd : named, F_DUPFD_CLOEXEC, job->park);
	return job->ghosts[id] < 0 ? err_sys(err, "open what was %s", file->path) : 0;
}

/* ---- files with a name
 * ------------------------------------------------------------------------------ */

static int data_fill(
	struct job *job, const struct snap_file *file, int fd, const char *name, struct err *err)
{
	if (ghost_fill(job, file, fd, err) < 0 || ghost_attributes(job, file, fd, err) < 0) {
		unlink(name);
		return -err->code;
	}
	return 0;
}

/* Gone: made again in its place. */
int ghosts_remake(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	OWNED_FD fd = create_at(file->path);

	if (fd < 0) {
		err_sys(err, "make %s again, which is gone", file->path);
		return err_hint(err, "its directory must exist and be writable");
	}
	log_info("%s is gone and made again from the image", file->path);
	job->remade[id] = true;
	return data_fill(job, file, fd, file->path, err);
}

/* Changed, and the user wants the old one: it takes the place of the new one at once. */
static int data_replace(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	char name[4200];
	OWNED_FD fd = create_beside(file->path, name, sizeof name);

	if (fd < 0)
		return err_sys(err, "replace %s", file->path);
	if (data_fill(job, file, fd, name, err) < 0)
		return -err->code;
	if (rename(name, file->path) < 0) {
		err_sys(err, "replace %s", file->path);
		unlink(name);
		return -err->code;
	}
	return 0;
}

static bool maps_shared(const struct snap_mm *mm, uint32_t id)
{
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].kind == VMA_FILE && mm->vmas[i].file == id &&
			mm->vmas[i].flags & MAP_SHARED)
			return true;
	return false;
}

static bool is_mapped(const struct job *job, uint32_t id)
{
	for (size_t m = 0; m < job->snap->nr_mms; m++)
		for (size_t i = 0; i < job->snap->mms[m].nr_vmas; i++)
			if (job->snap->mms[m].vmas[i].kind == VMA_FILE &&
				job->snap->mms[m].vmas[i].file == id)
				return true;
	return false;
}

/* Does any descriptor have this file open for reading (writing)? */
static bool is_open_for(const struct job *job, uint32_t id, bool writing)
{
	for (size_t i = 0; i < job->snap->nr_ofds; i++) {
		int access = reg_access(&job->snap->ofds[i], id);

		if (access >= 0 && access != (writing ? O_RDONLY : O_WRONLY))
			return true;
	}
	return false;
}

static bool is_program_file(const struct job *job, uint32_t id)
{
	if (job->snap->files[id].nr_build_id)
		return true;
	if (is_open_for(job, id, true) || !is_mapped(job, id))
		return false;
	for (size_t i = 0; i < job->snap->nr_mms; i++)
		if (maps_shared(&job->snap->mms[i], id))
			return false;
	return true;
}

/*
 * What travelled although it had a name: program files (--embed) are only ever used beside what is
 * there now; data that is gone is made again, and replaced only when asked for.
 */
static int named_make(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_file *file = &job->snap->files[id];
	struct stat st;
	bool gone;

	/* Whoever opens it finds out (ghosts_remake); what only grows, like a log, stays. */
	if (!is_mapped(job, id) &&
		(job->opts->files != FILES_RESTORE || !is_open_for(job, id, false)))
		return 0;
	gone = lstat(file->path, &st) < 0;
	if (gone && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, "stat %s", file->path);
	if (!gone && files_unchanged(file, &st))
		return 0;
	if (is_program_file(job, id))
		return ghost_make(job, id, err);
	if (gone)
		return ghosts_remake(job, id, err);
	return job->opts->files == FILES_RESTORE ? data_replace(job, id, err) : 0;
}

/* The child opens such files, and makes those again that are gone: it needs the pages. */
static int pages_park(struct job *job, struct err *err)
{
	int *pages = &job->img.pages_fd, parked = -1;

	for (uint32_t i = 0; i < job->snap->nr_files && parked < 0; i++) {
		const struct snap_file *file = &job->snap->files[i];

		if (file->mem == ID_NONE || file->deleted || is_mapped(job, i))
			continue;
		parked = fcntl(*pages, F_DUPFD_CLOEXEC, job->park);
		if (parked < 0)
			return err_sys(err, "park the pages of the image");
		close(*pages);
		*pages = parked;
	}
	return 0;
}

static int ghosts_make_all(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_files; i++) {
		int ret = 0;

		if (job->snap->files[i].deleted && S_ISDIR(job->snap->files[i].mode))
			ret = ghost_make_directory(job, i, err);
		else if (job->snap->files[i].nr_handle)
			ret = linked_find(job, i, err);
		else if (job->snap->files[i].mem != ID_NONE)
			ret = job->snap->files[i].deleted ? ghost_make(job, i, err)
							  : named_make(job, i, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static bool some_travelled(const struct job *job)
{
	for (uint32_t i = 0; i < job->snap->nr_files; i++)
		if (job->snap->files[i].deleted || job->snap->files[i].mem != ID_NONE)
			return true;
	return false;
}

int ghosts_make(struct job *job, struct err *err)
{
	uint32_t flags;
	mode_t callers;
	int ret;

	if (pages_park(job, err) < 0)
		return -err->code;
	for (uint32_t i = 0; i < job->snap->nr_ofds && !job->some_born; i++)
		job->some_born = reg_made_with(&job->snap->ofds[i], &flags) != ID_NONE;
	if (!some_travelled(job))
		return ghosts_make_all(job, err);
	/* What is made is opened again before it gets its mode. */
	callers = umask(077);
	ret = ghosts_make_all(job, err);
	umask(callers);
	return ret;
}

void ghosts_close(struct job *job)
{
	for (size_t i = 0; job->ghosts && i < job->snap->nr_files; i++)
		fd_close(&job->ghosts[i]);
	for (size_t i = 0; job->born_with && i < job->snap->nr_ofds; i++)
		fd_close(&job->born_with[i]);
}

void ghosts_undo(struct job *job)
{
	for (uint32_t i = 0; job->remade && i < job->snap->nr_files; i++)
		if (job->remade[i])
			unlink(job->snap->files[i].path);
}
