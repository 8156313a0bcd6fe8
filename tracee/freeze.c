/* Stopping everything down to the last thread, letting it go on, and leaving it for good (DESIGN
 * D7). */
#include "tracee/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/log.h"
#include "tracee/proc.h"

enum {
	FREEZE_LIMIT_MS = 10000, /* then we give up */
	RELEASE_LIMIT_MS = 500,  /* the same when it is to be let go: our end does that, too */
	FREEZE_STUCK_MS = 300,   /* without any stop: something waits for a thread that we hold */
	FREEZE_YIELD_MS = 1000,  /* run time for that one, where it is another process ... */
	FREEZE_PAUSE_MS = 20,    /* ... and where it is not */
};

static bool tracee_is_meant(const struct tracee *t, const struct tracee *only)
{
	return !t->ended && (!only || t == only);
}

static void tracee_interrupt(struct tracee *t)
{
	t->frozen = true;
	for (size_t i = 0; i < t->nr_threads; i++) {
		struct tracee_thread *th = &t->threads[i];

		if (th->state != TRACEE_RUNNING || th->interrupted)
			continue;
		ptrace_tid(PTRACE_INTERRUPT, th->tid, 0, 0);
		th->interrupted = true;
	}
}

/* A leader that has exited before its threads can neither stop nor be reaped. */
static void tracee_note_zombie(struct tracee *t)
{
	struct tracee_thread *leader = &t->threads[0];

	if (t->nr_threads > 1 && leader->state == TRACEE_RUNNING &&
		thread_is_zombie(t, leader->tid))
		leader->state = TRACEE_EXITED;
}

static void freeze_note_gone(struct tracer *tr)
{
	tracer_note_lost(tr);
	for (size_t i = 0; i < tr->nr_tracees; i++)
		tracee_note_zombie(tr->tracees[i]);
}

static const struct tracee_thread *tracee_running(const struct tracee *t)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state == TRACEE_RUNNING)
			return &t->threads[i];
	return NULL;
}

static const struct tracee_thread *tracer_running(
	struct tracer *tr, const struct tracee *only, const struct tracee **whose)
{
	for (size_t i = 0; i < tr->nr_tracees; i++) {
		const struct tracee *t = tr->tracees[i];
		const struct tracee_thread *th = tracee_is_meant(t, only) ? tracee_running(t)
									  : NULL;

		*whose = t;
		if (th)
			return th;
	}
	return NULL;
}

static void tracer_interrupt(struct tracer *tr, const struct tracee *only)
{
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tracee_is_meant(tr->tracees[i], only))
			tracee_interrupt(tr->tracees[i]);
}

/* Wait for the stops of all threads that we know. 1: something is stuck. */
static int freeze_known(struct tracer *tr, const struct tracee *only, struct err *err)
{
	struct timespec stuck = clock_after_ms(FREEZE_STUCK_MS);
	const struct tracee *whose;

	tracer_interrupt(tr, only);
	while (tracer_running(tr, only, &whose)) {
		int nr = tracer_drain(tr, err);

		if (nr < 0)
			return nr;
		if (nr > 0)
			stuck = clock_after_ms(FREEZE_STUCK_MS);
		tracer_interrupt(tr, only);
		if (!nr)
			freeze_note_gone(tr);
		if (!nr && tracer_running(tr, only, &whose))
			tracer_sleep(&stuck);
		if (!nr && !clock_ms_until(&stuck))
			return 1;
	}
	return 0;
}

/* Threads that escaped the automatic attachment (CLONE_UNTRACED) show in the task list. */
static int freeze_seize_new(struct tracer *tr, const struct tracee *only, struct err *err)
{
	int nr = 0;

	for (size_t i = 0; i < tr->nr_tracees; i++) {
		int ret = 0;

		if (tracee_is_meant(tr->tracees[i], only))
			ret = tracee_seize_new(tr->tracees[i], err);
		if (ret < 0)
			return ret;
		nr += ret;
	}
	return nr;
}

/*
 * One attempt: stop what we know, look for more, until there is no more. A reading of the task list
 * may miss a thread when others end meanwhile, as they do when the missed one execs: so two
 * readings in a row must find nothing, without any thread ending in between. 1: something is stuck.
 */
static int freeze_try(struct tracer *tr, const struct tracee *only, struct err *err)
{
	const struct tracee *whose;
	int quiet = 0;

	while (quiet < 2) {
		int ret = freeze_known(tr, only, err), events;

		if (ret != 0)
			return ret;
		ret = freeze_seize_new(tr, only, err);
		events = tracer_drain(tr, err);
		if (ret < 0 || events < 0)
			return ret < 0 ? ret : events;
		quiet = ret || events || tracer_running(tr, only, &whose) ? 0 : quiet + 1;
	}
	return 0;
}

static void tracee_thaw(struct tracee *t)
{
	t->frozen = false;
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state == TRACEE_STOPPED ||
			t->threads[i].state == TRACEE_GROUP_STOPPED)
			thread_resume(t, &t->threads[i]);
}

static void freeze_undo(struct tracer *tr, const struct tracee *only)
{
	if (!only)
		tr->freezing = false;
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tracee_is_meant(tr->tracees[i], only))
			tracee_thaw(tr->tracees[i]);
}

static int freeze_explain(
	struct tracer *tr, const struct tracee *only, int limit_ms, struct err *err)
{
	const struct tracee *t;
	const struct tracee_thread *th = tracer_running(tr, only, &t);
	struct proc_syscall in = { .nr = -1 };
	struct proc_stat stat = { .state = '?' };
	char name[64];

	if (!th)
		return err_set(err, ETIMEDOUT, "a thread could not be stopped for %.1f s",
			limit_ms / 1000.0);
	snprintf(name, sizeof name, "task/%d/stat", th->tid);
	proc_stat(t->procfd, name, &stat, NULL);
	proc_syscall(t->procfd, th->tid, &in, NULL);
	err_set(err, ETIMEDOUT,
		"thread %d (%s) of process %d could not be stopped for %.1f s: state %c in %s",
		th->tid, stat.comm, t->pid, limit_ms / 1000.0, stat.state,
		in.nr >= 0 ? syscall_name(in.nr) : "no system call");
	return err_hint(err, "it waits for a disk or a network file system, or for a child of "
			     "vfork(2) that does not exec; try again when that is over");
}

static size_t freeze_nr_stuck(struct tracer *tr)
{
	size_t nr = 0;

	for (size_t i = 0; i < tr->nr_tracees; i++) {
		const struct tracee *t = tr->tracees[i];

		for (size_t j = 0; t->frozen && !t->ended && j < t->nr_threads; j++)
			nr += t->threads[j].state == TRACEE_RUNNING;
	}
	return nr;
}

/*
 * A thread that waits in vfork(2) stops when its child, which we hold, has gone on: let run
 * whatever has stopped altogether. The waiting thread stays interrupted and its process stopped, so
 * the next attempt has one thread less to wait for. Where there is no such process, its own threads
 * are let go for a moment.
 */
static int freeze_yield(struct tracer *tr, const struct tracee *only, struct err *err)
{
	size_t stuck = freeze_nr_stuck(tr);
	struct timespec end = clock_after_ms(FREEZE_YIELD_MS);
	bool yielded = false;

	for (size_t i = 0; i < tr->nr_tracees; i++) {
		struct tracee *t = tr->tracees[i];

		if (tracee_is_meant(t, only) && !tracee_running(t)) {
			tracee_thaw(t);
			yielded = true;
		}
	}
	if (!yielded) {
		freeze_undo(tr, only);
		end = clock_after_ms(FREEZE_PAUSE_MS);
	}
	while (clock_ms_until(&end) && (!yielded || freeze_nr_stuck(tr) >= stuck)) {
		int nr = tracer_drain(tr, err);

		if (nr < 0)
			return nr;
		if (!nr)
			tracer_sleep(&end);
	}
	return 0;
}

/* tracer_freeze of all tracees, or of `only`. */
static int freeze_some(struct tracer *tr, struct tracee *only, int limit_ms, struct err *err)
{
	struct timespec limit = clock_after_ms(limit_ms);

	for (;;) {
		int ret;

		if (!only)
			tr->freezing = true;
		ret = freeze_try(tr, only, err);
		if (ret == 0)
			return 0;
		if (ret > 0)
			ret = clock_ms_until(&limit) ? freeze_yield(tr, only, err)
						     : freeze_explain(tr, only, limit_ms, err);
		if (ret < 0) {
			freeze_undo(tr, only);
			return ret;
		}
	}
}

int tracer_freeze(struct tracer *tr, struct err *err)
{
	int ret;

	tracer_sweep(tr);
	ret = freeze_some(tr, NULL, FREEZE_LIMIT_MS, err);
	if (ret == 0 && tr->nr_tracees && tr->tracees[0]->ended) {
		freeze_undo(tr, NULL);
		ret = err_set(err, ESRCH, "process %d has ended", tr->tracees[0]->pid);
	}
	tracer_sweep(tr);
	return ret;
}

int tracer_thaw(struct tracer *tr, struct err *err)
{
	(void)err; /* what could not go on was killed, which the next poll tells */
	freeze_undo(tr, NULL);
	return 0;
}

/* Threads that were killed while we had them: their process cannot end or exec before we have
 * reaped them. */
static void tracee_reap_rest(struct tracer *tr, struct tracee *t)
{
	struct timespec limit = clock_after_ms(FREEZE_LIMIT_MS);

	t->frozen = false;
	while (tracee_running(t) && clock_ms_until(&limit)) {
		if (tracer_drain(tr, NULL) > 0)
			continue;
		tracer_note_lost(tr);
		if (tracee_running(t))
			tracer_sleep(&limit);
	}
}

void tracee_release(struct tracee *t)
{
	struct tracer *tr = t->tracer;
	struct err err = { 0 };

	t->owned = true; /* so that no sweep takes it away from us */
	/* Only a stopped thread can be detached. What cannot be stopped, the kernel detaches when
	 * we end, and forgets that it was to stop. */
	if (!t->ended && tracee_live_thread(t) && freeze_some(tr, t, RELEASE_LIMIT_MS, &err) < 0)
		log_info("%s; it stays traced until snapctl ends", err.msg);
	for (size_t i = 0; i < t->nr_threads && !t->ended; i++)
		if (t->threads[i].state == TRACEE_STOPPED ||
			t->threads[i].state == TRACEE_GROUP_STOPPED)
			thread_detach(t, &t->threads[i]);
	if (!t->ended && !err.code)
		tracee_reap_rest(tr, t);
	tracee_destroy(t);
}

/* From inside its namespace, no signal of ours ends an init; the end of its tracer does. */
static void tracee_doom(struct tracee *t)
{
	t->launched = true;
	for (size_t i = 0; i < t->nr_threads; i++)
		ptrace_tid(PTRACE_SETOPTIONS, t->threads[i].tid, 0, tracee_options(t));
}

/* All its threads have to be reaped before the leader can be, those we never heard of included. */
void tracee_kill(struct tracee *t)
{
	struct tracer *tr = t->tracer;

	t->owned = true; /* so that no sweep takes it away from us */
	if (!t->ended)
		kill(t->pid, SIGKILL);
	if (t->pid == 1)
		tracee_doom(t);
	while (!t->ended && t->pid != 1) {
		struct timespec pause = clock_after_ms(1000);

		tracee_seize_new(t, NULL);
		if (tracer_drain(tr, NULL) == 0 && !t->ended)
			tracer_sleep(&pause);
	}
	tracee_destroy(t);
}
