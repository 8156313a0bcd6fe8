/* One instruction of a stopped thread. */
#include "tracee/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/err.h"
#include "tracee/proc.h"

enum { SIGTRAP_BIT = 1 << (SIGTRAP - 1) };

static int step_not_syscall(struct tracee *t, const struct user_regs_struct *regs, struct err *err)
{
	unsigned char code[2] = { 0 };
	int ret = tracee_read(t, regs->rip, code, sizeof code, err);

	if (ret == 0 && !memcmp(code, "\x0f\x05", 2))
		ret = err_set(err, ENOTSUP, "step thread: the next instruction is a system call");
	return ret;
}

/*
 * The trap of a single step is a forced signal: where the program blocks or ignores SIGTRAP, the
 * kernel sets it to SIG_DFL for good. Blocking is undone by the mask; ignoring has to be put back.
 */
static int step_ignores_trap(
	struct tracee *t, const struct tracee_thread *th, bool *ignores, struct err *err)
{
	struct arena *a = arena_create();
	struct proc_status status;
	char name[64];
	int ret;

	snprintf(name, sizeof name, "task/%d/status", th->tid);
	ret = proc_status(t->procfd, name, a, &status, err);
	if (ret == 0)
		*ignores = status.sig_ignored & SIGTRAP_BIT;
	arena_destroy(a);
	return ret;
}

static int step_sigaction(struct tracee *t, struct tracee_thread *th, bool save, struct err *err)
{
	uint64_t addr, args[6] = { SIGTRAP, 0, 0, 8, 0, 0 };
	int64_t got;
	size_t len;
	int ret = tracee_scratch(t, &addr, &len, err);

	if (ret < 0)
		return ret;
	args[save ? 2 : 1] = addr;
	ret = tracee_syscall(t, th, SYS_rt_sigaction, args, &got, err);
	if (ret == 0 && got < 0)
		ret = err_ret(err, got, "remote rt_sigaction in process %d", t->pid);
	return ret;
}

static bool step_is_done(const struct tracee_thread *th, enum stop_kind kind)
{
	siginfo_t info;

	return kind == STOP_SIGNAL && WSTOPSIG(th->wait_status) == SIGTRAP &&
	       ptrace(PTRACE_GETSIGINFO, th->tid, NULL, &info) == 0 && info.si_code > 0;
}

/* The step itself may fault: then the thread is given its fault back, which comes again when it
 * runs on. */
static int step_run(struct tracee *t, struct tracee_thread *th, struct borrowed *b, struct err *err)
{
	enum stop_kind kind;

	for (;;) {
		int ret;

		if (ptrace_tid(PTRACE_SINGLESTEP, th->tid, 0, 0) < 0 && errno != ESRCH)
			return err_sys(err, "step thread %d", th->tid);
		ret = thread_wait(t, th, &kind, err);
		if (ret < 0)
			return ret;
		if (step_is_done(th, kind))
			return thread_get_regs(th->tid, &b->regs, err);
		if (kind == STOP_SIGNAL && WSTOPSIG(th->wait_status) == SIGTRAP)
			return err_set(
				err, EBUSY, "step thread %d: somebody sent it a SIGTRAP", th->tid);
		ret = borrow_other_stop(t, th, kind, b, err);
		if (ret < 0)
			return ret;
	}
}

static int step_borrowed(struct tracee *t, struct tracee_thread *th, struct err *err)
{
	struct err end = { 0 };
	struct borrowed b;
	int ret = borrow_begin(t, th, SIGTRAP_BIT, &b, err);

	if (ret < 0)
		return ret;
	b.rseq_cs = 0; /* it is what the program's next instructions make of it */
	if (syscall_rewind(&b.regs))
		ret = err_set(err, ENOTSUP, "step thread %d: it is in a system call", th->tid);
	else
		ret = step_run(t, th, &b, err);
	if (th->state == TRACEE_EXITED)
		return ret < 0 ? ret : -ESRCH;
	if (borrow_end(t, th, &b, &end) < 0 && ret == 0) {
		if (err)
			*err = end;
		ret = -end.code;
	}
	return ret;
}

int tracee_step(struct tracee *t, struct tracee_thread *th, struct err *err)
{
	struct user_regs_struct regs;
	bool ignores;
	int ret = thread_must_be_stopped(th, err);

	if (ret == 0)
		ret = thread_get_regs(th->tid, &regs, err);
	if (ret == 0)
		ret = step_not_syscall(t, &regs, err);
	if (ret == 0)
		ret = step_ignores_trap(t, th, &ignores, err);
	if (ret == 0 && ignores)
		ret = step_sigaction(t, th, true, err);
	if (ret < 0)
		return ret;
	ret = step_borrowed(t, th, err);
	if (ignores && th->state != TRACEE_EXITED) {
		int put_back = step_sigaction(t, th, false, ret < 0 ? NULL : err);

		ret = ret < 0 ? ret : put_back;
	}
	return ret;
}
