/* Words for what was found; see found.h. */
#include "dump/found.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dump/dumping.h"
#include "images/fd/listens.h"

/* What threads wait in, and how many of them do, in the order of first appearance. */
struct waits {
	struct wait {
		const char *what;
		size_t nr;
	} * all;
	size_t nr, cap, nr_threads;
};

static void waits_add(struct waits *waits, struct arena *arena, const char *what)
{
	struct wait *w = waits->all, *end = waits->all + waits->nr;

	waits->nr_threads++;
	while (w < end && strcmp(w->what, what))
		w++;
	if (w == end) {
		waits->all = arena_grow(
			arena, waits->all, waits->nr, &waits->cap, sizeof *waits->all);
		w = &waits->all[waits->nr++];
		*w = (struct wait){ .what = what };
	}
	w->nr++;
}

static struct waits waits_count(const struct snap *snap)
{
	struct waits waits = { 0 };

	for (size_t i = 0; i < snap->nr_procs; i++)
		for (size_t j = 0; j < snap->procs[i].nr_tasks; j++)
			waits_add(&waits, snap->arena, snap->procs[i].tasks[j].waiting_in);
	return waits;
}

/* "5 threads: epoll_wait, 4 futex"; "2 processes, 5 threads: ..." */
static void waits_describe(const struct waits *waits, size_t nr_procs, struct buf *out)
{
	if (nr_procs > 1)
		buf_printf(out, "%zu processes, ", nr_procs);
	buf_printf(out, "%zu thread%s: ", waits->nr_threads, waits->nr_threads == 1 ? "" : "s");
	for (size_t i = 0; i < waits->nr; i++) {
		buf_printf(out, i ? ", " : "");
		if (waits->all[i].nr > 1)
			buf_printf(out, "%zu ", waits->all[i].nr);
		buf_printf(out, "%s", waits->all[i].what);
	}
}

void found_describe(struct dumping *d)
{
	struct snap_info *info = &d->snap->info;
	struct waits waits = waits_count(d->snap);
	struct buf text = BUF_EMPTY;

	waits_describe(&waits, d->snap->nr_procs, &text);
	info->reason = arena_printf(d->snap->arena, "%s: %s", d->reason, text.data);
	info->listens = sock_listens(d->snap);
	snprintf(d->result->found, sizeof d->result->found, "%s%s%s", info->reason,
		info->listens ? "; listens on " : "", info->listens ? info->listens : "");
	buf_finish(&text);
}
