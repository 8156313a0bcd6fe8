/*
 * What the kernel reports about tracees through wait(2), one event at a time, and what follows from
 * it for a tracee that runs (go on) or is being frozen (stay).
 */
#include "tracee/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "tracee/proc.h"

enum { MAX_EVENTS = 256, WAIT_MINE = __WALL | __WNOTHREAD };

/* ---- what a status means ------------------------------------------------ */

static enum stop_kind stop_classify(int status)
{
	if (!WIFSTOPPED(status))
		return STOP_ENDED;
	switch (status >> 16) {
	case PTRACE_EVENT_STOP:
		return WSTOPSIG(status) == SIGTRAP ? STOP_TRAP : STOP_GROUP;
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		return STOP_CHILD;
	case PTRACE_EVENT_EXEC:
		return STOP_EXEC;
	case PTRACE_EVENT_EXIT:
		return STOP_EXIT;
	case PTRACE_EVENT_SECCOMP:
		return STOP_SECCOMP;
	default:
		return WSTOPSIG(status) == (SIGTRAP | 0x80) ? STOP_SYSCALL : STOP_SIGNAL;
	}
}

/* ---- who is it ---------------------------------------------------------- */

bool tracer_owns(struct tracer *tr, pid_t tid, pid_t *tgid)
{
	struct arena *a = arena_create();
	struct proc_status status;
	bool ours;
	int procfd = -1;

	ours = proc_open(tid, &procfd, NULL) >= 0 &&
	       proc_status(procfd, "status", a, &status, NULL) >= 0 && status.tracer == tr->tid;
	if (ours)
		*tgid = status.tgid;
	fd_close(&procfd);
	arena_destroy(a);
	return ours;
}

static struct tracee *tracer_process(struct tracer *tr, pid_t pid)
{
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tr->tracees[i]->pid == pid && !tr->tracees[i]->ended)
			return tr->tracees[i];
	return NULL;
}

bool tracer_adopt(struct tracer *tr, pid_t tid)
{
	struct tracee *t;
	pid_t tgid;

	if (tracer_find(tr, tid) && tracee_thread_of(tracer_find(tr, tid), tid))
		return true;
	if (!tracer_owns(tr, tid, &tgid))
		return false;
	t = tracer_process(tr, tgid);
	if (!t && tracee_create(tr, tgid, &t, NULL) < 0)
		return false;
	tracee_add_thread(t, tid);
	return true;
}

/* The child that a STOP_CHILD of tid tells about: those of what we launched are attached with its
 * options, so they die with us too. */
static void tracer_adopt_child(struct tracer *tr, pid_t tid)
{
	struct tracee *parent = tracer_find(tr, tid), *child;
	unsigned long pid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &pid) < 0 || !tracer_adopt(tr, (pid_t)pid))
		return;
	child = tracer_find(tr, (pid_t)pid);
	child->launched = parent && parent->launched;
}

/* Finds a leader too that we know to be a zombie: its end is reported only after all other threads.
 */
static struct tracee_thread *tracer_thread(struct tracer *tr, pid_t tid, struct tracee **t)
{
	*t = tracer_find(tr, tid);
	if (!*t)
		return NULL;
	if ((*t)->pid == tid && !(*t)->threads[0].untraced)
		return &(*t)->threads[0];
	return tracee_thread_of(*t, tid);
}

/* ---- one event ---------------------------------------------------------- */

static int thread_try_wait(pid_t tid, int *status)
{
	pid_t got;

	do {
		got = waitpid(tid, status, WAIT_MINE | WNOHANG);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got > 0;
}

static int tracee_scan(struct tracee *t, pid_t *tid, int *status)
{
	for (size_t j = 0; !t->ended && j < t->nr_threads; j++) {
		struct tracee_thread *th = &t->threads[j];
		int ret;

		if (th->untraced || (th->state == TRACEE_EXITED && j > 0))
			continue;
		ret = thread_try_wait(th->tid, status);
		if (ret > 0)
			*tid = th->tid;
		if (ret > 0)
			return 1;
		/* Somebody execed, and this is not a thread any more: there is no status. */
		if (ret == -ECHILD && th->state != TRACEE_EXITED)
			tracee_note_lost(t, th);
	}
	return 0;
}

/* Threads whose creator was killed before it could tell of them: the leader's end waits for them.
 */
static bool tracee_adopt_untold(struct tracee *t)
{
	struct arena *a = arena_create();
	size_t nr = 0, known = t->nr_threads;
	pid_t *tids;

	if (t->ended || proc_tasks(t->procfd, a, &tids, &nr, NULL) < 0)
		nr = 0;
	for (size_t i = 0; i < nr; i++)
		if (tids[i] != t->pid && !tracee_thread_of(t, tids[i]))
			tracer_adopt(t->tracer, tids[i]);
	arena_destroy(a);
	return t->nr_threads > known;
}

/* Ask for every thread by itself: what waits in front may be another child of the caller. */
static int event_scan(struct tracer *tr, pid_t *tid, int *status)
{
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tracee_scan(tr->tracees[i], tid, status))
			return 1;
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tracee_adopt_untold(tr->tracees[i]) && tracee_scan(tr->tracees[i], tid, status))
			return 1;
	return 0;
}

/* A leader that is our child can be waited for even if what has its tid now is not traced. */
static bool thread_is_lost(
	struct tracer *tr, const struct tracee *t, const struct tracee_thread *th)
{
	siginfo_t info;
	pid_t tgid;

	if (waitid(P_PID, (id_t)th->tid, &info,
		    WEXITED | WSTOPPED | WNOHANG | WNOWAIT | WAIT_MINE) < 0)
		return errno == ECHILD;
	return th->tid == t->pid && !tracer_owns(tr, th->tid, &tgid);
}

static void tracee_find_lost(struct tracer *tr, struct tracee *t)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state == TRACEE_RUNNING && thread_is_lost(tr, t, &t->threads[i]))
			tracee_note_lost(t, &t->threads[i]);
}

void tracer_note_lost(struct tracer *tr)
{
	for (size_t i = 0; i < tr->nr_tracees; i++)
		tracee_find_lost(tr, tr->tracees[i]);
}

/*
 * A look that consumes nothing, because waitpid(-1) would reap children of our caller. A tid that
 * we do not know is either one of those or a new thread whose stop came before that of its creator.
 */
static int event_next(struct tracer *tr, pid_t *tid, int *status)
{
	siginfo_t info = { 0 };
	struct tracee *t;

	if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | WAIT_MINE) < 0)
		return errno == ECHILD ? event_scan(tr, tid, status) : 0;
	if (!info.si_pid)
		return 0;
	*tid = info.si_pid;
	if (!tracer_thread(tr, *tid, &t) && !tracer_adopt(tr, *tid))
		return event_scan(tr, tid, status);
	return thread_try_wait(*tid, status) > 0 || event_scan(tr, tid, status);
}

/* ---- what follows ------------------------------------------------------- */

static void thread_hold_signal(struct tracee_thread *th)
{
	if (ptrace(PTRACE_GETSIGINFO, th->tid, NULL, &th->held_info) == 0)
		th->held_signal = WSTOPSIG(th->wait_status);
}

/* Stops inside a system call are no place to stay: registers are not final there (rax is still to
 * come). */
static void thread_pass(struct tracee *t, struct tracee_thread *th)
{
	th->state = TRACEE_RUNNING;
	if (t->frozen) {
		ptrace_tid(PTRACE_INTERRUPT, th->tid, 0, 0);
		th->interrupted = true;
	}
	ptrace_tid(tracee_request(t), th->tid, 0, 0);
}

static void thread_stopped(struct tracee *t, struct tracee_thread *th, enum stop_kind kind)
{
	th->state = kind == STOP_GROUP ? TRACEE_GROUP_STOPPED : TRACEE_STOPPED;
	th->stop_signal = kind == STOP_GROUP ? WSTOPSIG(th->wait_status) : 0;
	th->interrupted = false;
	if (kind == STOP_SIGNAL) {
		thread_hold_signal(th);
		tracee_tell(t, th, TRACEE_SIGNAL);
	}
	if (!t->frozen)
		thread_resume(t, th);
}

static void thread_ended(struct tracee *t, struct tracee_thread *th, int status)
{
	th->wait_status = status;
	if (th->tid == t->pid)
		tracee_tell(t, th, TRACEE_END);
	tracee_note_exit(t, th, status);
}

static void tracer_handle(struct tracer *tr, struct tracee *t, struct tracee_thread *th, int status)
{
	enum stop_kind kind = stop_classify(status);
	pid_t tid = th->tid;

	th->wait_status = status;
	switch (kind) {
	case STOP_ENDED:
		thread_ended(t, th, status);
		break;
	case STOP_EXIT:
		if (thread_leave(t, th, &status))
			thread_ended(t, th, status);
		else
			thread_pass(t, th);
		break;
	case STOP_TRAP:
	case STOP_GROUP:
	case STOP_SIGNAL:
		thread_stopped(t, th, kind);
		break;
	case STOP_EXEC:
		tracee_note_exec(t);
		tracee_tell(t, th, TRACEE_EXEC);
		thread_pass(t, th);
		break;
	case STOP_CHILD:
		tracer_adopt_child(tr, tid);
		thread_pass(t, tracee_thread_of(t, tid)); /* the array may have moved */
		break;
	case STOP_SYSCALL:
	case STOP_SECCOMP:
		tracee_tell_call(t, th);
		thread_pass(t, th);
		break;
	}
}

int tracer_drain(struct tracer *tr, struct err *err)
{
	int nr = 0, status;
	pid_t tid;

	assert(gettid() == tr->tid);
	while (nr < MAX_EVENTS && event_next(tr, &tid, &status)) {
		struct tracee *t;
		struct tracee_thread *th = tracer_thread(tr, tid, &t);

		if (!th)
			return err_set(
				err, EPROTO, "wait reported thread %d, which nobody knows", tid);
		if (WIFSTOPPED(status))
			th->state = TRACEE_RUNNING; /* the zombie leader, replaced by a thread that
						       execed */
		tracer_handle(tr, t, th, status);
		nr++;
	}
	return nr;
}

/*
 * A process of which we have no thread left: one that execed in a thread we had missed runs
 * untraced, under a leader's tid that we had. One that was killed while we seized it may still have
 * had threads of which we never heard when our last one ended, so nothing has told its end.
 */
static int tracer_find_again(struct tracer *tr, struct err *err)
{
	for (size_t i = 0; i < tr->nr_tracees; i++) {
		struct tracee *t = tr->tracees[i];
		int ret = t->ended || tracee_live_thread(t) ? 0 : tracee_seize_new(t, err);

		if (ret < 0)
			return ret;
		if (!t->ended && !tracee_live_thread(t) && tracee_is_gone(t))
			t->ended = true;
	}
	return 0;
}

int tracer_poll(struct tracer *tr, int timeout_ms, int *exited, struct err *err)
{
	struct timespec deadline = clock_after_ms(timeout_ms);
	int nr;

	for (;;) {
		nr = tracer_drain(tr, err);
		if (nr == 0)
			nr = tracer_find_again(tr, err);
		if (nr || !tr->nr_tracees || tr->tracees[0]->ended || !clock_ms_until(&deadline))
			break;
		tracer_sleep(&deadline);
	}
	tracer_sweep(tr);
	if (exited && tr->nr_tracees && tr->tracees[0]->ended)
		*exited = tr->tracees[0]->exit_status;
	return nr;
}

int thread_wait(struct tracee *t, struct tracee_thread *th, enum stop_kind *kind, struct err *err)
{
	int status;

	while (waitpid(th->tid, &status, WAIT_MINE) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == ECHILD)
			tracee_note_lost(t, th);
		return err_sys(err, "wait for thread %d", th->tid);
	}
	th->wait_status = status;
	*kind = stop_classify(status);
	if (*kind == STOP_ENDED)
		tracee_note_exit(t, th, status);
	return 0;
}
