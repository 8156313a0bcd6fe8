/* Waiting for the rest of a time; see left.h. */
#include "restore/left.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "restore/job.h"
#include "restore/stops.h"
#include "tracee/kernel_abi.h"
#include "tracee/tracee.h"

enum { RED_ZONE = 128 };

static const uint64_t NS = 1000000000;

/* Where the call takes a struct timespec from; NULL: it takes milliseconds. */
static unsigned long long *timespec_arg(struct user_regs_struct *regs)
{
	switch (regs->rax) {
	case SYS_nanosleep:
		return &regs->rdi;
	case SYS_clock_nanosleep:
		return &regs->rdx;
	case SYS_futex:
		return &regs->r10;
	default:
		return NULL;
	}
}

/* The call with the time that is left; for a struct timespec there is room below the stack. */
static int left_put(const struct job *job, uint64_t left, struct user_regs_struct *call,
	uint64_t *at, struct timespec *was, struct err *err)
{
	struct timespec ts = { (time_t)(left / NS), (long)(left % NS) };
	unsigned long long *arg = timespec_arg(call);

	*at = 0;
	if (!arg) {
		call->rdx = (left + 999999) / 1000000;
		return 0;
	}
	*at = (call->rsp - RED_ZONE - sizeof ts) & ~(uint64_t)7;
	if (stops_read(job, *at, was, sizeof *was, err) < 0)
		return -err->code;
	*arg = *at;
	return stops_write(job, *at, &ts, sizeof ts, err);
}

/* Into the call, and with a SIGSTOP that waits already, out of it again. */
static int call_and_stop(
	const struct job *job, pid_t tid, struct user_regs_struct *call, struct err *err)
{
	if (thread_set_regs(tid, call, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_SYSCALL, tid, 0, 0) < 0)
		return err_sys(err, "continue thread %d", tid);
	if (stops_wait(job, tid, SIGTRAP | STOPS_SYSCALL, err) < 0)
		return -err->code;
	if (syscall(SYS_tgkill, job->pid, tid, SIGSTOP) < 0)
		return err_sys(err, "stop thread %d", tid);
	if (stops_continue(tid, err) < 0 || stops_wait(job, tid, SIGSTOP, err) < 0)
		return -err->code;
	return thread_get_regs(tid, call, err);
}

int left_go_on(const struct job *job, const struct snap_task *task, pid_t tid,
	struct user_regs_struct *regs, struct err *err)
{
	struct user_regs_struct call = *regs;
	struct timespec was;
	uint64_t at;
	int64_t answer;

	/* A stack without room for it: then it waits for the whole time again. */
	if (left_put(job, task->wait_left, &call, &at, &was, err) < 0) {
		*err = (struct err){ 0 };
		return 0;
	}
	if (call_and_stop(job, tid, &call, err) < 0)
		return -err->code;
	if (at && stops_write(job, at, &was, sizeof was, err) < 0)
		return -err->code;
	answer = (int64_t)call.rax;
	regs->orig_rax = answer == -ABI_ERESTART_RESTARTBLOCK ? regs->rax : (uint64_t)-1;
	regs->rax = call.rax;
	regs->rip += SYSCALL_INSN_LEN;
	return 0;
}
