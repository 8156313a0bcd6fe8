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

/* The mapping of the same object that shows position at, or the first one behind it. */
static const struct proc_vma *vma_showing(
	const struct dumping_proc *p, const struct proc_vma *of, uint64_t at)
{
	const struct proc_vma *best = NULL;

	for (size_t i = 0; i < p->nr_vmas; i++) {
		const struct proc_vma *v = &p->vmas[i];

		if (!shared_is_same(v, of) || v->offset + (v->end - v->start) <= at)
			continue;
		if (!best || v->offset < best->offset)
			best = v;
	}
	return best;
}

int shared_mapped_save(
	struct dumping_proc *p, const struct proc_vma *of, uint32_t mem, struct err *err)
{
	bool everything = swap_in_use();
	const struct proc_vma *v;
	uint64_t at = 0;

	while ((v = vma_showing(p, of, at))) {
		uint64_t end = v->offset + (v->end - v->start), to, start;
		int ret;

		to = at > v->offset ? at : v->offset;
		start = v->start + (to - v->offset);
		at = end - to > MINCORE_PAGES * PAGES_PAGE ? to + MINCORE_PAGES * PAGES_PAGE : end;
		ret = save_resident(p, mem, start, start + (at - to), to, everything, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}
