/* Stops, memory and remote system calls of new processes; see stops.h. */
#include "restore/stops.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/job.h"
#include "tracee/tracee.h"

int stops_write(const struct job *job, uint64_t addr, const void *data, size_t len, struct err *err)
{
	struct iovec here = { (void *)(uintptr_t)data, len },
		     there = { (void *)(uintptr_t)addr, len };

	if (process_vm_writev(job->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return err_sys(err, "write to the new process");
	return 0;
}

int stops_read(const struct job *job, uint64_t addr, void *data, size_t len, struct err *err)
{
	struct iovec here = { data, len }, there = { (void *)(uintptr_t)addr, len };

	if (process_vm_readv(job->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return err_sys(err, "read from the new process");
	return 0;
}

int stops_getfd(const struct job *job, int num, int *fd, struct err *err)
{
	/* An ended leader has no descriptors any more; its threads have. */
	if (job->proc->tasks[0].exited)
		return thread_getfd(job->plan.threads[1].tid, num, fd, err);
	*fd = (int)syscall(SYS_pidfd_getfd, job->pidfd, num, 0);
	return *fd < 0 ? err_sys(err, "descriptor %d of process %d", num, job->proc->pid) : 0;
}

/* ---- stops -------------------------------------------------------------------------------------
 */

int stops_ended(const struct job *job, int status, struct err *err)
{
	if (job->child_err.code) {
		*err = job->child_err;
		return -err->code;
	}
	if (WIFSIGNALED(status))
		return err_set(
			err, ECHILD, "the new process was killed by signal %d", WTERMSIG(status));
	return err_set(err, ECHILD, "the new process ended with status %d", WEXITSTATUS(status));
}

int stops_unexpected(const struct job *job, pid_t tid, int signal, struct err *err)
{
	struct user_regs_struct regs = { 0 };

	thread_get_regs(tid, &regs, NULL);
	return err_set(err, EPROTO,
		"thread %d of the new process got signal %d at %llx, sp %llx, "
		"restorer at %" PRIx64,
		tid, signal, regs.rip, regs.rsp, job->plan.base);
}

static int wait_for(pid_t tid, int *status, struct err *err)
{
	while (waitpid(tid, status, __WALL) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the new process");
	return 0;
}

int stops_wait(const struct job *job, pid_t tid, int signal, struct err *err)
{
	int status;

	if (wait_for(tid, &status, err) < 0)
		return -err->code;
	if (!WIFSTOPPED(status))
		return stops_ended(job, status, err);
	if (WSTOPSIG(status) != signal || status >> 16)
		return stops_unexpected(job, tid, WSTOPSIG(status), err);
	return 0;
}

int stops_continue(pid_t tid, struct err *err)
{
	return ptrace(PTRACE_CONT, tid, 0, 0) < 0 ? err_sys(err, "continue thread %d", tid) : 0;
}

/* ---- system calls ------------------------------------------------------------------------------
 */

int stops_begin(pid_t pid, uint64_t insn, const struct remote *call, struct err *err)
{
	struct user_regs_struct regs;

	if (thread_get_regs(pid, &regs, err) < 0)
		return -err->code;
	regs.rip = insn;
	regs.rax = (uint64_t)call->nr;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = call->args[0];
	regs.rsi = call->args[1];
	regs.rdx = call->args[2];
	regs.r10 = call->args[3];
	regs.r8 = call->args[4];
	regs.r9 = call->args[5];
	return thread_set_regs(pid, &regs, err);
}

static int syscall_go(pid_t pid, struct err *err)
{
	return ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0 ? err_sys(err, "continue the new process") : 0;
}

static int syscall_result(pid_t pid, int64_t *ret, struct err *err)
{
	struct user_regs_struct regs;

	if (thread_get_regs(pid, &regs, err) < 0)
		return -err->code;
	*ret = (int64_t)regs.rax;
	return 0;
}

int stops_syscall(const struct job *job, uint64_t insn, const struct remote *call, int64_t *ret,
	struct err *err)
{
	if (stops_begin(job->pid, insn, call, err) < 0)
		return -err->code;
	/* Stops at entry and exit, which unlike a single step cost an ignored SIGTRAP nothing. */
	for (int stop = 0; stop < 2; stop++)
		if (syscall_go(job->pid, err) < 0 ||
			stops_wait(job, job->pid, SIGTRAP | STOPS_SYSCALL, err) < 0)
			return -err->code;
	return syscall_result(job->pid, ret, err);
}

int stops_blob_syscall(const struct job *job, const struct remote *call, const char *what,
	int64_t *ret, struct err *err)
{
	int64_t result;

	if (stops_syscall(job, job->plan.base + BLOB_SYSCALL_INSN, call, &result, err) < 0)
		return err_wrap(err, "%s", what);
	if (result < 0 && result >= -4095)
		return err_ret(err, result, "%s", what);
	if (ret)
		*ret = result;
	return 0;
}

static int clone_event(const struct job *job, pid_t *pid, struct err *err)
{
	unsigned long message;
	int status;

	if (wait_for(job->pid, &status, err) < 0)
		return -err->code;
	if (!WIFSTOPPED(status))
		return stops_ended(job, status, err);
	/* No event: the call has failed, and this is the stop at its exit. */
	if (WSTOPSIG(status) == (SIGTRAP | STOPS_SYSCALL))
		return 0;
	if (!(status >> 16) || ptrace(PTRACE_GETEVENTMSG, job->pid, 0, &message) < 0)
		return stops_unexpected(job, job->pid, WSTOPSIG(status), err);
	*pid = (pid_t)message;
	if (syscall_go(job->pid, err) < 0)
		return -err->code;
	return stops_wait(job, job->pid, SIGTRAP | STOPS_SYSCALL, err);
}

int stops_clone(const struct job *job, const struct remote *call, pid_t *pid, struct err *err)
{
	int64_t ret = 0;

	*pid = 0;
	if (stops_begin(job->pid, job->plan.base + BLOB_SYSCALL_INSN, call, err) < 0 ||
		syscall_go(job->pid, err) < 0 ||
		stops_wait(job, job->pid, SIGTRAP | STOPS_SYSCALL, err) < 0 ||
		syscall_go(job->pid, err) < 0 || clone_event(job, pid, err) < 0 ||
		syscall_result(job->pid, &ret, err) < 0)
		return -err->code;
	if (ret < 0)
		return err_set(err, (int)-ret, "%s", strerror((int)-ret));
	/* New tracees of a tracer that did not seize begin with a SIGSTOP (ptrace(2)). */
	return stops_wait(job, *pid, SIGSTOP, err);
}

int stops_exec(const struct job *job, uint64_t insn, const struct remote *call, struct err *err)
{
	struct user_regs_struct regs;

	if (stops_begin(job->pid, insn, call, err) < 0 || stops_continue(job->pid, err) < 0 ||
		stops_wait(job, job->pid, SIGTRAP, err) < 0 ||
		thread_get_regs(job->pid, &regs, err) < 0)
		return -err->code;
	/* The instruction behind the call is an int3, which is reached only if the call failed. */
	if (regs.rip == insn + 3)
		return err_ret(err, (int)(int64_t)regs.rax, "execveat");
	return 0;
}

int stops_exit(pid_t pid, uint64_t insn, int status, struct err *err)
{
	struct remote call = { SYS_exit_group, { (uint64_t)status } };
	int got;

	if (stops_begin(pid, insn, &call, err) < 0 || stops_continue(pid, err) < 0 ||
		wait_for(pid, &got, err) < 0)
		return -err->code;
	if (WIFSTOPPED(got))
		return err_set(err, EPROTO, "process %d did not end", pid);
	return 0;
}
