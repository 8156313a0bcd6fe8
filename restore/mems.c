/* Memory outside address spaces, made anew and filled; see mems.h. */
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
#include "restore/cousins.h"
#include "restore/job.h"

/* SHM_DEST (removed, lives while attached) and SHM_LOCKED of linux/shm.h. */
enum { SYSV_REMOVED = 01000, SYSV_LOCKED = 02000 };

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

/* Stored runs of a memory object into a shared mapping of it; the last page with what was written
 * behind the end. */
static int mem_fill(struct job *job, uint32_t mem, char *to, uint64_t size, struct err *err)
{
	const uint64_t end = (size + PAGES_PAGE - 1) / PAGES_PAGE * PAGES_PAGE;
	size_t nr;
	const struct page_run *runs = pages_runs_of(&job->img.index, mem, &nr);

	for (size_t i = 0; i < nr; i++) {
		uint64_t len = (uint64_t)runs[i].nr_pages * PAGES_PAGE;

		if (runs[i].addr + len > end)
			len = end - runs[i].addr;
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

bool mems_is_file(const struct job *job, uint32_t id)
{
	return job->mems[id] >= 0;
}

/* "/proc/self/map_files/7f0000000000-7f0000001000" */
static int map_files_open(const void *map, uint64_t len)
{
	char path[80];

	snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)map,
		(unsigned long)map + len);
	return open(path, O_RDWR | O_CLOEXEC);
}

/*
 * Shared anonymous memory that not all can inherit, and such huge pages, which cannot be mapped a
 * second time with mremap(2): through map_files, by those who may (CAP_CHECKPOINT_RESTORE). Else a
 * memfd has to do: in maps that is another name.
 */
static int shared_open(struct job *job, uint32_t id, const char *name, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	uint64_t len = (mem->size + PAGES_PAGE - 1) / PAGES_PAGE * PAGES_PAGE;
	uint32_t size = mem->memfd_flags & ~(uint32_t)MFD_HUGETLB;
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE |
			(mem->kind == MEM_SHARED_HUGE ? MAP_HUGETLB | (int)size : 0),
		-1, 0);
	int fd;

	if (map == MAP_FAILED)
		return err_sys(err, "map %llu bytes of shared memory", (unsigned long long)len);
	fd = map_files_open(map, len);
	if (fd < 0) {
		log_info("shared anonymous memory is a memfd now: %m");
		fd = memfd_create(name, MFD_CLOEXEC | mem->memfd_flags);
	}
	if (fd < 0)
		err_sys(err, "memfd_create");
	munmap(map, len);
	return fd;
}

static int shared_make(struct job *job, uint32_t id, const char *name, struct err *err)
{
	OWNED_FD fd = shared_open(job, id, name, err);

	if (fd < 0 || memfd_fill(job, id, fd, err) < 0)
		return -err->code;
	job->mems[id] = fcntl(fd, F_DUPFD_CLOEXEC, job->park);
	return job->mems[id] < 0 ? err_sys(err, "shared memory") : 0;
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

/* Maps shows the key. One that was removed does without where somebody else has taken it. */
static int sysv_get(const struct snap_mem *mem)
{
	int flags = IPC_CREAT | IPC_EXCL | (int)(mem->mode & 0777);
	int shm = shmget(mem->sysv_key, mem->size, flags);

	/* More than the machine vouches for: only SHM_NORESERVE, which nothing shows, let it be. */
	if (shm < 0 && errno == ENOMEM) {
		sysv_ask_id(mem->sysv_id);
		shm = shmget(mem->sysv_key, mem->size, flags | SHM_NORESERVE);
	}
	if (shm < 0 && errno == EEXIST && mem->mode & SYSV_REMOVED)
		shm = shmget(IPC_PRIVATE, mem->size, flags);
	return shm;
}

/* Without the privilege, it belongs to who restores it. */
static int sysv_attributes(
	const struct job *job, const struct snap_mem *mem, int shm, struct err *err)
{
	struct shmid_ds ds = {
		.shm_perm = { .uid = mem->uid, .gid = mem->gid, .mode = mem->mode & 0777 }
	};

	if (job->privileged && mem->uid != ID_NONE &&
		(mem->uid != geteuid() || mem->gid != getegid()) && shmctl(shm, IPC_SET, &ds) < 0)
		return err_sys(err, "owner of SysV segment %d", shm);
	if (!(mem->mode & SYSV_LOCKED) || shmctl(shm, SHM_LOCK, NULL) == 0)
		return 0;
	err_sys(err, "lock SysV segment %d in memory", shm);
	return err_hint(err, "raise RLIMIT_MEMLOCK (ulimit -l), or restore as root");
}

static int sysv_create(struct job *job, uint32_t id, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[id];
	bool removed = mem->mode & SYSV_REMOVED;
	bool asked = sysv_ask_id(mem->sysv_id) == 0;
	int shm = sysv_get(mem);

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
	return sysv_attributes(job, mem, shm, err);
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
	const bool *cousins = cousins_find(job->snap);

	for (uint32_t i = 0; i < job->snap->nr_mems; i++) {
		enum snap_mem_kind kind = job->snap->mems[i].kind;
		int ret = 0;

		if (kind == MEM_MEMFD)
			ret = memfd_make(job, i, err);
		else if (kind == MEM_SHARED_HUGE)
			ret = shared_make(job, i, "anon_hugepage", err);
		else if (cousins && cousins[i])
			ret = shared_make(job, i, "dev/zero", err);
		else if (kind == MEM_SYSV)
			ret = sysv_make(job, i, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int mems_remove(struct job *job, struct err *err)
{
	for (uint32_t i = 0; i < job->snap->nr_mems; i++) {
		const struct snap_mem *mem = &job->snap->mems[i];

		if (mem->kind == MEM_SYSV && mem->mode & SYSV_REMOVED &&
			shmctl(job->sysv[i], IPC_RMID, NULL) < 0)
			return err_sys(err, "remove SysV segment %d", job->sysv[i]);
	}
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
