/* When a tree is quiet; see quiescent.h. */
#include "dump/quiescent.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "dump/until/condition.h"
#include "dump/watch.h"

enum {
	WINDOW_MS = 50,
	SAMPLE_FROM_MS = 40,   /* when in a window the threads are looked at first ... */
	SAMPLE_EVERY_MS = 5,   /* ... and again while one of them was just awake ... */
	WINDOW_LATEST_MS = 75, /* ... until here */
	BUSY_PERCENT = 5,
};

struct quiet {
	struct watches watches;
	uint64_t *signatures; /* of the last nr_signatures ends of windows, a ring */
	size_t nr_signatures;
	size_t nr_quiet; /* windows in a row */
	/* The window that is under way. */
	uint64_t start_ms, next_ms, cpu_ns, signature;
	bool begun, sampled; /* sampled: next comes its end */
	bool waiting;        /* as found by the sample */
};

/* CPU time of all processes, ns. One that has just ended counts nothing: the difference is then
 * huge. */
static uint64_t tree_cpu(const struct tracer *tr)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < tr->nr_tracees; i++) {
		struct timespec ts;
		clockid_t clock;

		if (clock_getcpuclockid(tr->tracees[i]->pid, &clock) ||
			clock_gettime(clock, &ts) < 0)
			continue;
		sum += (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	}
	return sum;
}

static bool tree_was_busy(const struct tracer *tr, uint64_t cpu_before, uint64_t elapsed_ms)
{
	uint64_t used = tree_cpu(tr) - cpu_before;

	return used > elapsed_ms * 1000000 / 100 * BUSY_PERCENT;
}

/* Whether the same calls waited at the beginning of the settle time, all windows since being quiet.
 */
static bool quiet_note(struct quiet *q)
{
	size_t at = q->nr_quiet++ % q->nr_signatures;
	uint64_t first = q->signatures[(at + 1) % q->nr_signatures];

	q->signatures[at] = q->signature;
	if (q->nr_signatures == 1)
		return true;
	return q->nr_quiet >= q->nr_signatures && first == q->signature;
}

static void window_begin(struct quiet *q, const struct tracer *tr, uint64_t now)
{
	q->begun = true;
	q->sampled = q->waiting = false;
	q->start_ms = now;
	q->next_ms = now + SAMPLE_FROM_MS;
	q->cpu_ns = tree_cpu(tr);
}

static void window_sample(struct quiet *q, const struct tracer *tr, uint64_t now)
{
	bool busy = tree_was_busy(tr, q->cpu_ns, WINDOW_MS);

	q->waiting = !busy && watches_sample(&q->watches, tr, &q->signature);
	q->sampled = busy || q->waiting || now + SAMPLE_EVERY_MS >= q->start_ms + WINDOW_LATEST_MS;
	q->next_ms = q->sampled ? q->start_ms + WINDOW_MS : now + SAMPLE_EVERY_MS;
}

/* True: it was quiet for long enough. */
static bool window_end(struct quiet *q, const struct tracer *tr, uint64_t now)
{
	if (q->waiting && !tree_was_busy(tr, q->cpu_ns, now - q->start_ms))
		return quiet_note(q);
	q->nr_quiet = 0;
	return false;
}

/* Its child waits, too, so it will not end: better said at once than found out by the freeze. */
static int vfork_check(const struct watches *watches, struct err *err)
{
	for (size_t i = 0; i < watches->nr; i++) {
		const struct watch *w = &watches->all[i];

		if (w->state != WATCH_VFORK)
			continue;
		err_set(err, ENOTSUP,
			"process %d, thread %d waits in vfork(2) for a child that goes on without "
			"exec; it cannot be stopped there",
			w->pid, w->tid);
		return err_hint(err, "dump it when its child has called exec or ended");
	}
	return 0;
}

static int quiescent_look(struct wait *w, uint64_t now, struct err *err)
{
	const struct tracer *tr = w->d->tracer;
	struct quiet *q = w->own;
	bool quiet = false;

	if (!q->begun) {
		window_begin(q, tr, now);
	} else if (now >= q->next_ms) {
		if (!q->sampled)
			window_sample(q, tr, now);
		if (q->sampled && now >= q->next_ms) {
			quiet = window_end(q, tr, now);
			window_begin(q, tr, now);
		}
	}
	w->next_ms = q->next_ms;
	if (quiet && vfork_check(&q->watches, err) < 0)
		return -err->code;
	return quiet;
}

static int quiescent_parse(struct wait *w, const char *arg, struct err *err)
{
	struct quiet *q = arena_alloc(w->arena, sizeof *q);

	(void)arg, (void)err;
	q->nr_signatures = (w->d->opts->settle_ms + WINDOW_MS - 1) / WINDOW_MS + 1;
	q->signatures = arena_array(w->arena, q->nr_signatures, sizeof *q->signatures);
	w->own = q;
	return 0;
}

static void quiescent_finish(struct wait *w)
{
	watches_finish(&((struct quiet *)w->own)->watches);
}

static void quiescent_words(const struct wait *w, struct buf *out)
{
	(void)w;
	buf_printf(out, "it was quiet");
}

const struct condition condition_quiescent = {
	.name = "quiescent",
	.usage = "quiescent",
	.summary = "all its threads wait for something from outside (default)",
	.parse = quiescent_parse,
	.look = quiescent_look,
	.finish = quiescent_finish,
	.words = quiescent_words,
};
