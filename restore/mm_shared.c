/* Shared mappings of memory objects, as steps; see mm_shared.h. */
#include "restore/mm_shared.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "restore/job.h"
#include "restore/mems.h"
#include "restore/mm.h"

enum { SYSV_REMOVED = 01000 }; /* SHM_DEST of linux/shm.h */

/* A memfd may be mapped privately, too: then the private pages are those of the address space. */
static void plan_mmap_shared(struct job *job, uint64_t addr, uint64_t len, uint64_t prot, int fd,
	const struct snap_vma *vma)
{
	uint64_t flags = (vma->flags & (MAP_TYPE | MAP_NORESERVE)) | MAP_FIXED |
			 (fd < 0 ? MAP_ANONYMOUS : 0);

	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){
			{ addr, len, prot, flags, (uint64_t)fd, fd < 0 ? 0 : vma->offset } });
}

static int sysv_plan(struct job *job, const struct snap_vma *vma, struct err *err)
{
	const struct snap_mem *mem = &job->snap->mems[vma->mem];
	uint64_t flags = (vma->prot & PROT_WRITE ? 0 : SHM_RDONLY) |
			 (vma->prot & PROT_EXEC ? SHM_EXEC : 0);
	struct blob_step *step;

	if (vma->offset || vma->end - vma->start != (mem->size + 4095) / 4096 * 4096) {
		err_set(err, ENOTSUP, "SysV segment %d is attached at %llx only in part",
			mem->sysv_id, (unsigned long long)vma->start);
		return err_hint(err, "detach it before the dump");
	}
	step = plan_step(&job->plan, 0, BLOB_SYSCALL_IS);
	step->nr = SYS_shmat;
	step->args[0] = (uint64_t)job->sysv[vma->mem];
	step->args[1] = vma->start;
	step->args[2] = flags;
	step->expect = (int64_t)vma->start;
	return 0;
}

/* Is this the only mapping of its object, and of all of it? */
static bool is_alone(const struct job *job, const struct snap_vma *vma)
{
	const struct snap_mm *mm = job->mm;

	if (vma->offset ||
		vma->end - vma->start != (job->snap->mems[vma->mem].size + 4095) / 4096 * 4096)
		return false;
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].kind == VMA_SHARED && mm->vmas[i].mem == vma->mem &&
			&mm->vmas[i] != vma)
			return false;
	return true;
}

/* Filling writes through /proc/PID/mem, which cannot force its way into a shared mapping. */
static int anon_plan(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err)
{
	uint64_t size = (job->snap->mems[vma->mem].size + 4095) / 4096 * 4096;
	uint64_t at;

	if (job->mem_staged[vma->mem])
		return 0;
	if (is_alone(job, vma)) {
		plan_mmap_shared(
			job, vma->start, vma->end - vma->start, PROT_READ | PROT_WRITE, -1, vma);
		job->mem_at[vma->mem] = vma->start;
		return 0;
	}
	at = mm_hole(job, fresh, size, job->hole_next);
	if (!at)
		return err_set(err, ENOMEM, "no hole of %llu bytes in the address space",
			(unsigned long long)size);
	job->hole_next = at + size;
	plan_mmap_shared(job, at, size, PROT_READ | PROT_WRITE, -1, vma);
	job->mem_at[vma->mem] = job->mem_staged[vma->mem] = at;
	return 0;
}

static void memfd_plan(struct job *job, const struct snap_vma *vma)
{
	plan_mmap_shared(job, vma->start, vma->end - vma->start, vma->prot,
		job->mem_fds[!!(vma->vmflags & VMF_SHARED)][vma->mem], vma);
}

/* Mapped for sharing after the object had been sealed against writing: VM_MAYWRITE is gone for
 * good. */
static bool is_mapped_sealed(const struct job *job, const struct snap_vma *vma)
{
	return vma->flags & MAP_SHARED && vma->vmflags & VMF_SHARED &&
	       !(vma->vmflags & VMF_MAYWRITE) && mems_seals_wait(job, vma->mem);
}

void shared_plan_sealed(struct job *job)
{
	for (size_t i = 0; i < job->mm->nr_vmas; i++) {
		const struct snap_vma *vma = &job->mm->vmas[i];

		if (vma->kind == VMA_SHARED && job->snap->mems[vma->mem].kind == MEM_MEMFD &&
			is_mapped_sealed(job, vma))
			memfd_plan(job, vma);
	}
}

int shared_plan_map(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err)
{
	switch (job->snap->mems[vma->mem].kind) {
	case MEM_SYSV:
		return sysv_plan(job, vma, err);
	case MEM_SHARED_ANON:
		return anon_plan(job, fresh, vma, err);
	case MEM_MEMFD:
		if (!is_mapped_sealed(job, vma))
			memfd_plan(job, vma);
		return 0;
	default:
		return err_set(err, EBADMSG, "mapping %llx-%llx shares memory of a wrong kind",
			(unsigned long long)vma->start, (unsigned long long)vma->end);
	}
}

static void anon_plan_finish(struct job *job, const struct snap_vma *vma)
{
	uint64_t len = vma->end - vma->start, staged = job->mem_staged[vma->mem];

	if (staged)
		plan_syscall(&job->plan, 0, SYS_mremap,
			(struct plan_args){ { staged + vma->offset, 0, len,
				MREMAP_MAYMOVE | MREMAP_FIXED, vma->start } });
	if (vma->prot != (PROT_READ | PROT_WRITE))
		plan_syscall(&job->plan, 0, SYS_mprotect,
			(struct plan_args){ { vma->start, len, vma->prot } });
}

int shared_plan_finish(struct job *job, struct err *err)
{
	const struct snap *snap = job->snap;

	for (size_t i = 0; i < job->mm->nr_vmas; i++) {
		const struct snap_vma *vma = &job->mm->vmas[i];

		if (vma->kind == VMA_SHARED && snap->mems[vma->mem].kind == MEM_SHARED_ANON)
			anon_plan_finish(job, vma);
	}
	for (uint32_t i = 0; i < snap->nr_mems; i++) {
		const struct snap_mem *mem = &snap->mems[i];

		if (job->mem_staged[i])
			plan_syscall(&job->plan, 0, SYS_munmap,
				(struct plan_args){
					{ job->mem_staged[i], (mem->size + 4095) / 4096 * 4096 } });
		if (mem->kind == MEM_SYSV && mem->mode & SYSV_REMOVED)
			plan_syscall(&job->plan, 0, SYS_shmctl,
				(struct plan_args){ { (uint64_t)job->sysv[i], IPC_RMID } });
	}
	(void)err;
	return 0;
}
