/* Attaching to a process that runs: every thread, without stopping any (PTRACE_SEIZE). */
#include "tracee/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ptrace.h>

#include "base/arena.h"
#include "base/err.h"
#include "tracee/access.h"
#include "tracee/proc.h"
#include "tracee/seize_guard.h"

enum { MAX_PASSES = 10000, MAX_REFUSALS = 100 };

/* A zombie leader is not the end while other threads live, which the count of threads tells. */
bool tracee_is_gone(const struct tracee *t)
{
	struct proc_stat stat;

	if (proc_stat(t->procfd, "stat", &stat, NULL) < 0)
		return true;
	return (stat.state == 'Z' || stat.state == 'X') && stat.num_threads <= 1;
}

bool thread_is_zombie(const struct tracee *t, pid_t tid)
{
	struct proc_stat stat;
	char name[64];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	return proc_stat(t->procfd, name, &stat, NULL) < 0 || stat.state == 'Z' ||
	       stat.state == 'X';
}

/* ---- one thread --------------------------------------------------------- */

static int seize_forbidden(struct tracee *t, pid_t tid, struct err *err)
{
	int ret = err_set(err, EPERM,
		"process %d: thread %d may not be traced, and no rule that we know forbids it",
		t->pid, tid);

	err_hint(err, "a security module (AppArmor, SELinux) or a seccomp filter of snapctl's own "
		      "may; look into the kernel's log");
	return ret;
}

static long seize_request(struct tracee *t, struct seize_guard *guard, pid_t tid)
{
	long ret;

	if (guard)
		seize_guard_enter(guard);
	ret = ptrace_tid(PTRACE_SEIZE, tid, 0, tracee_options(t));
	if (ret < 0)
		ret = -errno;
	if (guard)
		seize_guard_leave(guard);
	return ret;
}

/* 0: it is ours, or there is nothing to trace; -EAGAIN: neither, so try once more. */
static int seize_refused(struct tracee *t, pid_t tid, struct err *err)
{
	pid_t tgid;

	/* A record of ours proves nothing: the tid may be another thread's by now. */
	if (tracer_owns(t->tracer, tid, &tgid) && tracer_adopt(t->tracer, tid))
		return 0;
	if (!thread_is_zombie(t, tid)) {
		int ret = access_check(t->pid, err);

		return ret < 0 && ret != -ESRCH ? ret : -EAGAIN;
	}
	if (tid == t->pid) {
		struct tracee_thread *leader = tracee_add_thread(t, tid);

		leader->state = TRACEE_EXITED;
		leader->untraced = true;
	}
	return 0;
}

/*
 * PTRACE_SEIZE of a thread that execs waits for the end of the exec, and then attaches what is the
 * leader now: under another tid than we asked for.
 */
static void seize_note(struct tracee *t, struct seize_guard *guard, pid_t tid)
{
	pid_t tgid;

	if (tid != t->pid && !tracer_owns(t->tracer, tid, &tgid) &&
		tracer_owns(t->tracer, t->pid, &tgid)) {
		tracee_note_exec(t);
		tid = t->pid;
	}
	if (guard)
		seize_guard_watch(guard, tid);
	tracee_add_thread(t, tid);
}

/*
 * EPERM has several meanings here: we may not; the thread is ours already (a clone event that we
 * have not read yet attached it); it has exited; it had exited, and when we look its tid belongs to
 * the thread that execs.
 */
static int seize_thread(struct tracee *t, struct seize_guard *guard, pid_t tid, struct err *err)
{
	for (int i = 0; i < MAX_REFUSALS; i++) {
		long ret = seize_request(t, guard, tid);

		if (ret == -ESRCH)
			return 0;
		if (ret == -EPERM) {
			ret = seize_refused(t, tid, err);
			if (ret == -EAGAIN)
				continue;
			return (int)ret;
		}
		if (ret < 0)
			return err_ret(err, ret, "seize thread %d of process %d", tid, t->pid);
		seize_note(t, guard, tid);
		return 1;
	}
	return seize_forbidden(t, tid, err);
}

/* ---- all threads -------------------------------------------------------- */

/*
 * A leader needs a second look: a thread that we had not seized yet may have execed, which gave it
 * the leader's tid, or the leader may have exited and stays as a zombie.
 */
static bool seize_knows(struct tracee *t, pid_t tid)
{
	pid_t tgid;

	if (tid != t->pid)
		return tracee_thread_of(t, tid);
	if (!t->nr_threads)
		return false;
	if (t->threads[0].state == TRACEE_EXITED)
		return thread_is_zombie(t, tid);
	return tracer_owns(t->tracer, tid, &tgid);
}

/* A helper of the kernel for io_uring: it shows as a thread, runs no code of the program, and never
 * stops for a tracer (linux/sched.h: PF_IO_WORKER). */
static bool seize_is_worker(const struct tracee *t, pid_t tid)
{
	enum { IO_WORKER = 0x10 };
	struct proc_stat stat;
	char name[48];

	snprintf(name, sizeof name, "task/%d/stat", tid);
	return tid != t->pid && proc_stat(t->procfd, name, &stat, NULL) == 0 &&
	       stat.flags & IO_WORKER;
}

/* The guard costs a thread: it is needed only where one of ours may be killed by an exec. */
static int seize_next(struct tracee *t, struct seize_guard **guard, pid_t tid, struct err *err)
{
	if (seize_knows(t, tid) || seize_is_worker(t, tid))
		return 0;
	if (!*guard && tracee_live_thread(t)) {
		int ret = seize_guard_create(t, guard, err);

		if (ret < 0)
			return ret;
	}
	return seize_thread(t, *guard, tid, err);
}

int tracee_seize_new(struct tracee *t, struct err *err)
{
	struct arena *a = arena_create();
	struct seize_guard *guard = NULL;
	pid_t *tids;
	size_t nr = 0;
	int found = 0;

	if (proc_tasks(t->procfd, a, &tids, &nr, NULL) < 0)
		nr = 0; /* it has ended, which wait will tell */
	for (size_t i = 0; i < nr && found >= 0; i++) {
		int ret = seize_next(t, &guard, tids[i], err);

		found = ret < 0 ? ret : found + ret;
	}
	seize_guard_destroy(guard);
	arena_destroy(a);
	return found;
}

/*
 * Threads made by those that we have are attached by the kernel, so there is an end however fast
 * they come. Two readings, because one may miss a thread: the list moves when others end meanwhile.
 */
static int seize_all(struct tracee *t, struct err *err)
{
	int quiet = 0;

	for (int pass = 0; pass < MAX_PASSES && quiet < 2; pass++) {
		struct timespec pause = clock_after_ms(1);
		int ret = tracee_seize_new(t, err);

		/* Nobody to be seen, and yet it lives: in the middle of an exec. */
		if (ret == 0 && !tracee_live_thread(t) && !tracee_is_gone(t))
			tracer_sleep(&pause);
		else
			quiet = ret == 0 ? quiet + 1 : 0;
		/* Lets creators of threads go on, and reaps those that stand in the way of an exec.
		 */
		if (ret >= 0)
			ret = tracer_drain(t->tracer, err);
		if (ret < 0)
			return ret;
	}
	if (quiet < 2)
		return err_set(err, EAGAIN,
			"process %d makes threads faster than they can be seized", t->pid);
	if (!tracee_live_thread(t) && tracee_is_gone(t))
		return err_set(err, ESRCH, "process %d has ended", t->pid);
	return 0;
}

int tracee_seize(struct tracer *tr, pid_t pid, struct tracee **out, struct err *err)
{
	struct tracee *t = tracer_find(tr, pid);
	int ret;

	if (t)
		return err_set(err, EEXIST, "process %d is traced by us already", pid);
	ret = tracee_create(tr, pid, &t, err);
	if (ret < 0)
		return ret;
	t->owned = true;
	ret = seize_all(t, err);
	if (ret < 0) {
		tracee_release(t);
		return ret;
	}
	*out = t;
	return 0;
}
