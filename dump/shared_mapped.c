/* Memory objects seen through mappings; see shared_mapped.h. */
#include "dump/shared_mapped.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/err.h"
#include "dump/contents.h"
#include "dump/dumping.h"
#include "dump/remote.h"
#include "dump/shared.h"
#include "images/pages.h"

enum { MINCORE_PAGES = 4096 };

/* mincore says nothing of pages in swap, so with swap in use every page has to be read. */
static bool swap_in_use(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 || si.freeswap != si.totalswap;
}

/* A guard hides what the object has under it, also from us. */
static int hidden(uint64_t start, uint64_t end, int ret, struct err *err)
{
	if (ret != -EIO)
		return ret;
	err_set(err, ENOTSUP,
		"shared memory mapped at %llx-%llx cannot be read: a guard lies over it "
		"(MADV_GUARD_INSTALL)",
		(unsigned long long)start, (unsigned long long)end);
	return err_hint(err, "run snapctl as root (or with CAP_CHECKPOINT_RESTORE)");
}

/* [start, end) of the target, at most MINCORE_PAGES, are pages of mem from `to` on. */
static int save_resident(struct dumping_proc *p, uint32_t mem, uint64_t start, uint64_t end,
	uint64_t to, bool everything, struct err *err)
{
	const uint64_t args[6] = { start, end - start, 0 };
	size_t nr = (size_t)((end - start) / PAGES_PAGE);
	unsigned char resident[MINCORE_PAGES];
	int ret = remote_get(p->t, p->th, SYS_mincore, args, 2, resident, nr, "mincore", err);

	if (everything)
		memset(resident, 1, nr);
	for (size_t i = 0, run; !ret && i < nr; i += run) {
		for (run = 1; i + run < nr && (resident[i + run] & 1) == (resident[i] & 1); run++)
			;
		if (resident[i] & 1)
			ret = contents_save_memory(p, mem, start + i * PAGES_PAGE,
				start + (i + run) * PAGES_PAGE, to + i * PAGES_PAGE, false, err);
	}
	return hidden(start, end, ret, err);
}

/* Where a part of the object can be seen. */
struct view {
	struct dumping_proc *p;
	const struct proc_vma *vma; /* NULL: nowhere */
};

static uint64_t view_end(const struct proc_vma *v)
{
	return v->offset + (v->end - v->start);
}

/* The mapping of the same object, in any process, that shows position at, or the first one behind
 * it. */
static struct view view_of(struct dumping *d, const struct proc_vma *of, uint64_t at)
{
	struct view best = { 0 };

	for (size_t i = 0; i < d->nr_procs; i++)
		for (size_t j = 0; j < d->procs[i].nr_vmas; j++) {
			const struct proc_vma *v = &d->procs[i].vmas[j];

			if (!shared_is_same(v, of) || view_end(v) <= at)
				continue;
			if (!best.vma || v->offset < best.vma->offset)
				best = (struct view){ &d->procs[i], v };
		}
	return best;
}

int shared_mapped_save(struct dumping *d, const struct proc_vma *of, uint32_t mem, struct err *err)
{
	bool everything = swap_in_use();
	uint64_t at = 0;
	struct view view;

	while ((view = view_of(d, of, at)).vma) {
		const struct proc_vma *v = view.vma;
		uint64_t end = view_end(v), to, start;
		int ret;

		to = at > v->offset ? at : v->offset;
		start = v->start + (to - v->offset);
		at = end - to > MINCORE_PAGES * PAGES_PAGE ? to + MINCORE_PAGES * PAGES_PAGE : end;
		ret = save_resident(view.p, mem, start, start + (at - to), to, everything, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The pages that a private mapping shows may be copies: the object behind cannot be told from them.
 */
static int refuse_private_copy(const struct proc_vma *vma, struct err *err)
{
	err_set(err, ENOTSUP, "mapping %llx-%llx: %s is mapped privately and cannot be opened",
		(unsigned long long)vma->start, (unsigned long long)vma->end, vma->path);
	return err_hint(err, "run snapctl as root (or with CAP_CHECKPOINT_RESTORE)");
}

int shared_mapped_extent(
	const struct dumping *d, const struct proc_vma *of, uint64_t *size, struct err *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < d->nr_procs; i++)
		for (size_t j = 0; j < d->procs[i].nr_vmas; j++) {
			const struct proc_vma *v = &d->procs[i].vmas[j];

			if (!shared_is_same(v, of))
				continue;
			if (!v->shared)
				return refuse_private_copy(v, err);
			if (view_end(v) > end)
				end = view_end(v);
		}
	*size = end;
	return 0;
}
