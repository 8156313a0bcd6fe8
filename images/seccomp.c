/* Seccomp filters. Part of the file "state". */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "base/arena.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

enum { PROGRAM_MAX = BPF_MAXINSNS * sizeof(struct sock_filter) };

void seccomp_pack(const struct snap *snap, Pb__State *m)
{
	m->n_seccomp_filters = snap->nr_seccomp;
	m->seccomp_filters = arena_array(snap->arena, snap->nr_seccomp, sizeof *m->seccomp_filters);
	for (size_t i = 0; i < snap->nr_seccomp; i++) {
		const struct snap_seccomp *filter = &snap->seccomp[i];
		Pb__SeccompFilter *out = arena_alloc(snap->arena, sizeof *out);

		pb__seccomp_filter__init(out);
		PUT(out, before, filter->before);
		PUT(out, flags, filter->flags);
		PUT_BYTES(out, program, filter->program, filter->nr_program);
		m->seccomp_filters[i] = out;
	}
}

int seccomp_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	(void)err;
	snap->nr_seccomp = snap->cap_seccomp = m->n_seccomp_filters;
	snap->seccomp = arena_array(snap->arena, snap->nr_seccomp, sizeof *snap->seccomp);
	for (size_t i = 0; i < snap->nr_seccomp; i++) {
		const Pb__SeccompFilter *in = m->seccomp_filters[i];

		snap->seccomp[i] = (struct snap_seccomp){
			.before = in->before,
			.flags = in->flags,
			.program = arena_copy(snap->arena, in->program.data, in->program.len),
			.nr_program = in->program.len,
		};
	}
	return 0;
}

int seccomp_check(const struct snap *snap, struct err *err)
{
	for (size_t i = 0; i < snap->nr_seccomp; i++) {
		const struct snap_seccomp *filter = &snap->seccomp[i];

		/* Smaller than its own number: so there are no circles. */
		if (filter->before > i)
			return BAD(
				err, "seccomp filter %zu comes before %u", i + 1, filter->before);
		if (filter->flags & ~(uint32_t)SECCOMP_FILTER_FLAG_LOG || !filter->nr_program ||
			filter->nr_program > PROGRAM_MAX ||
			filter->nr_program % sizeof(struct sock_filter))
			return BAD(err, "seccomp filter %zu: flags %x, %zu bytes", i + 1,
				filter->flags, filter->nr_program);
	}
	return 0;
}
