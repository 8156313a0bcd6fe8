/* The registry of files; see files.h. */
#include "dump/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/build_id.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "dump/contents.h"
#include "dump/dumping.h"
#include "dump/file_attributes.h"
#include "dump/fds.h"
#include "dump/file_names.h"
#include "dump/mapped_copy.h"
#include "dump/readable.h"

static const char DELETED[] = " (deleted)";
enum { TRAVEL_LIMIT = 16 * 1024 * 1024, WRITTEN_LIMIT = 1024 * 1024 };

/* What maps says of a file that is registered already: most files have several mappings. */
struct file_mapped {
	uint64_t dev, ino;
	const char *path;
	uint32_t id;
};

struct file_table {
	struct file_mapped *mapped;
	size_t nr_mapped, cap_mapped;
};

struct file_table *file_table_create(struct dumping *d)
{
	return arena_alloc(d->snap->arena, sizeof(struct file_table));
}

static bool stat_is(const char *path, const struct stat *st)
{
	struct stat now;

	return !stat(path, &now) && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/* The path behind a link of /proc, and whether the file is still there under it. */
static char *path_of_link(struct arena *a, const char *link, const struct stat *st, bool *deleted)
{
	size_t len = strlen(link);

	*deleted = !stat_is(link, st);
	if (!*deleted || !text_ends(link, DELETED))
		return arena_strdup(a, link);
	link = arena_strndup(a, link, len - strlen(DELETED));
	*deleted = !stat_is(link, st);
	return arena_strdup(a, link);
}

/* A file without any name is one file, whatever names it was opened by. */
static bool same_file(
	const struct snap_file *f, const struct stat *st, const char *path, bool deleted)
{
	bool nameless = deleted && !st->st_nlink && S_ISREG(st->st_mode);

	return f->ino == st->st_ino && f->dev == st->st_dev && f->deleted == deleted &&
	       (nameless || !strcmp(f->path, path));
}

/* The contents travel: they become a memory object of their own. */
static int file_travel(struct dumping *d, uint32_t id, int fd, struct err *err)
{
	uint64_t size = d->snap->files[id].size;
	OWNED_READABLE readable = READABLE_NONE;
	struct snap_mem *mem;
	uint32_t mem_id;

	if (d->snap->files[id].mem != ID_NONE)
		return 0;
	if (readable_open(fd, &readable, err) < 0)
		return err_wrap(err, "%s", d->snap->files[id].path);
	mem = snap_add_mem(d->snap, MEM_FILE);
	mem_id = (uint32_t)(mem - d->snap->mems);
	mem->size = size;
	mem->mode = d->snap->files[id].mode & 07777;
	d->snap->files[id].mem = mem_id;
	if (file_attributes_collect(d->snap->arena, readable.fd, &d->snap->files[id], err) < 0)
		return -err->code;
	return contents_save_fd(d, mem_id, readable.fd, size, err);
}

/*
 * A file that has lost this name and kept another (a hard link) is found again by its handle, where
 * the file system has such and whoever restores has CAP_DAC_READ_SEARCH. Its contents need not
 * travel.
 */
static bool file_note_handle(struct dumping *d, uint32_t id, int fd)
{
	struct snap_file *file = &d->snap->files[id];
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	if (name_to_handle_at(fd, "", &h.head, &mount, AT_EMPTY_PATH) < 0)
		return false;
	file->handle = arena_copy(d->snap->arena, h.head.f_handle, h.head.handle_bytes);
	file->nr_handle = h.head.handle_bytes;
	file->handle_type = h.head.handle_type;
	return true;
}

/* Who cannot open handles has to know the other name, or what is written there would be lost. */
static int file_renamed(struct dumping *d, uint32_t id, const struct stat *st, struct err *err)
{
	struct snap_file *file = &d->snap->files[id];
	char *name;

	if (file_handle_opens(file))
		return 0;
	name = file_name_beside(d->snap->arena, file->path, st->st_dev, st->st_ino);
	if (!name) {
		err_set(err, ENOTSUP,
			"this name was removed, and the file has another one, in another "
			"directory");
		return err_hint(
			err, "dump and restore as root (CAP_DAC_READ_SEARCH), who finds it");
	}
	file->path = name;
	file->deleted = false;
	file->nr_handle = 0;
	return 0;
}

static int deleted_lease(struct err *err)
{
	err_set(err, ENOTSUP,
		"it has a lease for writing, which cannot be taken again where the file has been "
		"removed");
	return err_hint(err, "let the program give back the lease (F_SETLEASE) before the dump");
}

static int file_deleted(struct dumping *d, uint32_t id, int fd, struct err *err)
{
	const struct snap_file *file = &d->snap->files[id];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat %s", file->path);
	if ((S_ISREG(file->mode) || S_ISFIFO(file->mode)) && st.st_nlink > 0 &&
		file_note_handle(d, id, fd))
		return file_renamed(d, id, &st, err);
	if (S_ISREG(file->mode) && fcntl(fd, F_GETLEASE) == F_WRLCK)
		return deleted_lease(err);
	if (S_ISREG(file->mode))
		return file_travel(d, id, fd, err);
	return 0;
}

static uint32_t file_register(struct dumping *d, const struct stat *st, char *path, bool deleted)
{
	struct snap_file *file = snap_add_file(d->snap);

	file->path = path;
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->mode = st->st_mode;
	file->size = (uint64_t)st->st_size;
	file->mtime = st->st_mtim;
	file->uid = st->st_uid;
	file->gid = st->st_gid;
	file->deleted = deleted;
	return (uint32_t)(file - d->snap->files);
}

int files_add(struct dumping *d, int fd, const char *link, uint32_t *id, struct err *err)
{
	struct stat st;
	bool deleted;
	char *path;
	int ret;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat %s", link);
	path = path_of_link(d->snap->arena, link, &st, &deleted);
	for (size_t i = 0; i < d->snap->nr_files; i++)
		if (same_file(&d->snap->files[i], &st, path, deleted)) {
			*id = (uint32_t)i;
			return 0;
		}
	*id = file_register(d, &st, path, deleted);
	ret = deleted ? file_deleted(d, *id, fd, err) : 0;
	return ret < 0 ? err_wrap(err, "%s", link) : 0;
}

int files_add_link_at(
	struct dumping *d, int procfd, const char *name, uint32_t *id, struct err *err)
{
	OWNED_FD fd = openat(procfd, name, O_PATH | O_CLOEXEC);
	char *link;
	int ret;

	if (fd < 0)
		return err_sys(err, "open %s below /proc", name);
	ret = proc_link(procfd, name, d->snap->arena, &link, err);
	return ret < 0 ? ret : files_add(d, fd, link, id, err);
}

int files_add_link(struct dumping_proc *p, const char *name, uint32_t *id, struct err *err)
{
	return files_add_link_at(p->d, p->dir, name, id, err);
}

static bool on_tmpfs(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC;
}

/*
 * Files that will not wait for us travel. Of what is open: small ones on tmpfs, which are gone
 * after a reboot, and those that the program writes, which it or another one removes at its end.
 * Those that cannot be read have to wait.
 */
int files_open_travels(struct dumping *d, int fd, uint32_t id, struct err *err)
{
	const struct snap_file *file = &d->snap->files[id];
	int flags = fcntl(fd, F_GETFL);
	OWNED_READABLE readable = READABLE_NONE;

	if (!S_ISREG(file->mode) || file->deleted || file->mem != ID_NONE || flags < 0 ||
		flags & O_PATH)
		return 0;
	if (!(on_tmpfs(fd) ? file->size <= TRAVEL_LIMIT
			   : (flags & O_ACCMODE) != O_RDONLY && file->size <= WRITTEN_LIMIT))
		return 0;
	if (readable_open(fd, &readable, NULL) < 0)
		return 0;
	return file_travel(d, id, fd, err);
}

/* ---- files of mappings ------------------------------------------------------------------ */

/* Btrfs and overlayfs show one device number in maps and another one in stat; inodes agree. */
static bool maps_and_stat_agree(const struct proc_vma *vma, const struct stat *st)
{
	return st->st_ino == vma->ino && (st->st_dev == vma->dev || !text_ends(vma->path, DELETED));
}

static int mapped_open_named(const struct proc_vma *vma)
{
	int fd = open(vma->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && maps_and_stat_agree(vma, &st))
		return fd;
	fd_close(&fd);
	return -1;
}

static int mapped_open_exe(int procfd, const struct proc_vma *vma)
{
	int fd = openat(procfd, "exe", O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && st.st_ino == vma->ino && st.st_dev == vma->dev)
		return fd;
	fd_close(&fd);
	return -1;
}

/* Removed, but for another name beside it. */
static int mapped_open_beside(struct arena *arena, const struct proc_vma *vma)
{
	size_t len = strlen(vma->path) - strlen(DELETED);
	const char *name;

	if (vma->path[0] != '/' || !text_ends(vma->path, DELETED))
		return -1;
	name = file_name_beside(
		arena, arena_strndup(arena, vma->path, len), vma->dev, (ino_t)vma->ino);
	return name ? open(name, O_PATH | O_CLOEXEC) : -1;
}

static int mapped_open_slot(struct dumping_proc *p, const struct proc_vma *vma)
{
	int *nums, fd = -1;
	size_t nr;

	if (proc_fds(p->dir, p->d->snap->arena, &nums, &nr, NULL) < 0)
		return -1;
	for (size_t i = 0; i < nr; i++) {
		char name[32];
		struct stat st;

		snprintf(name, sizeof name, "fd/%d", nums[i]);
		if (!fstatat(p->dir, name, &st, 0) && st.st_ino == vma->ino &&
			st.st_dev == vma->dev && !seen_getfd(p, nums[i], &fd, NULL))
			return fd;
	}
	return -1;
}

/* Who maps it has mostly closed it; others of the tree may have it open. */
static int mapped_open_any_slot(struct dumping_proc *p, const struct proc_vma *vma)
{
	int fd = mapped_open_slot(p, vma);

	for (size_t i = 0; fd < 0 && i < p->d->nr_procs; i++)
		fd = mapped_open_slot(&p->d->procs[i], vma);
	return fd;
}

static int mapped_open(
	struct dumping_proc *p, const struct proc_vma *vma, int *out, struct err *err)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "map_files/%llx-%llx", (unsigned long long)vma->start,
		(unsigned long long)vma->end);
	fd = openat(p->dir, name, O_PATH | O_CLOEXEC);
	if (fd < 0)
		fd = mapped_open_named(vma);
	if (fd < 0)
		fd = mapped_open_exe(p->dir, vma);
	if (fd < 0)
		fd = mapped_open_any_slot(p, vma);
	if (fd < 0)
		fd = mapped_open_beside(p->d->snap->arena, vma);
	if (fd >= 0) {
		*out = fd;
		return 0;
	}
	err_set(err, ENOTSUP,
		"mapping %llx-%llx: %s is no longer there, and its contents cannot be "
		"read",
		(unsigned long long)vma->start, (unsigned long long)vma->end, vma->path);
	return err_hint(err, "run snapctl as root (or with CAP_CHECKPOINT_RESTORE), or restart the "
			     "program so that it maps the files as they are now");
}

int files_check_mapped(struct dumping_proc *p, const struct proc_vma *vma, struct err *err)
{
	OWNED_FD fd = -1;

	return mapped_copy_can(vma) ? 0 : mapped_open(p, vma, &fd, err);
}

/*
 * Files that will not wait for us travel: what is mapped shared on tmpfs (shm_open: memory in all
 * but name, gone after a reboot), and small files that the program writes to through a mapping,
 * which it or another program removes at its end (Java's /tmp/hsperfdata_USER/PID).
 */
static bool will_not_wait(const struct proc_vma *vma, int fd, uint64_t size)
{
	bool writable = strstr(vma->vmflags, "mw") != NULL;

	return vma->shared && (on_tmpfs(fd) || (writable && size <= TRAVEL_LIMIT));
}

/* A write lease needs a file that is open once, and the mapping will be of another open file. */
static int mapped_lease_check(struct dumping_proc *p, const struct proc_vma *vma, struct err *err)
{
	OWNED_FD slot = vma->shared ? mapped_open_any_slot(p, vma) : -1;

	if (slot < 0 || fcntl(slot, F_GETLEASE) != F_WRLCK)
		return 0;
	err_set(err, ENOTSUP,
		"%s is mapped and has a lease for writing, which cannot be taken again", vma->path);
	return err_hint(err, "let the program give back the lease (F_SETLEASE) before the dump");
}

static int mapped_travels(
	struct dumping_proc *p, const struct proc_vma *vma, int fd, uint32_t id, struct err *err)
{
	const struct snap_file *file = &p->d->snap->files[id];
	int ret = 0;

	if (!S_ISREG(file->mode))
		return 0;
	if (p->d->opts->embed || will_not_wait(vma, fd, file->size))
		ret = file_travel(p->d, id, fd, err);
	if (ret != -EACCES || p->d->opts->embed)
		return ret;
	log_info("%s: its contents do not travel, as we may not read them", file->path);
	return 0;
}

static const struct file_mapped *mapped_find(
	const struct file_table *table, const struct proc_vma *vma)
{
	for (size_t i = table->nr_mapped; i > 0; i--) {
		const struct file_mapped *m = &table->mapped[i - 1];

		if (m->dev == vma->dev && m->ino == vma->ino && !strcmp(m->path, vma->path))
			return m;
	}
	return NULL;
}

/* A file that we may run but not read (mode 0711) has none for us. */
static void mapped_build_id(struct dumping *d, uint32_t id, int fd)
{
	struct snap_file *file = &d->snap->files[id];
	OWNED_FD readable = -1;

	if (!file->nr_build_id && S_ISREG(file->mode) && !file_reopen(fd, &readable, NULL))
		file->nr_build_id = build_id_read(readable, file->build_id);
}

int files_add_mapped(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t *id, struct err *err)
{
	struct file_table *table = p->d->files;
	const struct file_mapped *known = mapped_find(table, vma);
	struct arena *a = p->d->snap->arena;
	OWNED_FD fd = -1;
	int ret;

	if (known && !(vma->prot & PROT_EXEC) && !vma->shared) {
		*id = known->id;
		return 0;
	}
	ret = mapped_open(p, vma, &fd, err);
	if (ret == -ENOTSUP && mapped_copy_can(vma)) {
		if (known) {
			*id = known->id;
			return 0;
		}
		ret = mapped_copy(p, vma, &fd, err);
	}
	if (!ret)
		ret = files_add(p->d, fd, vma->path, id, err);
	if (!ret && vma->prot & PROT_EXEC)
		mapped_build_id(p->d, *id, fd);
	if (!ret)
		ret = mapped_lease_check(p, vma, err);
	if (!ret)
		ret = mapped_travels(p, vma, fd, *id, err);
	if (ret < 0 || known)
		return ret;
	table->mapped = arena_grow(
		a, table->mapped, table->nr_mapped, &table->cap_mapped, sizeof *table->mapped);
	table->mapped[table->nr_mapped++] = (struct file_mapped){ vma->dev, vma->ino, vma->path,
		*id };
	return 0;
}
