/* Starting a program under our eyes, from its first instruction. */
#include "tracee/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "tracee/access.h"

/* What the child says through a pipe when it cannot become the program; exec closes the pipe. */
struct launch_failure {
	int code;     /* errno */
	bool prepare; /* of what->prepare, else of exec */
};

struct launch {
	const struct tracee_launch *what;
	int go[2]; /* a byte comes when the child has been seized */
	int failed[2];
};

static _Noreturn void launch_fail(const struct launch *l, int code, bool prepare)
{
	struct launch_failure failure = { code, prepare };

	if (write(l->failed[1], &failure, sizeof failure) < 0)
		_exit(126);
	_exit(127);
}

/* Mask and action of SIGCHLD come last: nothing of the tracer's is left for the program to inherit.
 */
static _Noreturn void launch_child(const struct tracer *tr, const struct launch *l)
{
	const struct tracee_launch *what = l->what;
	char byte;
	int code;

	close(l->go[1]);
	while (read(l->go[0], &byte, 1) != 1)
		if (errno != EINTR)
			_exit(127); /* snapctl is gone */
	code = what->prepare ? what->prepare(what->arg) : 0;
	if (code)
		launch_fail(l, code, true);
	sigaction(SIGCHLD, &tr->old_chld, NULL);
	pthread_sigmask(SIG_SETMASK, &tr->old_mask, NULL);
	/* As execvp(3): searches PATH, and gives a script without #! to /bin/sh. */
	execvpe(what->argv[0], what->argv, what->envp ? what->envp : environ);
	launch_fail(l, errno, false);
}

static int launch_explain(const struct launch *l, const struct tracee *t, struct err *err)
{
	struct launch_failure failure;
	ssize_t n = read(l->failed[0], &failure, sizeof failure);

	if (n == sizeof failure && failure.prepare)
		return err_ret(err, -failure.code, "prepare to run %s", l->what->argv[0]);
	if (n == sizeof failure)
		return err_ret(err, -failure.code, "run %s", l->what->argv[0]);
	return err_set(err, ECHILD, "run %s: the child ended before its exec (wait status 0x%x)",
		l->what->argv[0], (unsigned)t->exit_status);
}

/* From the exec on to the first instruction, where all registers are final. */
static int launch_past_exec(struct tracee *t, struct tracee_thread *th, struct err *err)
{
	enum stop_kind kind = STOP_EXEC;

	while (kind != STOP_TRAP) {
		int ret;

		ptrace_tid(PTRACE_INTERRUPT, th->tid, 0, 0);
		ptrace_tid(PTRACE_CONT, th->tid, 0,
			kind == STOP_SIGNAL ? (uint64_t)WSTOPSIG(th->wait_status) : 0);
		ret = thread_wait(t, th, &kind, err);
		if (ret < 0)
			return ret;
		if (kind == STOP_ENDED)
			return err_set(err, ESRCH, "process %d was killed at its start", t->pid);
	}
	th->state = TRACEE_STOPPED;
	t->frozen = true;
	return 0;
}

static int launch_await(const struct launch *l, struct tracee *t, struct err *err)
{
	struct tracee_thread *th = &t->threads[0];
	enum stop_kind kind;

	for (;;) {
		int ret = thread_wait(t, th, &kind, err);

		if (ret < 0)
			return ret;
		if (kind == STOP_ENDED)
			return launch_explain(l, t, err);
		if (kind == STOP_EXEC)
			return launch_past_exec(t, th, err);
		if (kind == STOP_GROUP)
			ptrace_tid(PTRACE_LISTEN, th->tid, 0, 0);
		else
			ptrace_tid(PTRACE_CONT, th->tid, 0,
				kind == STOP_SIGNAL ? (uint64_t)WSTOPSIG(th->wait_status) : 0);
	}
}

/* It is our child: only a sandbox keeps us from tracing it. */
static int launch_forbidden(const struct launch *l, pid_t pid, struct err *err)
{
	int code = errno, ret = access_check(pid, err);

	if (ret < 0)
		return err_wrap(err, "trace %s", l->what->argv[0]);
	ret = err_ret(err, -code, "trace %s", l->what->argv[0]);
	err_hint(err, "a security module forbids ptrace(2) here");
	return ret;
}

static int launch_seize(
	struct tracer *tr, struct launch *l, pid_t pid, struct tracee **out, struct err *err)
{
	int ret = tracee_create(tr, pid, out, err);
	struct tracee *t = *out;

	if (ret < 0)
		return ret;
	t->owned = t->launched = true;
	tracee_add_thread(t, pid);
	if (ptrace_tid(PTRACE_SEIZE, pid, 0, tracee_options(t)) < 0) {
		ret = launch_forbidden(l, pid, err);
		/* A child like any other: what is no tracee cannot be killed as one. */
		tracee_destroy(t);
		*out = NULL;
		return ret;
	}
	if (write(l->go[1], "", 1) != 1)
		return err_sys(err, "wake the child");
	fd_close(&l->failed[1]); /* so that reading ends when the child has */
	return launch_await(l, t, err);
}

static int launch_run(struct tracer *tr, struct launch *l, struct tracee **out, struct err *err)
{
	struct tracee *t = NULL;
	pid_t pid = fork();
	int ret;

	if (pid < 0)
		return err_sys(err, "make a process for it");
	if (pid == 0)
		launch_child(tr, l);
	ret = launch_seize(tr, l, pid, &t, err);
	if (ret == 0)
		*out = t;
	else if (t)
		tracee_kill(t);
	else if (kill(pid, SIGKILL) == 0)
		waitpid(pid, NULL, 0);
	return ret;
}

int tracee_launch(
	struct tracer *tr, const struct tracee_launch *what, struct tracee **out, struct err *err)
{
	struct launch l = { what, { -1, -1 }, { -1, -1 } };
	int ret;

	if (pipe2(l.go, O_CLOEXEC) < 0 || pipe2(l.failed, O_CLOEXEC) < 0)
		ret = err_sys(err, "make a pipe");
	else
		ret = launch_run(tr, &l, out, err);
	fd_close(&l.go[0]);
	fd_close(&l.go[1]);
	fd_close(&l.failed[0]);
	fd_close(&l.failed[1]);
	return ret;
}
