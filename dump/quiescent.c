/* When to stop; see quiescent.h. */
#include "dump/quiescent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "dump/busy.h"
#include "dump/dumping.h"
#include "dump/interrupt.h"
#include "dump/watch.h"

enum {
	WINDOW_MS = 50,
	SAMPLE_FROM_MS = 40,   /* when in a window the threads are looked at first ... */
	SAMPLE_EVERY_MS = 5,   /* ... and again while one of them was just awake ... */
	WINDOW_LATEST_MS = 75, /* ... until here */
	BUSY_PERCENT = 5,
};

struct quiet {
	struct dumping *d;
	struct watches watches;
	uint64_t *signatures; /* of the last nr_signatures ends of windows, a ring */
	size_t nr_signatures;
	size_t nr_quiet; /* windows in a row */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

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

static int quiet_ended(struct quiet *q, int status, struct err *err)
{
	struct dump_result *result = q->d->result;

	result->ended = true;
	result->wait_status = status;
	if (WIFSIGNALED(status))
		err_set(err, ECHILD, "the program was killed by signal %d (%s) before it was quiet",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		err_set(err, ECHILD, "the program ended with status %d before it was quiet",
			WEXITSTATUS(status));
	if (q->d->tracer->nr_tracees > 1)
		return err_hint(err,
			"it left other processes behind, as daemons do: start it so that "
			"it stays in the foreground, or dump a running one with --pid");
	return -ECHILD;
}

/* Handle what happens for at most ms. */
static int quiet_poll(struct quiet *q, uint64_t ms, struct err *err)
{
	int exited = -1, ret;

	ret = stop_requested(q->d->stop, err);
	if (ret < 0)
		return ret;
	ret = tracer_poll(q->d->tracer, (int)ms, &exited, err);
	if (ret < 0)
		return ret;
	return exited == -1 ? 0 : quiet_ended(q, exited, err);
}

static int quiet_poll_until(struct quiet *q, uint64_t until_ms, struct err *err)
{
	uint64_t now;
	int ret = 0;

	while (!ret && (now = now_ms()) < until_ms)
		ret = quiet_poll(q, until_ms - now, err);
	return ret;
}

/* One window: 1 it was quiet, and *signature says who waits where; 0 it was not. */
static int quiet_window(struct quiet *q, uint64_t *signature, struct err *err)
{
	const struct tracer *tr = q->d->tracer;
	uint64_t start = now_ms(), cpu = tree_cpu(tr);
	bool waiting = false;
	int ret;

	for (uint64_t at = SAMPLE_FROM_MS; !waiting && at < WINDOW_LATEST_MS;
		at += SAMPLE_EVERY_MS) {
		ret = quiet_poll_until(q, start + at, err);
		if (ret < 0)
			return ret;
		if (tree_was_busy(tr, cpu, WINDOW_MS))
			break;
		waiting = watches_sample(&q->watches, tr, signature);
	}
	ret = quiet_poll_until(q, start + WINDOW_MS, err);
	if (ret < 0)
		return ret;
	return waiting && !tree_was_busy(tr, cpu, now_ms() - start);
}

/* Whether the same calls waited at the beginning of the settle time, all windows since being quiet.
 */
static bool quiet_note(struct quiet *q, uint64_t signature)
{
	size_t at = q->nr_quiet++ % q->nr_signatures;
	uint64_t first = q->signatures[(at + 1) % q->nr_signatures];

	q->signatures[at] = signature;
	if (q->nr_signatures == 1)
		return true;
	return q->nr_quiet >= q->nr_signatures && first == signature;
}

static int quiet_loop(struct quiet *q, uint64_t deadline_ms, struct err *err)
{
	uint64_t signature = 0;
	int ret;

	for (;;) {
		ret = quiet_window(q, &signature, err);
		if (ret < 0)
			return ret;
		if (!ret)
			q->nr_quiet = 0;
		else if (quiet_note(q, signature))
			return 0;
		if (now_ms() >= deadline_ms)
			return busy_error(q->d, &q->watches, err);
	}
}

int quiescent_wait(struct dumping *d, struct err *err)
{
	struct quiet q = { .d = d };
	int ret;

	q.nr_signatures = (d->opts->settle_ms + WINDOW_MS - 1) / WINDOW_MS + 1;
	q.signatures = calloc(q.nr_signatures, sizeof *q.signatures);
	if (!q.signatures)
		return err_nomem(err);
	ret = quiet_loop(&q, now_ms() + d->opts->timeout_ms, err);
	free(q.signatures);
	watches_finish(&q.watches);
	return ret;
}
