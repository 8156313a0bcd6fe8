/* memfds and SysV segments made anew and filled; see mems.h. */
#include "restore/mems.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/progress.h"
#include "restore/job.h"

/* linux/shm.h: SHM_DEST (removed, lives while attached), SHM_LOCKED. */
enum { SYSV_REMOVED = 01000, SYSV_LOCKED = 02000 };

/* As it has to be while it is filled and attached. */
enum { SYSV_NEW = IPC_CREAT | IPC_EXCL | 0600 };

/* Where there is no huge page left, a touch would end us (SIGBUS). */
static int huge_populate(
	const struct snap_mem *mem, char *to, uint64_t start, uint64_t len, struct err *err)
{
	uint64_t size = UINT64_C(1) << (mem->memfd_flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK);
	uint64_t from = start & ~(size - 1), end = (start + len + size - 1) & ~(size - 1);

	if (!(mem->memfd_flags & MFD_HUGETLB) ||
		madvise(to + from, end - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	err_ret(err, -ENOMEM, "huge pages of %s", mem->name ? mem->name : "shared memory");
	return err_hint(err, "give the machine more huge pages (sysctl vm.nr_hugepages)");
}

/* Stored runs of a memory object into a shared mapping of it. */
static int mem_fill(struct job *job, uint32_t mem, char *to, uint64_t size, struct err *err)
{
	size_t nr;
	const struct page_run *runs = pages_runs_of(&job->img.index, mem, &nr);

	for (size_t i = 0; i < nr; i++) {
		uint64_t len = (uint64_t)runs[i].nr_pages * PAGES_PAGE;

		if (runs[i].addr + len > size)
			len = size - runs[i].addr;
		if (huge_populate(&job->snap->mems[mem], to, runs[i].addr, len, err) < 0 ||
			pages_read(job->img.pages_fd, &job->img.index, mem, runs[i].addr,
				to + runs[i].addr, len, err) < 0)
			return err_wrap(err, "memory object %u", mem);
		progress_add(job->opts->progress, len);
	}
	return 0;
}

static int memfd_fill(struct job *job, uint32_t id, int fd, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	int ret;
	void *map;

	if (!mem->size)
		return 0;
	if (ftruncate(fd, (off_t)mem->size) < 0)
		return err_sys(err, "size of memfd %s", mem->name);
	map = mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "map memfd %s", mem->name);
	ret = mem_fill(job, id, map, mem->size, err);
	munmap(map, mem->size);
	return ret;
}

static int seals_add(int fd, const struct snap_mem *mem, struct err *err)
{
	if (mem->seals && fcntl(fd, F_ADD_SEALS, mem->seals) < 0)
		return err_sys(err, "seals of memfd %s", mem->name);
	return 0;
}

static bool maps_writable(const struct snap_mm *mm, uint32_t id)
{
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].mem == id && mm->vmas[i].flags & MAP_SHARED &&
			mm->vmas[i].vmflags & VMF_MAYWRITE)
			return true;
	return false;
}

bool mems_seals_wait(const struct job *job, uint32_t id)
{
	if (!(job->snap->mems[id].seals & F_SEAL_FUTURE_WRITE))
		return false;
	for (size_t i = 0; i < job->snap->nr_mms; i++)
		if (maps_writable(&job->snap->mms[i], id))
			return true;
	return false;
}

/* Made without MFD_ALLOW_SEALING, a memfd shows the one seal F_SEAL_SEAL. */
static int memfd_make(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	bool sealable = mem->seals != F_SEAL_SEAL;
	OWNED_FD fd = memfd_create(mem->name ? mem->name : "",
		MFD_CLOEXEC | mem->memfd_flags | (sealable ? MFD_ALLOW_SEALING : 0));

	if (fd < 0)
		return err_sys(err, "memfd_create %s", mem->name);
	if (memfd_fill(job, id, fd, err) < 0)
		return -err->code;
	if (job->privileged && mem->uid != ID_NONE &&
		(mem->uid != geteuid() || mem->gid != getegid()) &&
		fchown(fd, mem->uid, mem->gid) < 0)
		return err_sys(err, "owner of memfd %s", mem->name);
	if ((mem->mode & 07777) != 0777 && fchmod(fd, mem->mode & 07777) < 0)
		return err_sys(err, "mode of memfd %s", mem->name);
	if (sealable && !mems_seals_wait(job, id) && seals_add(fd, mem, err) < 0)
		return -err->code;
	job->mems[id] = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
	return job->mems[id] < 0 ? err_sys(err, "memfd %s", mem->name) : 0;
}

bool mems_is_file(const struct snap_mem *mem)
{
	return mem->kind == MEM_MEMFD || mem->kind == MEM_SHARED_HUGE;
}

/*
 * Shared anonymous huge pages cannot be mapped a second time with mremap(2), but through
 * map_files, by those who may (CAP_CHECKPOINT_RESTORE). Else a memfd has to do: in maps that is
 * another name.
 */
static int huge_open(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	void *map = mmap(NULL, mem->size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB |
			(int)(mem->memfd_flags & ~(uint32_t)MFD_HUGETLB),
		-1, 0);
	char path[80];
	int fd;

	if (map == MAP_FAILED)
		return err_sys(err, "map %llu bytes of huge pages", (unsigned long long)mem->size);
	snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)map,
		(unsigned long)map + mem->size);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = memfd_create("anon_hugepage", MFD_CLOEXEC | mem->memfd_flags);
	if (fd < 0)
		err_sys(err, "memfd_create");
	munmap(map, mem->size);
	return fd;
}

static int huge_make(struct job *job, uint32_t id, struct err *err)
{
	OWNED_FD fd = huge_open(job, id, err);

	if (fd < 0 || memfd_fill(job, id, fd, err) < 0)
		return -err->code;
	job->mems[id] = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
	return job->mems[id] < 0 ? err_sys(err, "huge pages") : 0;
}

int mems_seal(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_mems; i++) {
		const struct snap_mem *mem = &job->snap->mems[i];

		if (mem->kind == MEM_MEMFD && mem->seals != F_SEAL_SEAL &&
			mems_seals_wait(job, i) && seals_add(job->mems[i], mem, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- SysV
 * ------------------------------------------------------------------------------------------------
 */

/* Ask for an id (Documentation/admin-guide/sysctl/kernel.rst, shm_next_id; checkpoint/restore
 * only). */
static int sysv_ask_id(int32_t id)
{
	OWNED_FD fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);
	char text[16];
	int len = snprintf(text, sizeof text, "%d", id);

	return fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
}

/*
 * A segment that was not removed has outlived the program: it is taken again if it is the very same
 * one and nobody else has attached it.
 */
static int sysv_find(const struct snap_mem *mem)
{
	struct shmid_ds ds;

	if (shmctl(mem->sysv_id, IPC_STAT, &ds) < 0 || ds.shm_perm.__key != mem->sysv_key ||
		ds.shm_segsz != mem->size || ds.shm_nattch != 0)
		return -1;
	return mem->sysv_id;
}

static int sysv_create(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	bool removed = mem->mode & SYSV_REMOVED;
	bool asked = sysv_ask_id(mem->sysv_id) == 0;
	key_t key = removed ? IPC_PRIVATE : mem->sysv_key;
	int shm = shmget(key, mem->size, SYSV_NEW);

	/* More than the machine vouches for: only SHM_NORESERVE, which nothing shows, let it be. */
	if (shm < 0 && errno == ENOMEM) {
		sysv_ask_id(mem->sysv_id);
		shm = shmget(key, mem->size, SYSV_NEW | SHM_NORESERVE);
	}
	if (shm < 0) {
		err_sys(err, "SysV segment %d with key 0x%x", mem->sysv_id,
			(unsigned)mem->sysv_key);
		return err_hint(err, "see whether another program holds that key: ipcs -m");
	}
	job->sysv[id] = job->sysv_made[id] = shm;
	if (shm != mem->sysv_id && !removed) {
		err_set(err, EEXIST, "SysV segment %d: its id is taken or may not be chosen%s",
			mem->sysv_id, asked ? "" : " (that needs CAP_CHECKPOINT_RESTORE)");
		return err_hint(err, "remove the old segment (ipcrm -m %d), or restore as root",
			mem->sysv_id);
	}
	return 0;
}

static int sysv_make(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	int ret = 0;
	void *at;

	job->sysv[id] = mem->mode & SYSV_REMOVED ? -1 : sysv_find(mem);
	if (job->sysv[id] < 0 && sysv_create(job, id, err) < 0)
		return -err->code;
	at = shmat(job->sysv[id], NULL, 0);
	if (at == (void *)-1)
		return err_sys(err, "attach SysV segment %d", job->sysv[id]);
	/* A hole reads as zero: what a found segment holds of pages that are not stored goes. */
	if (job->sysv_made[id] < 0 && madvise(at, mem->size, MADV_REMOVE) < 0)
		ret = err_sys(err, "clear SysV segment %d", job->sysv[id]);
	if (!ret)
		ret = mem_fill(job, id, at, mem->size, err);
	shmdt(at);
	return ret;
}

/* ---- all
 * ---------------------------------------------------------------------------------------------------
 */

int mems_make(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_mems; i++) {
		enum snap_mem_kind kind = job->snap->mems[i].kind;
		int ret = 0;

		if (kind == MEM_MEMFD)
			ret = memfd_make(job, i, err);
		else if (kind == MEM_SHARED_HUGE)
			ret = huge_make(job, i, err);
		else if (kind == MEM_SYSV)
			ret = sysv_make(job, i, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Owner and mode, which could have kept us from attaching it; a found one has what others gave it.
 */
static int sysv_chown(const struct snap_mem *mem, int shm, struct err *err)
{
	struct shmid_ds ds;

	if (shmctl(shm, IPC_STAT, &ds) < 0)
		return err_sys(err, "SysV segment %d", shm);
	if (mem->uid != ID_NONE)
		ds.shm_perm.uid = mem->uid;
	if (mem->gid != ID_NONE)
		ds.shm_perm.gid = mem->gid;
	ds.shm_perm.mode = mem->mode & 0777;
	if (shmctl(shm, IPC_SET, &ds) == 0)
		return 0;
	err_sys(err, "give SysV segment %d to user %u, group %u", shm, mem->uid, mem->gid);
	return err_hint(err, "restore as root");
}

static int sysv_finish(const struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	int shm = job->sysv[id];

	if (job->sysv_made[id] >= 0 && sysv_chown(mem, shm, err) < 0)
		return -err->code;
	if (job->sysv_made[id] >= 0 && mem->mode & SYSV_LOCKED && shmctl(shm, SHM_LOCK, NULL) < 0)
		return err_sys(err, "lock SysV segment %d", shm);
	if (mem->mode & SYSV_REMOVED && shmctl(shm, IPC_RMID, NULL) < 0)
		return err_sys(err, "remove SysV segment %d", shm);
	return 0;
}

int mems_finish(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_mems; i++)
		if (job->snap->mems[i].kind == MEM_SYSV && sysv_finish(job, i, err) < 0)
			return -err->code;
	return 0;
}

void mems_undo(struct job *job)
{
	for (uint32_t i = 0; job->sysv && i < job->snap->nr_mems; i++)
		if (job->sysv_made[i] >= 0)
			shmctl(job->sysv_made[i], IPC_RMID, NULL);
}

int mems_fd(const struct fd_make *m, uint32_t mem, int *fd, struct err *err)
{
	const struct job *job = m->priv;

	if (job->mems[mem] < 0)
		return err_set(err, EBADMSG, "memory object %u is no memfd", mem);
	*fd = job->mems[mem];
	return 0;
}
