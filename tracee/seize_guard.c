/* The thread that reaps while another one hangs in PTRACE_SEIZE; see seize_guard.h. */
#include "tracee/seize_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/err.h"
#include "tracee/internal.h"

enum { GUARD_TICK_MS = 20 };

struct guarded {
	pid_t tid;
	bool exited;
	int status;
};

struct seize_guard {
	struct tracee *t;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Under the lock. */
	bool done;
	bool entered;
	unsigned long turn; /* counts PTRACE_SEIZE requests */
	struct guarded *threads;
	size_t nr_threads, cap_threads;
};

/*
 * Exits only: stops are for the tracer. WEXITED alone does not leave them out, for a tracer always
 * hears of ptrace-stops (wait_task_stopped() in kernel/exit.c); hence the look before.
 */
static bool guarded_has_exited(const struct guarded *w)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)w->tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return false;
	return info.si_pid && (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED ||
				      info.si_code == CLD_DUMPED);
}

static void guarded_reap(struct guarded *w)
{
	if (w->exited || !guarded_has_exited(w))
		return;
	w->exited = waitpid(w->tid, &w->status, WNOHANG | __WALL) == w->tid;
}

static void *seize_guard_run(void *arg)
{
	struct seize_guard *g = arg;
	unsigned long seen = 0;

	pthread_mutex_lock(&g->lock);
	while (!g->done) {
		struct timespec tick = clock_after_ms(GUARD_TICK_MS);
		int ret = pthread_cond_clockwait(&g->wake, &g->lock, CLOCK_MONOTONIC, &tick);

		if (ret == ETIMEDOUT && g->entered && g->turn == seen)
			for (size_t i = 0; i < g->nr_threads; i++)
				guarded_reap(&g->threads[i]);
		seen = g->turn;
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* Signals of the program are for its own threads. */
static int seize_guard_start(struct seize_guard *g)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&g->thread, NULL, seize_guard_run, g);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int seize_guard_create(struct tracee *t, struct seize_guard **out, struct err *err)
{
	struct seize_guard *g = calloc(1, sizeof *g);
	int ret;

	if (!g)
		return err_nomem(err);
	g->t = t;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->wake, NULL);
	for (size_t i = 0; i < t->nr_threads; i++)
		seize_guard_watch(g, t->threads[i].tid);
	ret = seize_guard_start(g);
	if (ret) {
		free(g->threads);
		free(g);
		return err_ret(err, -ret, "start a thread");
	}
	*out = g;
	return 0;
}

void seize_guard_destroy(struct seize_guard *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->done = true;
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	for (size_t i = 0; i < g->nr_threads; i++) {
		struct guarded *w = &g->threads[i];
		struct tracee_thread *th = w->exited ? tracee_thread_of(g->t, w->tid) : NULL;

		if (th)
			tracee_note_exit(g->t, th, w->status);
	}
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g->threads);
	free(g);
}

void seize_guard_watch(struct seize_guard *g, pid_t tid)
{
	pthread_mutex_lock(&g->lock);
	if (g->nr_threads == g->cap_threads) {
		size_t cap = g->cap_threads ? g->cap_threads * 2 : 64;
		struct guarded *more = reallocarray(g->threads, cap, sizeof *more);

		if (more) {
			g->threads = more;
			g->cap_threads = cap;
		}
	}
	/* Without memory it is not watched, which matters only in that one race. */
	if (g->nr_threads < g->cap_threads)
		g->threads[g->nr_threads++] = (struct guarded){ .tid = tid };
	pthread_mutex_unlock(&g->lock);
}

void seize_guard_enter(struct seize_guard *g)
{
	pthread_mutex_lock(&g->lock);
	g->entered = true;
	g->turn++;
	pthread_mutex_unlock(&g->lock);
}

void seize_guard_leave(struct seize_guard *g)
{
	pthread_mutex_lock(&g->lock);
	g->entered = false;
	pthread_mutex_unlock(&g->lock);
}
