/* The area of a program that has checked in; see area.h. */
#include "dump/until/area.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

enum { PAGE = 4096 };

/* Whole and in one private writable mapping: so that at a restore it is there to be written. */
static int area_is_mapped(struct tracee *t, uint64_t addr, struct arena *a, struct err *err)
{
	struct proc_vma *vmas;
	size_t nr;
	int ret = proc_maps(t->procfd, a, &vmas, &nr, err);

	for (size_t i = 0; !ret && i < nr; i++)
		if (addr >= vmas[i].start && addr < vmas[i].end &&
			vmas[i].end - addr >= SNAPCTL_AREA_LEN && !vmas[i].shared && !vmas[i].ino &&
			(vmas[i].prot & PROT_WRITE))
			return 0;
	return ret < 0 ? ret
		       : err_set(err, EPROTO,
				 "process %d: what it checks in with is not its memory", t->pid);
}

int area_check(struct tracee *t, uint64_t addr, struct err *err)
{
	struct arena *a = arena_create();
	struct snapctl_area area;
	int ret = 0;

	if (addr % PAGE)
		ret = err_set(err, EPROTO, "process %d: its area is not aligned", t->pid);
	if (!ret)
		ret = area_is_mapped(t, addr, a, err);
	if (!ret)
		ret = tracee_read(t, addr, &area, sizeof area, err);
	if (!ret && (area.magic != SNAPCTL_AREA_MAGIC || area.len != SNAPCTL_AREA_LEN))
		ret = err_set(err, EPROTO, "process %d: there is no area of libsnapctl", t->pid);
	arena_destroy(a);
	return ret < 0 ? ret : 0;
}

int area_answer(struct tracee *t, uint64_t addr, enum snapctl_state state, struct err *err)
{
	const uint32_t word = state;

	return tracee_write(
		t, addr + offsetof(struct snapctl_area, state), &word, sizeof word, err);
}

int area_tell(struct dumping *d, enum snapctl_state state, struct err *err)
{
	struct tracee *t = d->area.pid ? tracer_find(d->tracer, d->area.pid) : NULL;

	if (!d->area.pid)
		return 0;
	if (!t)
		return err_set(err, ESRCH, "process %d has checked in and ended", d->area.pid);
	return area_answer(t, d->area.addr, state, err);
}
