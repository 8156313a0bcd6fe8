/*
 * Letting a stopped thread go on as if it had never been stopped. For most threads that is one
 * request; two things need more care, both undone by making the kernel take the thread through a
 * stop of our choice:
 *
 * A held signal can only be given back in a signal-delivery-stop. Where a remote call moved the
 * thread out of the one it was in, a carrier (an unused real-time signal) makes a new one, and
 * leaves it as the held one.
 *
 * epoll_wait and others end with EINTR on any stop; and when the kernel restarts sigsuspend and
 * others, their temporary mask is gone for a moment, as it is for good after PTRACE_SETSIGMASK.
 * Such a thread executes its system call again: all signals blocked up to the syscall-enter-stop
 * and unblocked there, so that one that is pending ends the call instead of slipping in before it.
 */
#include "tracee/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "tracee/kernel_abi.h"
#include "tracee/proc.h"

static uint64_t sigbit(int sig)
{
	return 1ULL << (sig - 1);
}

static int thread_kill(const struct tracee *t, const struct tracee_thread *th, int sig)
{
	return (int)syscall(SYS_tgkill, t->pid, th->tid, sig);
}

struct sigsets {
	uint64_t pending;     /* of the thread and its process */
	uint64_t deliverable; /* of these: neither blocked nor without a handler */
};

/* Everything is pending where that cannot be read: the thread is about to end. */
static struct sigsets thread_sigsets(const struct tracee *t, const struct tracee_thread *th)
{
	struct sigsets sets = { UINT64_MAX, UINT64_MAX };
	struct arena *a = arena_create();
	struct proc_status status;
	char name[64];

	snprintf(name, sizeof name, "task/%d/status", th->tid);
	if (proc_status(t->procfd, name, a, &status, NULL) >= 0) {
		sets.pending = status.sig_pending | status.shd_pending;
		sets.deliverable = sets.pending & ~status.sig_blocked & status.sig_caught;
	}
	arena_destroy(a);
	return sets;
}

/* ---- going through a stop of our choice --------------------------------- */

struct passage {
	int request; /* PTRACE_CONT or PTRACE_SYSCALL */
	enum stop_kind until;
	int signal; /* with STOP_SIGNAL */
};

/* Resume until that stop. False: the thread ended, or is in a group-stop now. */
static bool thread_pass_to(struct tracee *t, struct tracee_thread *th, const struct passage *p)
{
	struct sigstops sigstops = { 0 };
	bool there = false;
	enum stop_kind kind;

	while (!there) {
		if (ptrace_tid(p->request, th->tid, 0, 0) < 0 && errno != ESRCH)
			return false;
		if (thread_wait(t, th, &kind, NULL) < 0 || kind == STOP_ENDED)
			return false;
		if (kind == STOP_GROUP && p->until == STOP_SYSCALL) {
			th->state = TRACEE_GROUP_STOPPED;
			break;
		}
		there = kind == p->until && (!p->signal || WSTOPSIG(th->wait_status) == p->signal);
		if (!there && kind == STOP_SIGNAL && WSTOPSIG(th->wait_status) == SIGSTOP)
			sigstops_add(&sigstops, th);
	}
	sigstops_send(&sigstops, t, th);
	return there;
}

/* ---- held signals ------------------------------------------------------- */

static int signal_unused(uint64_t pending)
{
	for (int sig = 64; sig >= 34; sig--)
		if (!(pending & sigbit(sig)))
			return sig;
	return 0;
}

static bool signal_stops(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* Back into a signal-delivery-stop of the held signal. */
static bool thread_redeliver(struct tracee *t, struct tracee_thread *th, uint64_t pending)
{
	struct passage there = { PTRACE_CONT, STOP_SIGNAL, signal_unused(pending) };
	uint64_t mask;

	if (!there.signal || thread_get_sigmask(th->tid, &mask, NULL) < 0 ||
		thread_set_sigmask(th->tid, ~sigbit(there.signal), NULL) < 0)
		return false;
	if (thread_kill(t, th, there.signal) < 0) {
		thread_set_sigmask(th->tid, mask, NULL);
		return false;
	}
	if (!thread_pass_to(t, th, &there))
		return false;
	thread_set_sigmask(th->tid, mask, NULL);
	return ptrace(PTRACE_SETSIGINFO, th->tid, NULL, &th->held_info) == 0;
}

static int thread_take_held(struct tracee *t, struct tracee_thread *th)
{
	int sig = th->held_signal;

	if (sig && th->held_displaced) {
		uint64_t pending = thread_sigsets(t, th).pending;

		/* A SIGCONT that came meanwhile would have removed a queued stop signal. */
		if (signal_stops(sig) && (pending & sigbit(SIGCONT)))
			sig = 0;
		else if (!thread_redeliver(t, th, pending) && th->state != TRACEE_EXITED) {
			log_warn("thread %d of process %d: signal %d could not be delivered as it "
				 "was",
				th->tid, t->pid, sig);
			thread_kill(t, th, sig);
			sig = 0;
		}
	}
	th->held_signal = 0;
	th->held_displaced = false;
	return sig;
}

/* ---- interrupted system calls ------------------------------------------- */

static void thread_reenter(
	struct tracee *t, struct tracee_thread *th, struct user_regs_struct *regs)
{
	static const struct passage there = { PTRACE_SYSCALL, STOP_SYSCALL, 0 };
	uint64_t mask;

	if (!syscall_rewind(regs) || thread_get_sigmask(th->tid, &mask, NULL) < 0 ||
		thread_set_sigmask(th->tid, UINT64_MAX, NULL) < 0)
		return;
	if (thread_set_regs(th->tid, regs, NULL) == 0)
		thread_pass_to(t, th, &there);
	thread_set_sigmask(th->tid, mask, NULL);
}

/*
 * PTRACE_DETACH makes a call that has just begun believe in a signal, unless the call recomputes
 * that by setting a mask. So others begin after it; a signal that arrives right before is as early
 * as one that arrived before the call was made.
 */
static void thread_rewind(
	const struct tracee *t, const struct tracee_thread *th, struct user_regs_struct *regs)
{
	if (!thread_sigsets(t, th).deliverable && syscall_rewind(regs))
		thread_set_regs(th->tid, regs, NULL);
}

static void thread_redo_call(struct tracee *t, struct tracee_thread *th, bool detach)
{
	struct user_regs_struct regs;

	bool broken;

	if (thread_get_regs(th->tid, &regs, NULL) < 0 || (int64_t)regs.orig_rax < 0)
		return;
	broken = (int64_t)regs.rax == -EINTR;
	syscall_settle_ia32(t, &regs);
	if (syscall_swaps_mask(t, &regs))
		thread_reenter(t, th, &regs);
	else if (broken && detach)
		thread_rewind(t, th, &regs);
	else if (broken)
		thread_reenter(t, th, &regs);
}

/* ---- going on ----------------------------------------------------------- */

/* The signal to go on with; afterwards the thread may have ended. */
static int thread_prepare(struct tracee *t, struct tracee_thread *th, bool detach)
{
	int sig = thread_take_held(t, th);

	if (!sig && th->state == TRACEE_STOPPED)
		thread_redo_call(t, th, detach);
	return sig;
}

/* Fails only where the thread was killed meanwhile, which wait will tell. */
void thread_resume(struct tracee *t, struct tracee_thread *th)
{
	int sig = thread_prepare(t, th, false);

	if (th->state == TRACEE_EXITED)
		return;
	if (th->state == TRACEE_GROUP_STOPPED)
		ptrace_tid(PTRACE_LISTEN, th->tid, 0, 0);
	else
		ptrace_tid(tracee_request(t), th->tid, 0, (uint64_t)sig);
	th->state = TRACEE_RUNNING;
}

void thread_detach(struct tracee *t, struct tracee_thread *th)
{
	int sig = thread_prepare(t, th, true);

	if (th->state == TRACEE_EXITED)
		return;
	/* Killed meanwhile (by an exec of a thread that we have let go, for one): it is to be
	 * reaped. */
	if (ptrace_tid(PTRACE_DETACH, th->tid, 0, (uint64_t)sig) < 0)
		th->state = TRACEE_RUNNING;
	else
		th->state = TRACEE_EXITED;
}
