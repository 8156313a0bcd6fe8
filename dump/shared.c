/* Memory objects; see shared.h. */
#include "dump/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/contents.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "dump/readable.h"
#include "dump/shared_mapped.h"
#include "dump/vma.h"

static const char DELETED[] = " (deleted)";

struct mem_known {
	bool sysv; /* their inode numbers are their ids, from 0 on; others count for themselves */
	uint64_t dev, ino;
	uint32_t id;
};

struct mem_table {
	uint64_t dev; /* of the kernel's own tmpfs mount, where memory objects live */
	struct mem_known *known;
	size_t nr, cap;
};

struct mem_table *mem_table_create(struct dumping *d, struct err *err)
{
	struct mem_table *table = arena_alloc(d->snap->arena, sizeof *table);
	OWNED_FD fd = memfd_create("snapctl", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, "memfd_create");
		return NULL;
	}
	table->dev = st.st_dev;
	return table;
}

static bool is_sysv(const struct proc_vma *vma)
{
	return text_starts(vma->path, "/SYSV");
}

bool shared_is_object(const struct dumping *d, const struct proc_vma *vma)
{
	/* Huge pages have mounts of their own, one for each size. */
	if (vma_flags(vma->vmflags) & VMF_HUGETLB)
		return text_starts(vma->path, "/memfd:") ||
		       (vma->shared && text_starts(vma->path, "/anon_hugepage"));
	return vma->dev == d->mems->dev;
}

bool shared_is_same(const struct proc_vma *a, const struct proc_vma *b)
{
	return a->dev == b->dev && a->ino == b->ino && is_sysv(a) == is_sysv(b);
}

static bool mem_find(
	const struct mem_table *table, bool sysv, uint64_t dev, uint64_t ino, uint32_t *id)
{
	for (size_t i = 0; i < table->nr; i++)
		if (table->known[i].sysv == sysv && table->known[i].dev == dev &&
			table->known[i].ino == ino) {
			*id = table->known[i].id;
			return true;
		}
	return false;
}

static struct snap_mem *mem_add(
	struct dumping *d, uint64_t dev, uint64_t ino, enum snap_mem_kind kind, uint32_t *id)
{
	struct snap_mem *mem = snap_add_mem(d->snap, kind);
	struct mem_table *table = d->mems;

	*id = (uint32_t)(mem - d->snap->mems);
	table->known = arena_grow(
		d->snap->arena, table->known, table->nr, &table->cap, sizeof *table->known);
	table->known[table->nr++] = (struct mem_known){ kind == MEM_SYSV, dev, ino, *id };
	return mem;
}

/* "/memfd:NAME (deleted)" -> NAME. */
static char *memfd_name(struct arena *a, const char *link)
{
	size_t len;

	link += strlen("/memfd:");
	len = strlen(link);
	if (text_ends(link, DELETED))
		len -= strlen(DELETED);
	return arena_strndup(a, link, len);
}

/* MFD_HUGETLB with its size, where the file is made of such. */
static int huge_flags(int fd, uint32_t *flags, struct err *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "fstatfs");
	if (fs.f_type == HUGETLBFS_MAGIC)
		*flags |= MFD_HUGETLB |
			  ((uint32_t)__builtin_ctzl((unsigned long)fs.f_bsize) << MAP_HUGE_SHIFT);
	return 0;
}

static int mem_fill_memfd(
	struct dumping *d, struct snap_mem *mem, int fd, const char *link, struct err *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "%s", link);
	mem->name = memfd_name(d->snap->arena, link);
	mem->seals = (uint32_t)seals;
	mem->mode = st.st_mode & 07777;
	mem->uid = st.st_uid;
	mem->gid = st.st_gid;
	mem->memfd_flags = seals & F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING;
	mem->size = (uint64_t)st.st_size;
	return huge_flags(fd, &mem->memfd_flags, err);
}

int shared_of_memfd(struct dumping *d, int fd, const struct stat *st, const char *link,
	uint32_t *mem, struct err *err)
{
	OWNED_READABLE readable = READABLE_NONE;
	int ret;

	if (mem_find(d->mems, false, st->st_dev, st->st_ino, mem))
		return 0;
	/* Our own description: reading must not move the position of the target's. */
	ret = readable_open(fd, &readable, err);
	if (!ret)
		ret = mem_fill_memfd(d, mem_add(d, st->st_dev, st->st_ino, MEM_MEMFD, mem),
			readable.fd, link, err);
	if (!ret)
		ret = contents_save_fd(d, *mem, readable.fd, d->snap->mems[*mem].size, err);
	return ret < 0 ? err_wrap(err, "%s", link) : 0;
}

/* ---- mappings --------------------------------------------------------------------------- */

static enum snap_mem_kind kind_of(const struct proc_vma *vma)
{
	if (text_starts(vma->path, "/memfd:"))
		return MEM_MEMFD;
	if (is_sysv(vma))
		return MEM_SYSV;
	return text_starts(vma->path, "/anon_hugepage") ? MEM_SHARED_HUGE : MEM_SHARED_ANON;
}

static size_t vmas_of_object(const struct dumping_proc *p, const struct proc_vma *vma)
{
	size_t nr = 0;

	for (size_t i = 0; i < p->nr_vmas; i++)
		nr += shared_is_same(&p->vmas[i], vma);
	return nr;
}

/* Attachments are counted per mapping, so more than ours belong to somebody else. */
static int sysv_check_shared(const struct dumping_proc *p, const struct proc_vma *vma,
	const struct shmid_ds *ds, struct err *err)
{
	size_t ours = 0;

	for (size_t i = 0; i < p->d->nr_procs; i++)
		ours += vmas_of_object(&p->d->procs[i], vma);
	if (ds->shm_nattch <= ours)
		return 0;
	err_set(err, ENOTSUP, "SysV segment %d (key %#x) is attached by another process too",
		(int)vma->ino, ds->shm_perm.__key);
	return err_hint(err,
		"end the other process first; `ipcs -mp` names the creator and the last "
		"user");
}

static int sysv_stat(const struct dumping_proc *p, const struct proc_vma *vma, struct shmid_ds *ds,
	struct err *err)
{
	/* The inode number of a segment is its id: newseg() in ipc/shm.c. */
	if (shmctl((int)vma->ino, IPC_STAT, ds) < 0)
		return err_sys(err, "shmctl of segment %d", (int)vma->ino);
	return sysv_check_shared(p, vma, ds, err);
}

int shared_check(const struct dumping_proc *p, const struct proc_vma *vma, struct err *err)
{
	struct shmid_ds ds;

	if (!shared_is_object(p->d, vma) || kind_of(vma) != MEM_SYSV)
		return 0;
	/* One objection for each object. */
	for (const struct proc_vma *before = p->vmas; before < vma; before++)
		if (shared_is_same(before, vma))
			return 0;
	return sysv_stat(p, vma, &ds, err);
}

/* One that was removed has lost its key; maps still shows it. */
static int32_t sysv_key(const struct proc_vma *vma, const struct shmid_ds *ds)
{
	unsigned key;

	if (ds->shm_perm.mode & SHM_DEST && sscanf(vma->path, "/SYSV%8x", &key) == 1)
		return (int32_t)key;
	return ds->shm_perm.__key;
}

static int mem_fill_sysv(
	struct dumping_proc *p, const struct proc_vma *vma, struct snap_mem *mem, struct err *err)
{
	struct shmid_ds ds;
	int ret = sysv_stat(p, vma, &ds, err);

	if (ret < 0)
		return ret;
	mem->sysv_id = (int32_t)vma->ino;
	mem->sysv_key = sysv_key(vma, &ds);
	mem->mode = ds.shm_perm.mode & (0777 | SHM_DEST | SHM_LOCKED);
	mem->uid = ds.shm_perm.uid;
	mem->gid = ds.shm_perm.gid;
	mem->size = ds.shm_segsz;
	return 0;
}

/* Root reads an object as a file; others have to look at the pages that are mapped. */
static int map_files_open(struct dumping_proc *p, const struct proc_vma *vma)
{
	OWNED_FD path = -1;
	char name[64];
	int fd;

	snprintf(name, sizeof name, "map_files/%llx-%llx", (unsigned long long)vma->start,
		(unsigned long long)vma->end);
	path = openat(p->dir, name, O_PATH | O_CLOEXEC);
	return path >= 0 && !file_reopen(path, &fd, NULL) ? fd : -1;
}

/* A descriptor of the target for the same object, where it has kept one. */
static int slot_open(struct dumping_proc *p, const struct proc_vma *vma)
{
	OWNED_FD theirs = -1;
	int *nums, fd;
	size_t nr;

	if (proc_fds(p->dir, p->d->snap->arena, &nums, &nr, NULL) < 0)
		return -1;
	for (size_t i = 0; i < nr; i++) {
		char name[32];
		struct stat st;

		snprintf(name, sizeof name, "fd/%d", nums[i]);
		if (fstatat(p->dir, name, &st, 0) || st.st_ino != vma->ino || st.st_dev != vma->dev)
			continue;
		if (seen_getfd(p, nums[i], &theirs, NULL) < 0)
			return -1;
		return file_reopen(theirs, &fd, NULL) < 0 ? -1 : fd;
	}
	return -1;
}

static int mem_save_file(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t id, int fd, struct err *err)
{
	struct snap_mem *mem = &p->d->snap->mems[id];
	struct stat st;
	int ret = 0;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat");
	mem->size = (uint64_t)st.st_size;
	if (mem->kind == MEM_MEMFD)
		ret = mem_fill_memfd(p->d, mem, fd, vma->path, err);
	return ret < 0 ? ret : contents_save_fd(p->d, id, fd, (uint64_t)st.st_size, err);
}

/* No descriptor is left and we may not open one: what is mapped is what there is to save. */
static int mem_save_mapped(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t id, struct err *err)
{
	struct snap_mem *mem = &p->d->snap->mems[id];
	uint64_t end;

	if (shared_mapped_extent(p->d, vma, &end, err) < 0)
		return -err->code;
	/* That of a SysV segment is known, and ends within its last page. */
	if (mem->size < end && mem->kind != MEM_SYSV)
		mem->size = end;
	if (mem->kind == MEM_MEMFD) {
		mem->name = memfd_name(p->d->snap->arena, vma->path);
		mem->mode = 0777;
		mem->seals = F_SEAL_SEAL;
	}
	return shared_mapped_save(p->d, vma, id, err);
}

int shared_collect(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t *id, struct err *err)
{
	struct snap_mem *mem;
	OWNED_FD fd = -1;
	int ret = 0;

	if (mem_find(p->d->mems, is_sysv(vma), vma->dev, vma->ino, id))
		return 0;
	mem = mem_add(p->d, vma->dev, vma->ino, kind_of(vma), id);
	if (mem->kind == MEM_SHARED_HUGE)
		mem->memfd_flags = MFD_HUGETLB |
				   ((uint32_t)__builtin_ctz(vma->page_size) << MAP_HUGE_SHIFT);
	if (mem->kind == MEM_SYSV)
		ret = mem_fill_sysv(p, vma, mem, err);
	if (ret < 0)
		return ret;
	fd = map_files_open(p, vma);
	if (fd < 0 && mem->kind != MEM_SYSV)
		fd = slot_open(p, vma);
	return fd >= 0 ? mem_save_file(p, vma, *id, fd, err) : mem_save_mapped(p, vma, *id, err);
}
