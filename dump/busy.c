/* What a tree is doing; see busy.h. */
#include "dump/busy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "dump/dumping.h"
#include "dump/watch.h"

enum { MEASURE_MS = 200, BUSY_PERCENT = 5, NAMED_THREADS = 5 };

/* Nanoseconds on a CPU: the first number of schedstat. */
static uint64_t busy_cpu(const struct tracee *t, pid_t tid)
{
	struct arena *a = arena_create();
	uint64_t ns = 0;
	char name[48], *text;
	size_t len;

	snprintf(name, sizeof name, "task/%d/schedstat", tid);
	if (!proc_text(t->procfd, name, a, &text, &len, NULL))
		text_dec(&(struct text){ text }, &ns);
	arena_destroy(a);
	return ns;
}

static void busy_read_all(struct dumping *d, const struct watches *w, uint64_t *cpu)
{
	for (size_t i = 0; i < w->nr; i++) {
		const struct tracee *t = tracer_find(d->tracer, w->all[i].pid);

		cpu[i] = t ? busy_cpu(t, w->all[i].tid) : 0;
	}
}

static void busy_thread_name(struct dumping *d, const struct watch *w, struct buf *out)
{
	const struct tracee *t = tracer_find(d->tracer, w->pid);
	struct proc_stat stat;
	char name[48];

	if (d->tracer->nr_tracees > 1)
		buf_printf(out, "process %d ", w->pid);
	buf_printf(out, "thread %d", w->tid);
	snprintf(name, sizeof name, "task/%d/stat", w->tid);
	if (t && !proc_stat(t->procfd, name, &stat, NULL))
		buf_printf(out, " (%s)", stat.comm);
	else
		buf_printf(out, " (which has ended meanwhile)");
}

/* One thread in words, nothing if it was quiet. */
static bool busy_thread(struct dumping *d, const struct watch *w, unsigned percent, struct buf *out)
{
	const char *call = w->nr >= 0 ? syscall_name(w->nr) : "a page fault";
	bool uses_cpu = percent >= BUSY_PERCENT;

	if (!uses_cpu &&
		(w->state == WATCH_WAITS || w->state == WATCH_STOPPED || w->state == WATCH_VFORK))
		return false;
	buf_printf(out, out->len ? ", " : "");
	busy_thread_name(d, w, out);
	if (uses_cpu)
		buf_printf(out, " used %u%% of a CPU", percent);
	else if (w->state == WATCH_DISK)
		buf_printf(out, " waits for disk in %s", call);
	else if (w->state == WATCH_SLEEPS)
		buf_printf(out, " sleeps between steps in %s", call);
	else
		buf_printf(out, " was just running");
	return true;
}

static int busy_measure(struct dumping *d, uint64_t elapsed_ms, struct err *err)
{
	struct timespec from, now;
	int exited = -1;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		int ret = tracer_poll(d->tracer, (int)elapsed_ms, &exited, err);

		if (ret < 0)
			return ret;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (exited == -1 &&
		 (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 <
			 (long)elapsed_ms);
	return 0;
}

/* "thread 12 (java) waits in futex, ..." */
static void busy_waits(struct dumping *d, const struct watches *w, struct buf *out)
{
	for (size_t i = 0; i < w->nr && i < NAMED_THREADS; i++) {
		const struct watch *watch = &w->all[i];

		buf_printf(out, i ? ", " : "");
		busy_thread_name(d, watch, out);
		if (watch->state == WATCH_STOPPED)
			buf_printf(out, " is stopped");
		else
			buf_printf(out, " waits in %s",
				watch->nr >= 0 ? syscall_name(watch->nr) : "a page fault");
	}
	if (w->nr > NAMED_THREADS)
		buf_printf(out, " and %zu more", w->nr - NAMED_THREADS);
}

static void busy_words(struct dumping *d, const struct watches *w, const uint64_t *before,
	const uint64_t *after, struct buf *out)
{
	size_t named = 0, start = out->len;

	for (size_t i = 0; i < w->nr && named < NAMED_THREADS; i++) {
		uint64_t used = after[i] > before[i] ? after[i] - before[i] : 0;

		named += busy_thread(d, &w->all[i], (unsigned)(used / (MEASURE_MS * 10000)), out);
	}
	if (out->len == start)
		busy_waits(d, w, out);
	if (out->len == start)
		buf_printf(out, "nobody is there any more");
}

static int busy_measured(
	struct dumping *d, const struct watches *w, struct buf *out, struct err *err)
{
	uint64_t *cpu = calloc(2 * w->nr + 1, sizeof *cpu);
	int ret;

	if (!cpu)
		return err_nomem(err);
	busy_read_all(d, w, cpu);
	ret = busy_measure(d, MEASURE_MS, err);
	if (!ret) {
		busy_read_all(d, w, cpu + w->nr);
		busy_words(d, w, cpu, cpu + w->nr, out);
	}
	free(cpu);
	return ret;
}

int busy_describe(struct dumping *d, struct buf *out, struct err *err)
{
	struct watches w = { 0 };
	uint64_t signature;
	int ret;

	watches_sample(&w, d->tracer, &signature);
	ret = busy_measured(d, &w, out, err);
	watches_finish(&w);
	return ret;
}
