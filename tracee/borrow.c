/* Running a stopped thread for a moment for our own ends, and giving it back as it was. */
#include "tracee/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

int thread_must_be_stopped(const struct tracee_thread *th, struct err *err)
{
	if (th->state == TRACEE_STOPPED || th->state == TRACEE_GROUP_STOPPED)
		return 0;
	if (th->state == TRACEE_EXITED)
		return err_set(err, ESRCH, "thread %d has ended", th->tid);
	return err_set(err, EBUSY, "thread %d is not stopped", th->tid);
}

/*
 * The kernel clears rseq_cs when it sees the thread preempted outside of its restartable sequence,
 * which is where we take it. Without it the sequence would later go on as if nobody had come in
 * between.
 */
static int borrow_rseq(
	struct tracee *t, struct tracee_thread *th, struct borrowed *b, struct err *err)
{
	struct thread_rseq rseq;

	b->rseq_addr = b->rseq_cs = 0;
	if (thread_get_rseq(th->tid, &rseq, NULL) < 0 || !rseq.addr)
		return 0;
	b->rseq_addr = rseq.addr + 8;
	return tracee_read(t, b->rseq_addr, &b->rseq_cs, sizeof b->rseq_cs, err);
}

void sigstops_add(struct sigstops *s, const struct tracee_thread *th)
{
	siginfo_t info = { 0 };

	if (ptrace(PTRACE_GETSIGINFO, th->tid, 0, &info) == 0 && info.si_code == SI_TKILL)
		s->own = true;
	else
		s->shared = true;
}

void sigstops_send(const struct sigstops *s, const struct tracee *t, const struct tracee_thread *th)
{
	if (s->own)
		syscall(SYS_tgkill, t->pid, th->tid, SIGSTOP);
	if (s->shared)
		kill(t->pid, SIGSTOP);
}

int borrow_begin(struct tracee *t, struct tracee_thread *th, uint64_t open, struct borrowed *b,
	struct err *err)
{
	int ret = thread_must_be_stopped(th, err);

	b->sigstops = (struct sigstops){ 0 };
	if (ret == 0)
		ret = thread_get_regs(th->tid, &b->regs, err);
	if (ret == 0)
		ret = borrow_rseq(t, th, b, err);
	if (ret == 0)
		ret = thread_get_sigmask(th->tid, &b->mask, err);
	if (ret == 0)
		ret = thread_set_sigmask(th->tid, ~open, err);
	if (ret < 0)
		return ret;
	if (th->held_signal)
		th->held_displaced = true;
	return 0;
}

static int borrow_ended(const struct tracee *t, const struct tracee_thread *th, struct err *err)
{
	if (WIFSIGNALED(th->wait_status))
		return err_set(err, ESRCH,
			"thread %d of process %d was killed by signal %d while we used it", th->tid,
			t->pid, WTERMSIG(th->wait_status));
	return err_set(
		err, ESRCH, "thread %d of process %d ended while we used it", th->tid, t->pid);
}

int borrow_other_stop(struct tracee *t, struct tracee_thread *th, enum stop_kind kind,
	struct borrowed *b, struct err *err)
{
	int sig = WSTOPSIG(th->wait_status);

	if (kind == STOP_ENDED)
		return borrow_ended(t, th, err);
	if (kind == STOP_SIGNAL && sig == SIGSTOP)
		sigstops_add(&b->sigstops, th);
	else if (kind == STOP_SIGNAL)
		return err_set(err, sig == SIGSYS ? EACCES : EFAULT,
			"thread %d of process %d got signal %d (%s) while we used it%s", th->tid,
			t->pid, sig, strsignal(sig),
			sig == SIGSYS ? ": its seccomp filter or syscall user dispatch" : "");
	return 0;
}

static int borrow_put_back(
	struct tracee *t, struct tracee_thread *th, const struct borrowed *b, struct err *err)
{
	int ret = thread_set_regs(th->tid, &b->regs, err);

	if (ret == 0)
		ret = thread_set_sigmask(th->tid, b->mask, err);
	if (ret == 0 && b->rseq_cs)
		ret = tracee_write(t, b->rseq_addr, &b->rseq_cs, sizeof b->rseq_cs, err);
	return ret;
}

/* Where the thread is in a stop inside get_signal() after this, nothing has looked at the registers
 * yet. */
int borrow_end(
	struct tracee *t, struct tracee_thread *th, const struct borrowed *b, struct err *err)
{
	struct sigstops sigstops = b->sigstops;
	enum stop_kind kind;
	int ret;

	if (th->state == TRACEE_EXITED)
		return borrow_ended(t, th, err);
	ret = borrow_put_back(t, th, b, err);
	do {
		ptrace_tid(PTRACE_INTERRUPT, th->tid, 0, 0);
		ptrace_tid(PTRACE_CONT, th->tid, 0, 0);
		if (thread_wait(t, th, &kind, err) < 0 || kind == STOP_ENDED)
			return borrow_ended(t, th, err);
		if (kind == STOP_SIGNAL && WSTOPSIG(th->wait_status) == SIGSTOP)
			sigstops_add(&sigstops, th);
	} while (kind != STOP_TRAP && kind != STOP_GROUP);
	th->state = kind == STOP_GROUP ? TRACEE_GROUP_STOPPED : TRACEE_STOPPED;
	th->stop_signal = kind == STOP_GROUP ? WSTOPSIG(th->wait_status) : 0;
	sigstops_send(&sigstops, t, th);
	return ret;
}
