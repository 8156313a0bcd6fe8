/* The address space as steps of the blob; see mm.h. The same name in dump/ is where it was read. */
#include "restore/mm.h"

#include <errno.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "restore/aio.h"
#include "restore/fill.h"
#include "restore/job.h"
#include "restore/mm_shared.h"
#include "restore/vdso.h"

static const uint64_t HOLE_LOWEST = 1ull << 40, USER_END = 0x7ffffffff000;

/* ---- holes
 * -------------------------------------------------------------------------------------------- */

/* The first one that ends behind addr, NULL: there is none. */
static const struct snap_vma *vma_behind(const struct snap_mm *mm, uint64_t addr)
{
	size_t low = 0, high = mm->nr_vmas;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (mm->vmas[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < mm->nr_vmas ? &mm->vmas[low] : NULL;
}

const struct snap_vma *mm_vma_at(const struct snap_mm *mm, uint64_t addr)
{
	const struct snap_vma *vma = vma_behind(mm, addr);

	return vma && vma->start <= addr ? vma : NULL;
}

/* End of the vma that [start, end) runs into, 0: none. Both arrays are sorted. */
static uint64_t recorded_hit(const struct snap_mm *mm, uint64_t start, uint64_t end)
{
	const struct snap_vma *vma = vma_behind(mm, start);

	return vma && vma->start < end ? vma->end : 0;
}

static uint64_t fresh_hit(const struct mm_fresh *fresh, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < fresh->nr; i++)
		if (fresh->vmas[i].start < end && fresh->vmas[i].end > start)
			return fresh->vmas[i].end;
	return 0;
}

/* Free in all processes: copies inherit what stands there. */
static uint64_t tree_hit(const struct snap *snap, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < snap->nr_mms; i++) {
		uint64_t hit = recorded_hit(&snap->mms[i], start, end);

		if (hit)
			return hit;
	}
	return 0;
}

uint64_t mm_hole(const struct job *job, const struct mm_fresh *fresh, uint64_t len, uint64_t above)
{
	/* Room around it: a stack that grows down keeps its distance (stack_guard_gap, 1 MiB). */
	const uint64_t margin = 16 << 20;
	uint64_t at = above > HOLE_LOWEST ? above : HOLE_LOWEST;

	for (;;) {
		uint64_t hit;

		if (at + len + margin > USER_END)
			return 0;
		hit = tree_hit(job->snap, at - margin, at + len + margin);
		if (!hit)
			hit = fresh_hit(fresh, at - margin, at + len + margin);
		if (!hit)
			return at;
		at = hit + margin;
	}
}

/* ---- what the kernel put there
 * ---------------------------------------------------------------------------- */

static bool is_special(const struct proc_vma *vma)
{
	return !strncmp(vma->path, "[vvar", 5) || !strcmp(vma->path, "[vdso]");
}

static void plan_unmap(struct job *job, uint64_t start, uint64_t end)
{
	if (start < end)
		plan_syscall(
			&job->plan, 0, SYS_munmap, (struct plan_args){ { start, end - start } });
}

/* Everything goes but the blob and the kernel's own mappings. */
static void plan_clear(struct job *job, const struct mm_fresh *fresh, uint64_t blob_end)
{
	uint64_t at = 0;
	bool blob_done = false;

	for (size_t i = 0; i <= fresh->nr; i++) {
		uint64_t next = i < fresh->nr ? fresh->vmas[i].start : USER_END;

		if (i < fresh->nr && !is_special(&fresh->vmas[i]) &&
			(blob_done || fresh->vmas[i].start < job->plan.base))
			continue;
		if (!blob_done && next > job->plan.base) {
			plan_unmap(job, at, job->plan.base);
			at = blob_end;
			blob_done = true;
		}
		if (next > USER_END)
			break;
		if (i < fresh->nr && !is_special(&fresh->vmas[i]))
			continue;
		plan_unmap(job, at, next);
		at = i < fresh->nr ? fresh->vmas[i].end : USER_END;
	}
}

static void plan_move(struct job *job, uint64_t from, uint64_t to, uint64_t len)
{
	if (from != to)
		plan_syscall(&job->plan, 0, SYS_mremap,
			(struct plan_args){
				{ from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to } });
}

struct special {
	uint64_t from, to, len;
	bool vdso, wanted;
};

enum { MAX_SPECIAL = 8 };

/* Pieces of [vvar] and [vdso] as the kernel has put them there. */
static size_t special_find(const struct mm_fresh *fresh, struct special *s)
{
	size_t nr = 0;

	for (size_t i = 0; i < fresh->nr && nr < MAX_SPECIAL; i++)
		if (is_special(&fresh->vmas[i]))
			s[nr++] = (struct special){ .from = fresh->vmas[i].start,
				.len = fresh->vmas[i].end - fresh->vmas[i].start,
				.vdso = fresh->vmas[i].path[2] == 'd' };
	return nr;
}

static bool special_match_one(const struct snap_vma *vma, struct special *s, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!s[i].wanted && s[i].vdso == (vma->kind == VMA_VDSO) &&
			s[i].len == vma->end - vma->start) {
			s[i].wanted = true;
			s[i].to = vma->start;
			return true;
		}
	return false;
}

/* Where the recorded ones were, each of which has to be here. Some or all may have been unmapped.
 */
static bool special_match(const struct job *job, struct special *s, size_t nr)
{
	bool has_vdso = false;

	for (size_t i = 0; i < job->mm->nr_vmas; i++) {
		const struct snap_vma *vma = &job->mm->vmas[i];

		has_vdso = has_vdso || vma->kind == VMA_VDSO;
		if ((vma->kind == VMA_VDSO || vma->kind == VMA_VVAR) &&
			!special_match_one(vma, s, nr))
			return false;
	}
	return job->vdso_same || !has_vdso;
}

/* Those that the program had unmapped go. The others are moved to the front; their number. */
static size_t special_unmap(struct job *job, struct special *s, size_t nr)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++)
		if (s[i].wanted)
			s[kept++] = s[i];
		else
			plan_unmap(job, s[i].from, s[i].from + s[i].len);
	return kept;
}

static bool special_overlap(const struct special *s, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < nr; j++)
			if (s[i].from < s[j].to + s[j].len && s[j].to < s[i].from + s[i].len)
				return true;
	return false;
}

/* Move all pieces, keeping their distances, to a place of our own; they know each other by
 * distance. */
static void special_stage(struct job *job, struct special *s, size_t nr, uint64_t hole)
{
	uint64_t first = s[0].from;

	for (size_t i = 0; i < nr; i++) {
		uint64_t to = hole + (s[i].from - first);

		plan_move(job, s[i].from, to, s[i].len);
		s[i].from = to;
	}
}

static int plan_foreign_vdso(
	struct job *job, struct special *s, size_t nr, uint64_t hole, struct err *err)
{
	const struct snap_vdso *v = &job->snap->vdso;
	const uint8_t *code;
	uint64_t len;

	if (!v->start || !v->nr_code)
		return 0;
	special_stage(job, s, nr, hole);
	/* [vdso] is the last piece; see arch/x86/entry/vdso/vma.c. */
	if (vdso_redirect(job, s[nr - 1].from, &code, &len, err) < 0)
		return -err->code;
	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){ { v->start, len, PROT_READ | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1 } });
	job->vdso_code = code;
	job->vdso_len = len;
	return 0;
}

static int plan_special(
	struct job *job, const struct mm_fresh *fresh, uint64_t above, struct err *err)
{
	struct special s[MAX_SPECIAL];
	size_t nr = special_find(fresh, s);
	bool match = special_match(job, s, nr);
	uint64_t hole = 0;

	if (match)
		nr = special_unmap(job, s, nr);
	if (!nr)
		return 0;
	if (!match || special_overlap(s, nr))
		hole = mm_hole(job, fresh, s[nr - 1].from + s[nr - 1].len - s[0].from, above);
	if (!match)
		return plan_foreign_vdso(job, s, nr, hole, err);
	if (hole)
		special_stage(job, s, nr, hole);
	for (size_t i = 0; i < nr; i++)
		plan_move(job, s[i].from, s[i].to, s[i].len);
	return 0;
}

/* ---- mappings
 * ---------------------------------------------------------------------------------------------- */

enum { NR_MSEAL = 462, GUARD_INSTALL = 102, PAGE = 4096 };

static void plan_madvise(struct job *job, uint64_t start, uint64_t len, int advice)
{
	plan_syscall(
		&job->plan, 0, SYS_madvise, (struct plan_args){ { start, len, (uint64_t)advice } });
}

bool mm_is_huge(const struct snap_vma *vma)
{
	return vma->kind == VMA_ANON && vma->vmflags & VMF_HUGETLB;
}

/*
 * VM_ACCOUNT is given to what was writable once: RELRO, allocators' trimmed arenas. It
 * stays through an mprotect(2) only where there is an anon_vma by then (mm/mprotect.c), so
 * that comes after the pages.
 */
static bool maps_writable_first(const struct snap_vma *vma)
{
	/* Nobody can force a page into those; pieces of one mapping are made at once. */
	if (vma->vmflags & VMF_HUGETLB && !(vma->flags & MAP_SHARED))
		return vma->prot != (PROT_READ | PROT_WRITE);
	return vma->vmflags & VMF_ACCOUNT && !(vma->prot & PROT_WRITE) &&
	       !(vma->flags & MAP_SHARED);
}

/* linux/mman.h of 6.11: instead of MAP_PRIVATE. */
enum { MAP_DROPPABLE_TYPE = 0x08 };

static uint64_t mmap_flags(const struct snap_vma *vma)
{
	uint64_t flags = (vma->flags & ~(uint32_t)MAP_LOCKED) | MAP_FIXED;

	if (vma->vmflags & VMF_DROPPABLE)
		flags = (flags & ~(uint64_t)MAP_TYPE) | MAP_DROPPABLE_TYPE;
	return flags;
}

static void plan_mmap(struct job *job, const struct snap_vma *vma, uint64_t end, int fd)
{
	uint64_t prot = vma->prot;

	if (maps_writable_first(vma))
		prot = (prot & ~(uint64_t)PROT_EXEC) | PROT_WRITE;
	if (mm_is_huge(vma))
		prot = PROT_READ | PROT_WRITE;
	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){ { vma->start, end - vma->start, prot,
			mmap_flags(vma) | (fd < 0 ? MAP_ANONYMOUS : 0), (uint64_t)fd,
			fd < 0 ? 0 : vma->offset } });
}

static bool same_anon(const struct snap_vma *a, const struct snap_vma *b)
{
	/* Each such mapping is a file of its own, from position 0 on. */
	if (mm_is_huge(a) || mm_is_huge(b))
		return mm_is_huge(a) && mm_is_huge(b) && a->end == b->start &&
		       b->offset == a->offset + (a->end - a->start) &&
		       mmap_flags(a) == mmap_flags(b);
	return b->kind == VMA_ANON && a->end == b->start && a->prot == b->prot &&
	       mmap_flags(a) == mmap_flags(b) && maps_writable_first(a) == maps_writable_first(b);
}

int mm_plan_vma(
	struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma, struct err *err)
{
	switch (vma->kind) {
	case VMA_ANON:
		plan_mmap(job, vma, vma->end, -1);
		return 0;
	case VMA_FILE:
		plan_mmap(job, vma, vma->end, job->map_fds[vma->file_writable][vma->file]);
		return 0;
	case VMA_SHARED:
		return shared_plan_map(job, fresh, vma, err);
	case VMA_VDSO:
	case VMA_VVAR:
	case VMA_VSYSCALL:
	case VMA_FD: /* later: ring.h */
		return 0;
	case VMA_AIO:
		return aio_plan_place(job, vma, err);
	}
	return 0;
}

/*
 * Neighbours that are the same in every respect, and yet two: their pages were first
 * touched when they were no neighbours, or one was moved there (anon_vma and vm_pgoff
 * differ, mm/vma.c).
 */
static bool stays_apart(
	const struct snap_mm *mm, const struct snap_vma *a, const struct snap_vma *b)
{
	const uint64_t odd = VMF_GROWSDOWN | VMF_DROPPABLE | VMF_HUGETLB;
	bool same_name = a->name && b->name ? !strcmp(a->name, b->name) : a->name == b->name;
	bool heap = b->start < mm->brk && b->end > mm->start_brk;

	return a->kind == VMA_ANON && same_anon(a, b) && a->vmflags == b->vmflags && same_name &&
	       a->pkey == b->pkey && !heap && !(b->vmflags & odd) &&
	       (b->prot & PROT_WRITE || b->vmflags & VMF_ACCOUNT);
}

/* Touched elsewhere and moved, it keeps apart. */
static int plan_apart(struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma,
	uint64_t len, struct err *err)
{
	const uint64_t prot = PROT_READ | PROT_WRITE;
	uint64_t at = mm_hole(job, fresh, len, job->hole_next);

	if (!at)
		return err_set(err, ENOMEM, "no hole of %llu bytes in the address space",
			(unsigned long long)len);
	job->hole_next = at + len;
	plan_syscall(&job->plan, 0, SYS_mmap,
		(struct plan_args){
			{ at, len, prot, mmap_flags(vma) | MAP_ANONYMOUS, (uint64_t)-1 } });
	plan_madvise(job, at, PAGE, MADV_POPULATE_WRITE);
	plan_madvise(job, at, PAGE, MADV_DONTNEED);
	if (vma->prot != prot && !maps_writable_first(vma))
		plan_syscall(
			&job->plan, 0, SYS_mprotect, (struct plan_args){ { at, len, vma->prot } });
	plan_move(job, at, vma->start, len);
	return 0;
}

/* Neighbours that mmap(2) makes one anyway are one call. */
static int plan_vma(struct job *job, const struct mm_fresh *fresh, size_t *i, struct err *err)
{
	const struct snap_vma *vma = &job->mm->vmas[*i], *last = vma;
	bool apart = *i > 0 && stays_apart(job->mm, vma - 1, vma);

	if (vma->kind != VMA_ANON)
		return mm_plan_vma(job, fresh, vma, err);
	while (*i + 1 < job->mm->nr_vmas && same_anon(last, last + 1) &&
		!stays_apart(job->mm, last, last + 1)) {
		last++;
		(*i)++;
	}
	if (apart)
		return plan_apart(job, fresh, vma, last->end - vma->start, err);
	plan_mmap(job, vma, last->end, -1);
	return 0;
}

int mm_plan_map(struct job *job, const struct mm_fresh *fresh, struct err *err)
{
	uint64_t blob_end = job->plan.base + PLAN_ROOM;

	job->hole_next = blob_end;
	plan_clear(job, fresh, blob_end);
	if (plan_special(job, fresh, job->hole_next, err) < 0)
		return -err->code;
	job->hole_next += 1 << 20;
	for (size_t i = 0; i < job->mm->nr_vmas; i++)
		if (plan_vma(job, fresh, &i, err) < 0)
			return -err->code;
	return shared_plan_stage(job, fresh, err);
}

/* ---- after the pages
 * ------------------------------------------------------------------------------------------
 */

static const struct {
	uint64_t flag;
	int advice;
} advices[] = {
	{ VMF_HUGEPAGE, MADV_HUGEPAGE },
	{ VMF_NOHUGEPAGE, MADV_NOHUGEPAGE },
	{ VMF_DONTDUMP, MADV_DONTDUMP },
	{ VMF_DONTCOPY, MADV_DONTFORK },
	{ VMF_WIPEONFORK, MADV_WIPEONFORK },
	{ VMF_MERGEABLE, MADV_MERGEABLE },
	{ VMF_SEQ_READ, MADV_SEQUENTIAL },
	{ VMF_RAND_READ, MADV_RANDOM },
};

static bool is_kernels(const struct snap_vma *vma)
{
	return vma->kind == VMA_VDSO || vma->kind == VMA_VVAR || vma->kind == VMA_VSYSCALL;
}

/* What was written to once has an anon_vma even if no page of it is left: so a page comes
 * and goes.
 */
static void plan_protect(struct job *job, const struct snap_vma *vma)
{
	uint64_t len = vma->end - vma->start;
	bool populate = vma->kind == VMA_ANON && !mm_is_huge(vma) &&
			!fill_touches(job, vma->start, vma->end);

	if (populate) {
		plan_madvise(job, vma->start, PAGE, MADV_POPULATE_WRITE);
		plan_madvise(job, vma->start, PAGE, MADV_DONTNEED);
	}
	plan_syscall(
		&job->plan, 0, SYS_mprotect, (struct plan_args){ { vma->start, len, vma->prot } });
}

/* mlock2(2) says ENOMEM where nothing can be brought in, and has locked it all the same. */
static void plan_lock(struct job *job, const struct snap_vma *vma)
{
	struct blob_step *step = plan_syscall(&job->plan, 0, SYS_mlock2,
		(struct plan_args){ { vma->start, vma->end - vma->start,
			vma->vmflags & VMF_LOCKONFAULT ? MLOCK_ONFAULT : 0 } });

	if (vma->prot == PROT_NONE)
		step->tolerate = ENOMEM;
}

static void plan_vma_finish(struct job *job, const struct snap_vma *vma)
{
	uint64_t len = vma->end - vma->start;

	if (is_kernels(vma))
		return;
	if (maps_writable_first(vma))
		plan_protect(job, vma);
	for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
		if (vma->vmflags & advices[i].flag && !(vma->vmflags & VMF_DROPPABLE))
			plan_madvise(job, vma->start, len, advices[i].advice);
	if (vma->name)
		plan_syscall(&job->plan, 0, SYS_prctl,
			(struct plan_args){ { PR_SET_VMA, PR_SET_VMA_ANON_NAME, vma->start, len,
				plan_data(&job->plan, vma->name, strlen(vma->name) + 1) } });
	if (vma->mempolicy)
		plan_syscall(&job->plan, 0, SYS_mbind,
			(struct plan_args){ { vma->start, len, vma->mempolicy,
				plan_data(
					&job->plan, vma->mempolicy_nodes, vma->nr_mempolicy_nodes),
				vma->nr_mempolicy_nodes * 8 + 1, 0 } });
	if (vma->vmflags & VMF_LOCKED)
		plan_lock(job, vma);
	if (vma->pkey)
		plan_syscall(&job->plan, 0, SYS_pkey_mprotect,
			(struct plan_args){ { vma->start, len, vma->prot, vma->pkey } });
}

/* Keys are handed out from 1 upwards; those between that nobody maps with stay allocated,
 * harmlessly. */
static void plan_pkeys(struct job *job)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < job->mm->nr_vmas; i++)
		if (job->mm->vmas[i].pkey > highest)
			highest = job->mm->vmas[i].pkey;
	for (uint32_t key = 1; key <= highest; key++) {
		struct blob_step *step = plan_step(&job->plan, 0, BLOB_SYSCALL_IS);

		step->nr = SYS_pkey_alloc;
		step->expect = key;
	}
}

/* prctl(PR_SET_MM, PR_SET_MM_MAP): needs no privilege without exe_fd (kernel/sys.c,
 * prctl_set_mm_map). */
static void plan_mm_fields(struct job *job)
{
	const struct snap_mm *mm = job->mm;
	struct prctl_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = (uint32_t)(mm->nr_auxv * sizeof *mm->auxv),
		.exe_fd = (uint32_t)-1,
	};
	uint64_t at;

	/* The address of the auxv is a field of the struct: data first. */
	map.auxv = (void *)(uintptr_t)plan_data(&job->plan, mm->auxv, map.auxv_size);
	at = plan_data(&job->plan, &map, sizeof map);
	plan_syscall(&job->plan, 0, SYS_prctl,
		(struct plan_args){ { PR_SET_MM, PR_SET_MM_MAP, at, sizeof map } });
}

int mm_plan_finish(struct job *job, struct err *err)
{
	const struct snap_mm *mm = job->mm;

	if (shared_plan_finish(job, err) < 0)
		return -err->code;
	plan_pkeys(job);
	for (size_t i = 0; i < mm->nr_vmas; i++)
		plan_vma_finish(job, &mm->vmas[i]);
	for (size_t i = 0; i < mm->nr_guards; i++)
		plan_madvise(job, mm->guards[i].start, mm->guards[i].end - mm->guards[i].start,
			GUARD_INSTALL);
	plan_mm_fields(job);
	if (mm->mlockall)
		plan_syscall(&job->plan, 0, SYS_mlockall, (struct plan_args){ { mm->mlockall } });
	for (size_t i = 0; i < mm->nr_vmas; i++)
		if (mm->vmas[i].vmflags & VMF_SEALED && !is_kernels(&mm->vmas[i]))
			plan_syscall(&job->plan, 0, NR_MSEAL,
				(struct plan_args){ { mm->vmas[i].start,
					mm->vmas[i].end - mm->vmas[i].start } });
	return 0;
}
