/* What a forked address space keeps, and what it gets anew; see mm_fork.h. */
#include "restore/mm_fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "restore/job.h"
#include "restore/mm.h"
#include "restore/mm_shared.h"
#include "restore/stages.h"

static const uint64_t USER_END = 0x7ffffffff000;

/* Ranges of the copy, sorted. */
struct ranges {
	struct snap_range *all;
	size_t nr, cap;
};

static void ranges_add(struct job *job, struct ranges *r, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	r->all = arena_grow(job->snap->arena, r->all, r->nr, &r->cap, sizeof *r->all);
	r->all[r->nr++] = (struct snap_range){ start, end };
}

static int range_compare(const void *a, const void *b)
{
	const struct snap_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* ---- what stays --------------------------------------------------------------------------------
 */

/* VmFlags that a mapping has from its beginning; advice and locks come later in each process. */
enum {
	LASTING = VMF_MAYREAD | VMF_MAYWRITE | VMF_MAYEXEC | VMF_GROWSDOWN | VMF_ACCOUNT |
		  VMF_NORESERVE | VMF_HUGETLB | VMF_SHARED | VMF_DROPPABLE | VMF_MAYSHARE,
};

static bool has_offset(const struct snap_vma *vma)
{
	return vma->kind == VMA_FILE || vma->kind == VMA_SHARED;
}

static bool same_attributes(const struct snap_vma *a, const struct snap_vma *b)
{
	return a->kind == b->kind && a->prot == b->prot && a->file == b->file && a->mem == b->mem &&
	       a->file_writable == b->file_writable &&
	       !((a->flags ^ b->flags) & ~(uint32_t)MAP_LOCKED) &&
	       !((a->vmflags ^ b->vmflags) & LASTING);
}

bool mm_fork_is_like(const struct snap_vma *a, const struct snap_vma *b)
{
	return same_attributes(a, b) && (a->kind == VMA_ANON || a->kind == VMA_FILE) &&
	       (!has_offset(a) || a->offset - a->start == b->offset - b->start);
}

/* Whether a mapping of base can serve as one of this process, where they overlap. */
static bool vma_is_like(const struct job *job, const struct job *base, const struct snap_vma *a,
	const struct snap_vma *b)
{
	if (a->kind == VMA_ANON || a->kind == VMA_FILE)
		return mm_fork_is_like(a, b);
	if (!same_attributes(a, b) || a->start != b->start || a->end != b->end ||
		(has_offset(a) && a->offset != b->offset))
		return false;
	if (job->pid == base->pid)
		return true;
	return (a->kind == VMA_AIO && !a->nr_ring) ||
	       (a->kind == VMA_SHARED && shared_is_inherited(job, a));
}

static void keep_common(struct job *job, const struct job *maker, struct ranges *kept)
{
	const struct snap_mm *mm = job->mm, *base = maker->mm;
	size_t j = 0;

	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];

		while (j < base->nr_vmas && base->vmas[j].end <= vma->start)
			j++;
		for (size_t k = j; k < base->nr_vmas && base->vmas[k].start < vma->end; k++) {
			const struct snap_vma *theirs = &base->vmas[k];

			if (vma_is_like(job, maker, vma, theirs))
				ranges_add(job, kept,
					vma->start > theirs->start ? vma->start : theirs->start,
					vma->end < theirs->end ? vma->end : theirs->end);
		}
	}
}

/* ---- what goes ---------------------------------------------------------------------------------
 */

static bool is_kernels(const struct proc_vma *vma)
{
	return !strncmp(vma->path, "[v", 2);
}

/* Blob, kernel's mappings, a recorded vdso that leads there, and staged objects stay for now. */
static void keep_apparatus(struct job *job, const struct mm_fresh *fresh, struct ranges *staying)
{
	const struct snap *snap = job->snap;

	ranges_add(job, staying, job->plan.base, job->plan.base + PLAN_ROOM);
	for (size_t i = 0; i < fresh->nr; i++)
		if (is_kernels(&fresh->vmas[i]))
			ranges_add(job, staying, fresh->vmas[i].start, fresh->vmas[i].end);
	if (job->vdso_code)
		ranges_add(job, staying, snap->vdso.start, snap->vdso.start + job->vdso_len);
	for (size_t i = 0; i < snap->nr_mems; i++)
		if (job->mem_staged[i])
			ranges_add(job, staying, job->mem_staged[i],
				job->mem_staged[i] + (snap->mems[i].size + 4095) / 4096 * 4096);
}

static void plan_unmap_others(struct job *job, const struct ranges *staying)
{
	uint64_t at = 0;

	for (size_t i = 0; i <= staying->nr; i++) {
		uint64_t next = i < staying->nr ? staying->all[i].start : USER_END;

		if (next > USER_END)
			next = USER_END;
		if (at < next)
			plan_syscall(
				&job->plan, 0, SYS_munmap, (struct plan_args){ { at, next - at } });
		if (i < staying->nr && staying->all[i].end > at)
			at = staying->all[i].end;
	}
}

/* ---- what comes --------------------------------------------------------------------------------
 */

/* A stack has grown by touches, and stays one mapping if it grows like that again (a read does). */
static void plan_touch(struct job *job, uint64_t addr)
{
	struct blob_step *step = plan_step(&job->plan, 0, BLOB_STORE32);

	step->args[0] = addr;
	step->args[2] = UINT32_MAX; /* never what fresh memory holds: nothing is stored */
}

/* Memory that has grown behind what is kept grows again, instead of becoming two mappings. */
static void plan_grow(struct job *job, const struct snap_range *kept, uint64_t end)
{
	plan_syscall(&job->plan, 0, SYS_mremap,
		(struct plan_args){
			{ kept->start, kept->end - kept->start, end - kept->start, 0 } });
}

static int plan_piece(struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma,
	const struct snap_range *piece, struct err *err)
{
	struct snap_vma part = *vma;

	part.start = piece->start;
	part.end = piece->end;
	part.offset += has_offset(vma) ? piece->start - vma->start : 0;
	return mm_plan_vma(job, fresh, &part, err);
}

/* The pieces of one mapping between those that are kept, which are kept[*k] and following. */
static int plan_missing(struct job *job, const struct mm_fresh *fresh, const struct snap_vma *vma,
	const struct ranges *kept, size_t *k, struct err *err)
{
	const struct snap_range *before = NULL;
	uint64_t at = vma->start;

	while (at < vma->end) {
		const struct snap_range *next = *k < kept->nr && kept->all[*k].start < vma->end
							? &kept->all[*k]
							: NULL;
		struct snap_range piece = { at, next ? next->start : vma->end };

		if (piece.start < piece.end) {
			if (next && vma->vmflags & VMF_GROWSDOWN)
				plan_touch(job, piece.start);
			else if (before && vma->kind == VMA_ANON && !mm_is_huge(vma))
				plan_grow(job, before, piece.end);
			else if (plan_piece(job, fresh, vma, &piece, err) < 0)
				return -err->code;
		}
		if (!next)
			break;
		before = next;
		at = next->end;
		(*k)++;
	}
	return 0;
}

static int plan_map_missing(
	struct job *job, const struct mm_fresh *fresh, const struct ranges *kept, struct err *err)
{
	size_t k = 0;

	for (size_t i = 0; i < job->mm->nr_vmas; i++)
		if (plan_missing(job, fresh, &job->mm->vmas[i], kept, &k, err) < 0)
			return -err->code;
	return 0;
}

/* ---- pages -------------------------------------------------------------------------------------
 */

/* A walk over the stored pages of one address space, in order. */
struct walk {
	const struct page_run *runs;
	size_t nr, i;
	uint32_t page; /* in run i */
};

static bool walk_at(const struct walk *w, uint64_t *addr)
{
	if (w->i >= w->nr)
		return false;
	*addr = w->runs[w->i].addr + (uint64_t)w->page * PAGES_PAGE;
	return true;
}

static void walk_next(struct walk *w)
{
	if (++w->page == w->runs[w->i].nr_pages) {
		w->page = 0;
		w->i++;
	}
}

/* The page that w stands at, as a run. */
static struct page_run walk_page(const struct walk *w)
{
	struct page_run run = w->runs[w->i];

	run.addr += (uint64_t)w->page * PAGES_PAGE;
	run.offset += w->page * PAGES_PAGE;
	run.nr_pages = 1;
	return run;
}

static void fill_note(struct job *job, const struct walk *w, size_t *cap)
{
	struct page_run page = walk_page(w), *last = NULL;

	if (job->nr_fork_runs)
		last = &job->fork_runs[job->nr_fork_runs - 1];
	if (last && last->frame == page.frame &&
		last->addr + (uint64_t)last->nr_pages * PAGES_PAGE == page.addr &&
		last->offset + last->nr_pages * PAGES_PAGE == page.offset) {
		last->nr_pages++;
		return;
	}
	job->fork_runs = arena_grow(
		job->snap->arena, job->fork_runs, job->nr_fork_runs, cap, sizeof page);
	job->fork_runs[job->nr_fork_runs++] = page;
}

static bool is_kept(const struct ranges *kept, uint64_t addr)
{
	size_t low = 0, high = kept->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (kept->all[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < kept->nr && kept->all[low].start <= addr;
}

static void drop_note(
	struct job *job, const struct ranges *kept, uint64_t addr, struct ranges *dropped)
{
	struct snap_range *last = dropped->nr ? &dropped->all[dropped->nr - 1] : NULL;

	if (!is_kept(kept, addr))
		return;
	if (last && last->end == addr)
		last->end += PAGES_PAGE;
	else
		ranges_add(job, dropped, addr, addr + PAGES_PAGE);
}

static struct walk walk_begin(const struct job *job)
{
	struct walk w = { 0 };

	if (job->stage) {
		w.runs = job->stage->runs;
		w.nr = job->stage->nr_runs;
	} else {
		w.runs = pages_runs_of(&job->img.index, job->mm->mem, &w.nr);
	}
	return w;
}

/*
 * Page by page: the same stored page in both is shared by the fork; one that only the base has is
 * dropped from the copy; all else is filled.
 */
static void pages_compare(
	struct job *job, const struct job *base, const struct ranges *kept, struct ranges *dropped)
{
	struct walk mine = walk_begin(job), theirs = walk_begin(base);
	uint64_t a, b;
	size_t cap = 0;

	for (;;) {
		bool have_a = walk_at(&mine, &a), have_b = walk_at(&theirs, &b);

		if (!have_a && !have_b)
			break;
		if (have_b && (!have_a || b < a)) {
			drop_note(job, kept, b, dropped);
			walk_next(&theirs);
			continue;
		}
		if (have_b && a == b) {
			struct page_run x = walk_page(&mine), y = walk_page(&theirs);

			if (x.frame != y.frame || x.offset != y.offset || !is_kept(kept, a))
				fill_note(job, &mine, &cap);
			walk_next(&theirs);
		} else {
			fill_note(job, &mine, &cap);
		}
		walk_next(&mine);
	}
}

int mm_fork_plan(
	struct job *job, const struct job *base, const struct mm_fresh *fresh, struct err *err)
{
	struct ranges kept = { 0 }, staying = { 0 }, dropped = { 0 };

	keep_common(job, base, &kept);
	for (size_t i = 0; i < kept.nr; i++)
		ranges_add(job, &staying, kept.all[i].start, kept.all[i].end);
	keep_apparatus(job, fresh, &staying);
	qsort(staying.all, staying.nr, sizeof *staying.all, range_compare);
	plan_unmap_others(job, &staying);
	if (plan_map_missing(job, fresh, &kept, err) < 0)
		return -err->code;
	pages_compare(job, base, &kept, &dropped);
	for (size_t i = 0; i < dropped.nr; i++)
		plan_syscall(&job->plan, 0, SYS_madvise,
			(struct plan_args){ { dropped.all[i].start,
				dropped.all[i].end - dropped.all[i].start, MADV_DONTNEED } });
	return 0;
}
