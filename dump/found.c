/* Words for what was found; see found.h. */
#include "dump/found.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dump/dumping.h"
#include "images/fd/listens.h"

/* "epoll_wait, 4 futex", in the order of first appearance. */
static void waits_describe(const struct snap_proc *proc, struct buf *out)
{
	for (size_t i = 0; i < proc->nr_tasks; i++) {
		const char *what = proc->tasks[i].waiting_in;
		size_t same = 0;
		bool before = false;

		for (size_t j = 0; j < proc->nr_tasks; j++) {
			bool equal = !strcmp(proc->tasks[j].waiting_in, what);

			before |= equal && j < i;
			same += equal;
		}
		if (before)
			continue;
		buf_printf(out, i ? ", " : "");
		if (same > 1)
			buf_printf(out, "%zu ", same);
		buf_printf(out, "%s", what);
	}
}

void found_describe(struct dumping *d)
{
	const struct snap_proc *proc = &d->snap->procs[0];
	struct snap_info *info = &d->snap->info;
	struct buf waits = BUF_EMPTY;

	waits_describe(proc, &waits);
	info->reason = arena_printf(d->snap->arena, "%s: %zu thread%s: %s", d->reason,
		proc->nr_tasks, proc->nr_tasks == 1 ? "" : "s", waits.data ? waits.data : "");
	info->listens = sock_listens(d->snap);
	snprintf(d->result->found, sizeof d->result->found, "%s%s%s", info->reason,
		info->listens ? "; listens on " : "", info->listens ? info->listens : "");
	buf_finish(&waits);
}
