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
#include "images/tree.h"

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

/* One attach; vma is it, or the first piece that is left of it. */
static void plan_shmat(struct job *job, const struct snap_vma *vma, uint64_t at, bool exec)
{
	bool writable = vma->vmflags & VMF_MAYWRITE;
	struct blob_step *step = plan_step(&job->plan, 0, BLOB_SYSCALL_IS);

	step->nr = SYS_shmat;
	step->args[0] = (uint64_t)job->sysv[vma->mem];
	step->args[1] = at;
	step->args[2] = (writable ? 0 : SHM_RDONLY) | (exec ? SHM_EXEC : 0);
	step->expect = (int64_t)at;
}

static void plan_protect(struct job *job, const struct snap_vma *vma, uint64_t at, bool exec)
{
	uint64_t prot = PROT_READ | (vma->vmflags & VMF_MAYWRITE ? PROT_WRITE : 0) |
			(exec ? PROT_EXEC : 0);

	if (prot != vma->prot)
		plan_syscall(&job->plan, 0, SYS_mprotect,
			(struct plan_args){ { at, vma->end - vma->start, vma->prot } });
}

/*
 * What was cut out of one attach (munmap, mprotect) still lies as far from its beginning as in it,
 * and shmdt(2) takes all of that away at once: the pieces know by their file that they belong
 * together.
 */
static bool same_attach(const struct snap_vma *a, const struct snap_vma *b)
{
	return a->kind == b->kind && a->mem == b->mem &&
	       a->start - a->offset == b->start - b->offset &&
	       !((a->vmflags ^ b->vmflags) & VMF_MAYWRITE);
}

/* A mapping of its own; not what mm_fork.c leaves of one. */
static bool is_listed(const struct job *job, const struct snap_vma *vma)
{
	return vma >= job->mm->vmas && vma < job->mm->vmas + job->mm->nr_vmas;
}

/* Moves vma out of the attach at `at`, and with it all else that is left of the attach. */
static void plan_pieces(struct job *job, const struct snap_vma *vma, uint64_t at, bool exec)
{
	const struct snap_vma *end = job->mm->vmas + job->mm->nr_vmas;
	bool listed = is_listed(job, vma);

	for (const struct snap_vma *v = vma; v == vma || (listed && v < end); v++) {
		uint64_t len = v->end - v->start;

		if (!same_attach(v, vma))
			continue;
		plan_protect(job, v, at + v->offset, exec);
		plan_syscall(&job->plan, 0, SYS_mremap,
			(struct plan_args){ { at + v->offset, len, len,
				MREMAP_MAYMOVE | MREMAP_FIXED, v->start } });
	}
}

/* The first piece has brought the others with it. */
static bool came_already(const struct job *job, const struct snap_vma *vma)
{
	for (const struct snap_vma *v = job->mm->vmas; is_listed(job, vma) && v < vma; v++)
		if (same_attach(v, vma))
			return true;
	return false;
}

static bool may_execute(const struct job *job, const struct snap_vma *vma)
{
	for (size_t i = 0; i < job->mm->nr_vmas; i++)
		if (same_attach(&job->mm->vmas[i], vma) && job->mm->vmas[i].prot & PROT_EXEC)
			return true;
	return vma->prot & PROT_EXEC;
}

/* Of a segment that is mapped in pieces (munmap, mremap, mprotect). */
static int sysv_plan_pieces(struct job *job, const struct mm_fresh *fresh,
	const struct snap_vma *vma, uint64_t size, struct err *err)
{
	uint64_t at = mm_hole(job, fresh, size, job->hole_next);
	bool exec = may_execute(job, vma);

	if (!at)
		return err_set(err, ENOMEM, "no hole of %llu bytes in the address space",
			(unsigned long long)size);
	job->hole_next = at + size;
	plan_shmat(job, vma, at, exec);
	plan_pieces(job, vma, at, exec);
	plan_syscall(&job->plan, 0, SYS_munmap, (struct plan_args){ { at, size } });
	return 0;
}

static int sysv_plan(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err)
{
	uint64_t size = (job->snap->mems[vma->mem].size + 4095) / 4096 * 4096;
	bool exec = vma->prot & PROT_EXEC;

	if (vma->offset || vma->end - vma->start != size)
		return came_already(job, vma) ? 0 : sysv_plan_pieces(job, fresh, vma, size, err);
	plan_shmat(job, vma, vma->start, exec);
	plan_protect(job, vma, vma->start, exec);
	return 0;
}

/* Is this the only mapping of its object, and of all of it? */
static bool is_alone(const struct job *job, const struct snap_vma *vma)
{
	const struct snap *snap = job->snap;

	if (vma->offset ||
		vma->end - vma->start != (snap->mems[vma->mem].size + 4095) / 4096 * 4096)
		return false;
	for (size_t m = 0; m < snap->nr_mms; m++)
		for (size_t i = 0; i < snap->mms[m].nr_vmas; i++) {
			const struct snap_vma *other = &snap->mms[m].vmas[i];

			if (other->kind == VMA_SHARED && other->mem == vma->mem && other != vma)
				return false;
		}
	return true;
}

/* Shared anonymous memory comes from who maps it first; but see cousins.h. */
static bool is_inherited(const struct job *job, uint32_t mem)
{
	return job->snap->mems[mem].kind == MEM_SHARED_ANON && !mems_is_file(job, mem);
}

/* As the first mapping of the object says: commit charge is the object's. */
static uint64_t anon_flags(const struct snap *snap, uint32_t mem)
{
	for (size_t m = 0; m < snap->nr_mms; m++)
		for (size_t i = 0; i < snap->mms[m].nr_vmas; i++) {
			const struct snap_vma *vma = &snap->mms[m].vmas[i];

			if (vma->kind == VMA_SHARED && vma->mem == mem)
				return vma->flags & MAP_NORESERVE;
		}
	return 0;
}

/* Those that other processes map, too, are staged by the first one from which they descend. */
static int anon_stage(struct job *job, const struct mm_fresh *fresh, uint32_t mem, struct err *err)
{
	uint64_t size = (job->snap->mems[mem].size + 4095) / 4096 * 4096;
	uint64_t at = mm_hole(job, fresh, size, job->hole_next);

	if (!at)
		return err_set(err, ENOMEM, "no hole of %llu bytes in the address space",
			(unsigned long long)size);
	job->hole_next = at + size;
	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){ { at, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | anon_flags(job->snap, mem),
			(uint64_t)-1, 0 } });
	job->mem_at[mem] = job->mem_staged[mem] = at;
	return 0;
}

/* Filling writes through /proc/PID/mem, which cannot force its way into a shared mapping. */
static int anon_plan(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err)
{
	if (job->mem_staged[vma->mem])
		return 0;
	/* mem_at has no address 0. */
	if (!vma->start || !is_alone(job, vma))
		return anon_stage(job, fresh, vma->mem, err);
	plan_mmap_shared(job, vma->start, vma->end - vma->start, PROT_READ | PROT_WRITE, -1, vma);
	job->mem_at[vma->mem] = vma->start;
	return 0;
}

/* Mapped for sharing after the object had been sealed against writing: VM_MAYWRITE is gone for
 * good. */
static bool is_mapped_sealed(const struct job *job, const struct snap_vma *vma)
{
	return vma->flags & MAP_SHARED && vma->vmflags & VMF_SHARED &&
	       !(vma->vmflags & VMF_MAYWRITE) && mems_seals_wait(job, vma->mem);
}

bool shared_is_inherited(const struct job *job, const struct snap_vma *vma)
{
	const struct snap_mem *mem = &job->snap->mems[vma->mem];

	return mem->kind == MEM_SYSV ||
	       (mems_is_file(job, vma->mem) && !is_mapped_sealed(job, vma));
}

static bool mm_maps(const struct snap_mm *mm, uint32_t mem)
{
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].kind == VMA_SHARED && mm->vmas[i].mem == mem)
			return true;
	return false;
}

/* Will this process, or one that is forked from it, map the object? */
static bool family_maps(const struct job *job, uint32_t mem, uint32_t me)
{
	const struct snap *snap = job->snap;

	if (mm_maps(&snap->mms[snap->procs[me].mm], mem))
		return true;
	for (uint32_t i = me + 1; i < snap->nr_procs; i++)
		if (snap_base_of(snap, i) == me && family_maps(job, mem, i))
			return true;
	return false;
}

int shared_plan_stage(struct job *job, const struct mm_fresh *fresh, struct err *err)
{
	uint32_t me = (uint32_t)(job->proc - job->snap->procs);

	for (uint32_t i = 0; i < job->snap->nr_mems; i++)
		if (is_inherited(job, i) && !job->mem_staged[i] && !mm_maps(job->mm, i) &&
			family_maps(job, i, me) && anon_stage(job, fresh, i, err) < 0)
			return -err->code;
	return 0;
}

static void memfd_plan(struct job *job, const struct snap_vma *vma)
{
	/* Nobody can force a page into a private mapping of huge pages: protected later. */
	bool huge = vma->vmflags & VMF_HUGETLB && !(vma->flags & MAP_SHARED);

	plan_mmap_shared(job, vma->start, vma->end - vma->start,
		huge ? PROT_READ | PROT_WRITE : vma->prot,
		job->mem_fds[!!(vma->vmflags & VMF_SHARED)][vma->mem], vma);
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
	if (job->snap->mems[vma->mem].kind == MEM_SYSV)
		return sysv_plan(job, fresh, vma, err);
	if (is_inherited(job, vma->mem))
		return anon_plan(job, fresh, vma, err);
	if (!mems_is_file(job, vma->mem))
		return err_set(err, EBADMSG, "mapping %llx-%llx shares memory of a wrong kind",
			(unsigned long long)vma->start, (unsigned long long)vma->end);
	if (!is_mapped_sealed(job, vma))
		memfd_plan(job, vma);
	return 0;
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

		if (vma->kind == VMA_SHARED && is_inherited(job, vma->mem))
			anon_plan_finish(job, vma);
	}
	for (uint32_t i = 0; i < snap->nr_mems; i++) {
		const struct snap_mem *mem = &snap->mems[i];

		if (job->mem_staged[i])
			plan_syscall(&job->plan, 0, SYS_munmap,
				(struct plan_args){
					{ job->mem_staged[i], (mem->size + 4095) / 4096 * 4096 } });
	}
	(void)err;
	return 0;
}
