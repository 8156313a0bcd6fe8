/* The bytes of the vdso: compared with the running kernel's at restore (DESIGN D14). */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"

int vdso_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_vdso *vdso = &p->d->snap->vdso;

	for (size_t i = 0; i < p->nr_vmas; i++) {
		const struct proc_vma *vma = &p->vmas[i];

		if (strcmp(vma->path, "[vdso]") != 0)
			continue;
		vdso->start = vma->start;
		vdso->nr_code = (size_t)(vma->end - vma->start);
		vdso->code = arena_alloc(p->d->snap->arena, vdso->nr_code);
		return tracee_read(p->t, vma->start, vdso->code, vdso->nr_code, err);
	}
	return 0; /* it may have been unmapped, or the kernel booted with vdso=0 */
}
