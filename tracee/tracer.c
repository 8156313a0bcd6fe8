/* The records of tracees and their threads: who is known, who has ended. What happens to them is in
 * event.c. */
#include "tracee/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "tracee/proc.h"

/* glibc's ptrace() is variadic and typed by request; this is the system call with plain numbers. */
long ptrace_tid(int request, pid_t tid, uint64_t addr, uint64_t data)
{
	return ptrace((enum __ptrace_request)request, tid, (void *)addr, (void *)data);
}

/*
 * The stop before an end only where all threads are ours from their birth: one that an exec waits
 * for would stand there while PTRACE_SEIZE of another one waits for that exec.
 */
unsigned tracee_options(const struct tracee *t)
{
	return PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
	       PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
	       (t->launched ? PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT : 0) |
	       (t->tracer->sieved ? PTRACE_O_TRACESECCOMP : 0);
}

static void sigset_chld(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
}

struct tracer *tracer_create(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct tracer *tr = calloc(1, sizeof *tr);
	sigset_t chld;

	if (!tr)
		memory_none();
	tr->tid = gettid();
	sigset_chld(&chld);
	pthread_sigmask(SIG_BLOCK, &chld, &tr->old_mask);
	/* Neither SIG_IGN nor SA_NOCLDSTOP: the kernel sends nothing for ptrace-stops then. */
	sigaction(SIGCHLD, &dfl, &tr->old_chld);
	return tr;
}

void tracer_destroy(struct tracer *tr)
{
	sigset_t chld;

	if (!tr)
		return;
	/* None of them shall see another one end. */
	for (size_t i = 0; i < tr->nr_tracees; i++)
		if (tr->tracees[i]->launched && !tr->tracees[i]->ended)
			kill(tr->tracees[i]->pid, SIGKILL);
	while (tr->nr_tracees) {
		struct tracee *t = tr->tracees[tr->nr_tracees - 1];

		if (t->launched)
			tracee_kill(t);
		else
			tracee_release(t);
	}
	sigaction(SIGCHLD, &tr->old_chld, NULL);
	sigset_chld(&chld);
	if (!sigismember(&tr->old_mask, SIGCHLD))
		pthread_sigmask(SIG_UNBLOCK, &chld, NULL);
	free(tr->tracees);
	free(tr);
}

static void *grow(void *array, size_t nr, size_t *cap, size_t size)
{
	void *more;

	if (nr < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 16;
	more = reallocarray(array, *cap, size);
	if (!more)
		memory_none();
	return more;
}

int tracee_create(struct tracer *tr, pid_t pid, struct tracee **out, struct err *err)
{
	struct tracee *t;
	OWNED_FD procfd = -1;
	int ret = proc_open(pid, &procfd, err);

	if (ret < 0)
		return ret;
	t = calloc(1, sizeof *t);
	if (!t)
		return err_nomem(err);
	t->tracer = tr;
	t->pid = pid;
	t->procfd = take_fd(&procfd);
	t->memfd = t->pidfd = -1;
	t->frozen = tr->freezing;
	tr->tracees = grow(tr->tracees, tr->nr_tracees, &tr->cap_tracees, sizeof(struct tracee *));
	tr->tracees[tr->nr_tracees++] = t;
	*out = t;
	return 0;
}

void tracee_destroy(struct tracee *t)
{
	struct tracer *tr = t->tracer;
	size_t i = 0;

	while (tr->tracees[i] != t)
		i++;
	memmove(&tr->tracees[i], &tr->tracees[i + 1],
		(tr->nr_tracees - i - 1) * sizeof(struct tracee *));
	tr->nr_tracees--;
	fd_close(&t->procfd);
	fd_close(&t->memfd);
	fd_close(&t->pidfd);
	free(t->scratch_was);
	free(t->threads);
	free(t);
}

/* A leader that comes late (its thread was seen first, or it was replaced by exec) still goes to
 * slot 0. */
struct tracee_thread *tracee_add_thread(struct tracee *t, pid_t tid)
{
	struct tracee_thread *th;

	t->threads = grow(t->threads, t->nr_threads, &t->cap_threads, sizeof *t->threads);
	if (tid == t->pid && t->nr_threads && t->threads[0].tid == tid) {
		th = &t->threads[0];
	} else if (tid == t->pid) {
		memmove(&t->threads[1], &t->threads[0], t->nr_threads * sizeof *t->threads);
		t->nr_threads++;
		th = &t->threads[0];
	} else {
		th = &t->threads[t->nr_threads++];
	}
	*th = (struct tracee_thread){ .tid = tid, .state = TRACEE_RUNNING };
	return th;
}

struct tracee_thread *tracee_thread_of(struct tracee *t, pid_t tid)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].tid == tid && t->threads[i].state != TRACEE_EXITED)
			return &t->threads[i];
	return NULL;
}

struct tracee *tracer_find(struct tracer *tr, pid_t tid)
{
	for (size_t i = 0; i < tr->nr_tracees; i++) {
		struct tracee *t = tr->tracees[i];

		if (!t->ended && (t->pid == tid || tracee_thread_of(t, tid)))
			return t;
	}
	return NULL;
}

struct tracee_thread *tracee_live_thread(struct tracee *t)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state != TRACEE_EXITED)
			return &t->threads[i];
	return NULL;
}

int tracee_open_live(struct tracee *t, const char *name, int flags, int *fd, struct err *err)
{
	struct tracee_thread *th = tracee_live_thread(t);
	char path[64];
	int got;

	if (!th)
		return err_set(err, ESRCH, "process %d has ended", t->pid);
	snprintf(path, sizeof path, "task/%d/%s", th->tid, name);
	got = openat(t->procfd, path, flags | O_CLOEXEC);
	if (got < 0)
		return err_sys(err, "open /proc/%d/%s", t->pid, path);
	*fd = got;
	return 0;
}

static bool tracee_has_threads(const struct tracee *t)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].state != TRACEE_EXITED)
			return true;
	return false;
}

/*
 * The kernel reports the leader after all other threads, and with the status of the whole process.
 * Of a process whose leader had exited before we came, the last thread is the last we hear.
 */
void tracee_note_exit(struct tracee *t, struct tracee_thread *th, int status)
{
	bool last = th->tid == t->pid && !th->untraced;

	th->state = TRACEE_EXITED;
	th->wait_status = status;
	th->held_signal = 0;
	t->exit_status = status;
	if (!last && (tracee_has_threads(t) || !t->threads[0].untraced || !tracee_is_gone(t)))
		return;
	for (size_t i = 0; i < t->nr_threads; i++)
		t->threads[i].state = TRACEE_EXITED;
	t->ended = true;
}

/*
 * A thread of ours vanishes without a status when it execs: it is the leader then, whatever the
 * leader's record says. A leader vanishes when a thread execs that was not ours: the next reading
 * of the task list finds that one.
 */
void tracee_note_lost(struct tracee *t, struct tracee_thread *th)
{
	pid_t tgid;

	th->state = TRACEE_EXITED;
	if (th->tid != t->pid && tracer_owns(t->tracer, t->pid, &tgid)) {
		tracee_note_exec(t);
		tracee_add_thread(t, t->pid);
	} else if (!tracee_has_threads(t) && tracee_is_gone(t)) {
		t->ended = true;
	}
}

void tracee_note_exec(struct tracee *t)
{
	for (size_t i = 1; i < t->nr_threads; i++)
		t->threads[i].state = TRACEE_EXITED;
	fd_close(&t->memfd); /* of the old address space, which it keeps alive */
	fd_close(&t->pidfd);
	t->syscall_insn = t->scratch = 0;
}

static void tracee_sweep(struct tracee *t)
{
	size_t kept = 1;

	for (size_t i = 1; i < t->nr_threads; i++)
		if (t->threads[i].state != TRACEE_EXITED)
			t->threads[kept++] = t->threads[i];
	if (t->nr_threads)
		t->nr_threads = kept;
}

void tracer_sweep(struct tracer *tr)
{
	for (size_t i = tr->nr_tracees; i-- > 0;) {
		struct tracee *t = tr->tracees[i];

		if (t->ended && !t->owned)
			tracee_destroy(t);
		else
			tracee_sweep(t);
	}
}

int tracee_vpid(struct tracee *t, pid_t tid, pid_t *vpid, struct err *err)
{
	struct arena *a = arena_create();
	struct proc_status status;
	char name[64];
	int ret;

	snprintf(name, sizeof name, "task/%d/status", tid);
	ret = proc_status(t->procfd, name, a, &status, err);
	if (ret >= 0)
		*vpid = status.nspid;
	arena_destroy(a);
	return ret < 0 ? err_wrap(err, "process %d", t->pid) : 0;
}
