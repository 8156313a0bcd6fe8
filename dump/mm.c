/* The address space: mappings, their private pages, and the fields that ps and /proc show. */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "dump/aio.h"
#include "dump/contents.h"
#include "dump/dumping.h"
#include "dump/files.h"
#include "dump/remote.h"
#include "dump/ring.h"
#include "dump/shared.h"
#include "dump/tree.h"
#include "dump/vma.h"
#include "images/pages.h"
#include "images/tree.h"

/* Where user space ends; images have nothing above it (images/state.h). */
static const uint64_t ADDRESSES_END = UINT64_C(0x7ffffffff000);

static struct snap_mm *mm_of(const struct dumping_proc *p)
{
	return &p->d->snap->mms[dumping_snap_proc(p)->mm];
}

/* ---- mappings --------------------------------------------------------------------------- */

static uint32_t mmap_flags(const struct proc_vma *vma, uint64_t vmflags)
{
	uint32_t flags = vma->shared ? MAP_SHARED : MAP_PRIVATE;

	if (vmflags & VMF_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (vmflags & VMF_NORESERVE)
		flags |= MAP_NORESERVE;
	if (vmflags & VMF_LOCKED)
		flags |= MAP_LOCKED;
	if (vmflags & VMF_HUGETLB)
		flags |= MAP_HUGETLB | ((uint32_t)__builtin_ctz(vma->page_size) << MAP_HUGE_SHIFT);
	return flags;
}

/* "[anon:NAME]" and "[anon_shmem:NAME]" -> NAME. */
static char *given_name(struct arena *a, const char *path)
{
	size_t skip = 0;

	if (text_starts(path, "[anon:"))
		skip = strlen("[anon:");
	else if (text_starts(path, "[anon_shmem:"))
		skip = strlen("[anon_shmem:");
	return skip ? arena_strndup(a, path + skip, strlen(path) - skip - 1) : NULL;
}

static enum snap_vma_kind vma_kind(const struct dumping *d, const struct proc_vma *vma)
{
	if (!strcmp(vma->path, "[vdso]"))
		return VMA_VDSO;
	if (text_starts(vma->path, "[vvar"))
		return VMA_VVAR;
	if (!strcmp(vma->path, "[vsyscall]"))
		return VMA_VSYSCALL;
	if (shared_is_object(d, vma))
		return VMA_SHARED;
	if (vma_is_ring(vma))
		return VMA_FD;
	if (vma_is_aio(vma))
		return VMA_AIO;
	/* Private huge pages are a file's, which nobody else can have. */
	if (vma_flags(vma->vmflags) & VMF_HUGETLB)
		return VMA_ANON;
	return vma->ino ? VMA_FILE : VMA_ANON;
}

static int vma_collect(
	struct dumping_proc *p, const struct proc_vma *vma, struct snap_vma *out, struct err *err)
{
	uint64_t vmflags = vma_flags(vma->vmflags);
	int ret = vma_check(p->d, vma, err);

	if (ret < 0)
		return ret;
	*out = (struct snap_vma){
		.start = vma->start,
		.end = vma->end,
		.kind = vma_kind(p->d, vma),
		.prot = vma->prot,
		.flags = mmap_flags(vma, vmflags),
		.vmflags = vmflags,
		.file = ID_NONE,
		.mem = ID_NONE,
		.ofd = ID_NONE,
		.pkey = vma->pkey,
	};
	if (out->kind == VMA_FILE || out->kind == VMA_SHARED || vmflags & VMF_HUGETLB)
		out->offset = vma->offset;
	if (out->kind == VMA_FILE) {
		out->file_writable = vma->shared && vmflags & VMF_MAYWRITE;
		return files_add_mapped(p, vma, &out->file, err);
	}
	if (out->kind == VMA_AIO)
		return 0;
	if (out->kind == VMA_FD) {
		out->offset = vma->offset;
		return ring_ofd(p, vma, &out->ofd, err);
	}
	out->name = given_name(p->d->snap->arena, vma->path);
	return out->kind == VMA_SHARED ? shared_collect(p, vma, &out->mem, err) : 0;
}

static int vmas_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_mm *mm = mm_of(p);

	mm->vmas = arena_array(p->d->snap->arena, p->nr_vmas, sizeof *mm->vmas);
	for (size_t i = 0; i < p->nr_vmas; i++) {
		int ret = vma_collect(p, &p->vmas[i], &mm->vmas[i], err);

		if (ret < 0)
			return ret;
		mm->nr_vmas++;
	}
	return 0;
}

/* A mapping shows the policy of the (first) thread where it has none of its own. */
static bool is_threads(const struct snap_task *task, const struct proc_policy *policy)
{
	return task->mempolicy == policy->mode &&
	       task->nr_mempolicy_nodes == sizeof policy->nodes &&
	       !memcmp(task->mempolicy_nodes, policy->nodes, sizeof policy->nodes);
}

static int policies_collect(struct dumping_proc *p, struct err *err)
{
	const struct snap_task *task = &dumping_snap_proc(p)->tasks[0];
	struct arena *a = p->d->snap->arena;
	struct snap_mm *mm = mm_of(p);
	struct proc_policy *policies;
	size_t nr, k = 0;
	int ret = proc_policies(p->dir, a, &policies, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++) {
		struct snap_vma *vma;

		while (k < mm->nr_vmas && mm->vmas[k].start < policies[i].start)
			k++;
		vma = k < mm->nr_vmas && mm->vmas[k].start == policies[i].start ? &mm->vmas[k]
										: NULL;
		if (!vma || is_threads(task, &policies[i]))
			continue;
		vma->mempolicy = policies[i].mode;
		vma->mempolicy_nodes = policies[i].nodes;
		vma->nr_mempolicy_nodes = sizeof policies[i].nodes;
	}
	return ret;
}

/* ---- private pages ---------------------------------------------------------------------- */

/* Wiped-on-fork memory comes back wiped (D15), droppable memory may vanish at any time as it is. */
static bool has_private_pages(const struct snap_vma *vma)
{
	return vma->kind != VMA_VDSO && vma->kind != VMA_VVAR && vma->kind != VMA_VSYSCALL &&
	       vma->flags & MAP_PRIVATE && !(vma->vmflags & (VMF_WIPEONFORK | VMF_DROPPABLE));
}

/* A page of zeroes hides what the file has there; a part of a huge page comes and goes with it. */
static bool keeps_zeroes(const struct snap_vma *vma)
{
	return vma->kind != VMA_ANON || vma->vmflags & VMF_HUGETLB;
}

static int private_run_save(struct dumping_proc *p, const struct proc_run *run, bool over_file,
	uint32_t base, struct err *err)
{
	const struct snap *snap = p->d->snap;
	struct snap_range range = { run->start, run->end };

	if (base == ID_NONE)
		return contents_save_memory(
			p, mm_of(p)->mem, run->start, run->end, run->start, over_file, err);
	return contents_save_forked(p, mm_of(p)->mem, &range, over_file, p->d->procs[base].t,
		snap->mms[snap->procs[base].mm].mem, &mm_of(p)->pages_aside, err);
}

static int private_pages_collect(struct dumping_proc *p, struct err *err)
{
	uint32_t base = snap_base_of(p->d->snap, p->id);
	const struct snap_mm *mm = mm_of(p);
	OWNED_FD pagemap = proc_pagemap(p->dir, err);
	struct arena *scratch;
	struct proc_run *runs = NULL;
	size_t cap = 0;
	int ret = 0;

	if (pagemap < 0)
		return -err->code;
	scratch = arena_create();
	pages_writer_remember(p->d->pages, p->d->snap->nr_procs > 1);
	for (size_t i = 0; !ret && i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];
		size_t nr = 0;

		if (!has_private_pages(vma))
			continue;
		ret = proc_pages(
			pagemap, vma->start, vma->end, true, scratch, &runs, &nr, &cap, err);
		for (size_t r = 0; !ret && r < nr; r++)
			ret = private_run_save(p, &runs[r], keeps_zeroes(vma), base, err);
	}
	pages_writer_remember(p->d->pages, false);
	arena_destroy(scratch);
	return ret;
}

/* Of all mappings at once: files and shared memory can have them, too (Linux 6.15). */
static int guards_collect(struct dumping_proc *p, struct err *err)
{
	OWNED_FD pagemap = proc_pagemap(p->dir, err);
	struct snap_mm *mm = mm_of(p);
	struct proc_run *runs = NULL;
	size_t nr = 0, cap = 0, cap_guards = 0;
	int ret;

	if (pagemap < 0)
		return -err->code;
	ret = proc_guards(pagemap, 0, ADDRESSES_END, p->d->snap->arena, &runs, &nr, &cap, err);
	for (size_t i = 0; !ret && i < nr; i++) {
		mm->guards = arena_grow(p->d->snap->arena, mm->guards, mm->nr_guards, &cap_guards,
			sizeof *mm->guards);
		mm->guards[mm->nr_guards++] = (struct snap_range){ runs[i].start, runs[i].end };
	}
	return ret;
}

/* ---- fields ----------------------------------------------------------------------------- */

static int auxv_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_mm *mm = mm_of(p);
	char *auxv;
	size_t len;
	int ret = proc_text(p->dir, "auxv", p->d->snap->arena, &auxv, &len, err);

	if (ret < 0)
		return ret;
	mm->nr_auxv = len / sizeof *mm->auxv;
	mm->auxv = arena_copy(p->d->snap->arena, auxv, mm->nr_auxv * sizeof *mm->auxv);
	return 0;
}

static int stat_collect(struct dumping_proc *p, struct err *err)
{
	const struct proc_stat *stat = &p->stat;
	struct snap_mm *mm = mm_of(p);

	mm->start_code = stat->start_code;
	mm->end_code = stat->end_code;
	mm->start_data = stat->start_data;
	mm->end_data = stat->end_data;
	mm->start_brk = stat->start_brk;
	mm->start_stack = stat->start_stack;
	mm->arg_start = stat->arg_start;
	mm->arg_end = stat->arg_end;
	mm->env_start = stat->env_start;
	mm->env_end = stat->env_end;
	return remote_call(p->t, p->th, SYS_brk, (uint64_t[6]){ 0 }, "brk", &mm->brk, err);
}

enum { COREDUMP_DEFAULT = 0x33 }; /* core(5) */

static int coredump_filter_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_mm *mm = mm_of(p);
	uint64_t filter;
	char *text;
	size_t len;
	int ret;

	/* Of the process alone, and an ended leader shows nothing: then it is the kernel's default.
	 */
	if (p->dir != p->t->procfd) {
		mm->coredump_filter = COREDUMP_DEFAULT;
		return 0;
	}
	ret = proc_text(p->dir, "coredump_filter", p->d->snap->arena, &text, &len, err);

	if (ret < 0)
		return ret;
	if (!text_hex(&(struct text){ text }, &filter))
		return err_set(err, EPROTO, "coredump_filter of %d: \"%s\"", p->t->pid, text);
	mm->coredump_filter = (uint32_t)filter;
	return 0;
}

static int thp_collect(struct dumping_proc *p, struct err *err)
{
	uint64_t disabled;
	int ret = remote_prctl(
		p->t, p->th, PR_GET_THP_DISABLE, "prctl(PR_GET_THP_DISABLE)", &disabled, err);

	if (ret < 0)
		return ret;
	mm_of(p)->thp_disabled = (uint32_t)disabled;
	return 0;
}

/*
 * mlockall(MCL_FUTURE) is nowhere to be read, but the kernel locks every new mapping for it: our
 * scratch page is one.
 */
static int mlockall_collect(struct dumping_proc *p, struct err *err)
{
	struct arena *a = p->d->snap->arena;
	uint64_t locked = 0, scratch;
	char *status;
	struct proc_vma *vmas;
	size_t nr, len;
	int ret;

	ret = tracee_scratch(p->t, &scratch, &len, err);
	if (!ret)
		ret = proc_text(p->dir, "status", a, &status, NULL, err);
	if (ret < 0 || !text_field_dec(status, "VmLck", &locked) || !locked)
		return ret;
	if (!ret)
		ret = proc_smaps(p->dir, a, &vmas, &nr, err);
	for (size_t i = 0; !ret && i < nr; i++) {
		uint64_t flags = vma_flags(vmas[i].vmflags);

		if (vmas[i].start > scratch || scratch >= vmas[i].end || !(flags & VMF_LOCKED))
			continue;
		mm_of(p)->mlockall = MCL_FUTURE | (flags & VMF_LOCKONFAULT ? MCL_ONFAULT : 0);
	}
	return ret;
}

static int mm_collect_own(struct dumping_proc *p, struct err *err)
{
	struct snap *snap = p->d->snap;
	uint32_t id = (uint32_t)(snap_add_mm(snap) - snap->mms);
	uint32_t mem = (uint32_t)(snap_add_mem(snap, MEM_PRIVATE) - snap->mems);
	int ret;

	dumping_snap_proc(p)->mm = id;
	snap->mms[id].mem = mem;
	ret = vmas_collect(p, err);
	if (!ret)
		ret = policies_collect(p, err);
	if (!ret)
		ret = files_add_link(p, "exe", &snap->mms[id].exe, err);
	if (!ret)
		ret = auxv_collect(p, err);
	if (!ret)
		ret = stat_collect(p, err);
	if (!ret)
		ret = aio_collect(p, err);
	if (!ret)
		ret = coredump_filter_collect(p, err);
	if (!ret)
		ret = thp_collect(p, err);
	if (!ret)
		ret = mlockall_collect(p, err);
	if (!ret)
		ret = guards_collect(p, err);
	if (!ret)
		ret = private_pages_collect(p, err);
	return ret;
}

int mm_collect(struct dumping_proc *p, struct err *err)
{
	struct snap *snap = p->d->snap;
	uint32_t with = snap_shares_with(snap, p->id);

	if (ring_check_threads(p, err) < 0)
		return -err->code;
	if (!tree_shares(p->d, p->id, with, SHARES_VM))
		return mm_collect_own(p, err);
	dumping_snap_proc(p)->mm = snap->procs[with].mm;
	return 0;
}
