/* What each thread does, seen from /proc; see watch.h. */
#include "dump/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "dump/waits.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

/* Sleeps longer than this are quiet at once; shorter ones after so many returns to the same place.
 */
static const uint64_t LONG_SLEEP_NS = 2000000000;
enum { SLEEP_RETURNS = 3 };

static struct watch *watch_of(struct watches *w, pid_t pid, pid_t tid)
{
	for (size_t i = 0; i < w->nr; i++)
		if (w->all[i].tid == tid && w->all[i].pid == pid)
			return &w->all[i];
	if (w->nr == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 32;
		struct watch *more = realloc(w->all, cap * sizeof *more);

		if (!more)
			return NULL;
		w->all = more;
		w->cap = cap;
	}
	w->all[w->nr] = (struct watch){ .pid = pid, .tid = tid, .nr = -1 };
	return &w->all[w->nr++];
}

/* How often the thread went to sleep in its life; 0 where that cannot be read. */
static uint64_t watch_switches(const struct tracee *t, pid_t tid)
{
	struct arena *a = arena_create();
	uint64_t switches = 0;
	char name[48], *text;
	size_t len;

	snprintf(name, sizeof name, "task/%d/status", tid);
	if (!proc_text(t->procfd, name, a, &text, &len, NULL))
		text_field_dec(text, "voluntary_ctxt_switches", &switches);
	arena_destroy(a);
	return switches;
}

/* A short sleep is quiet once its thread came back to it a few times. */
static enum watch_state watch_sleep(struct watch *w, const struct tracee *t, bool same_place)
{
	uint64_t switches = watch_switches(t, w->tid);

	if (!same_place)
		w->returns = 0;
	else if (switches != w->switches)
		w->returns++;
	w->switches = switches;
	return w->returns >= SLEEP_RETURNS ? WATCH_WAITS : WATCH_SLEEPS;
}

static enum watch_state watch_look(
	struct watch *w, struct tracee *t, const struct tracee_thread *th)
{
	uint64_t sleep_ns = 0;
	struct proc_syscall call;
	struct proc_stat stat;
	char name[48];
	bool same;

	snprintf(name, sizeof name, "task/%d/stat", w->tid);
	if (proc_stat(t->procfd, name, &stat, NULL) < 0)
		return WATCH_RUNS;
	/* A first thread stays like that, and its tracer is not told, until the others have ended.
	 */
	if (stat.state == 'Z')
		return WATCH_ENDED;
	if (proc_syscall(t->procfd, w->tid, &call, NULL) < 0)
		return WATCH_RUNS;
	same = w->nr == call.nr && w->sp == call.sp && w->pc == call.pc;
	if (call.nr >= 0) {
		w->nr = call.nr;
		w->sp = call.sp;
		w->pc = call.pc;
	}
	/* One that is stopped for us, who have not come to it yet, is about to go on. */
	if (stat.state == 'T' || stat.state == 't')
		return th->stop_signal ? WATCH_STOPPED : WATCH_RUNS;
	if (stat.state == 'D')
		return wait_is_vfork(stat.state, call.nr) ? WATCH_VFORK : WATCH_DISK;
	if (stat.state != 'S' || call.nr < 0)
		return WATCH_RUNS;
	switch (wait_kind_of(t, w->tid, &call, &sleep_ns)) {
	case WAIT_EVENT:
		return WATCH_WAITS;
	case WAIT_SLEEP:
		return sleep_ns > LONG_SLEEP_NS ? WATCH_WAITS : watch_sleep(w, t, same);
	case WAIT_NONE:
		break;
	}
	return WATCH_RUNS;
}

/* FNV-1a over words: enough to tell two states of the same program apart. */
static uint64_t signature_add(uint64_t signature, uint64_t word)
{
	for (int i = 0; i < 8; i++)
		signature = (signature ^ (word >> (8 * i) & 0xff)) * 0x100000001b3;
	return signature;
}

static void watches_drop_stale(struct watches *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->nr; i++)
		if (w->all[i].fresh)
			w->all[kept++] = w->all[i];
	w->nr = kept;
}

static bool watches_sample_process(struct watches *w, struct tracee *t, uint64_t *signature)
{
	bool quiet = true;

	for (size_t i = 0; i < t->nr_threads; i++) {
		struct watch *watch;

		if (t->threads[i].state == TRACEE_EXITED)
			continue;
		watch = watch_of(w, t->pid, t->threads[i].tid);
		if (!watch)
			return false;
		watch->state = watch_look(watch, t, &t->threads[i]);
		watch->fresh = watch->state != WATCH_ENDED;
		if (!watch->fresh)
			continue;
		quiet = quiet && (watch->state == WATCH_WAITS || watch->state == WATCH_STOPPED ||
					 watch->state == WATCH_VFORK);
		*signature = signature_add(*signature, (uint64_t)watch->tid);
		*signature = signature_add(*signature, (uint64_t)watch->nr);
		*signature = signature_add(*signature, watch->sp);
		*signature = signature_add(*signature, watch->pc);
	}
	return quiet;
}

bool watches_sample(struct watches *w, const struct tracer *tr, uint64_t *signature)
{
	bool quiet = true;

	*signature = 0xcbf29ce484222325;
	for (size_t i = 0; i < w->nr; i++)
		w->all[i].fresh = false;
	for (size_t i = 0; i < tr->nr_tracees; i++)
		quiet &= watches_sample_process(w, tr->tracees[i], signature);
	watches_drop_stale(w);
	return quiet && w->nr > 0;
}

void watches_finish(struct watches *w)
{
	free(w->all);
	*w = (struct watches){ 0 };
}
