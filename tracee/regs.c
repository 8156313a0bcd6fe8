/* Registers of one stopped thread, and what hangs on them: TLS, rseq, interrupted system calls. */
#include "tracee/internal.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "tracee/kernel_abi.h"

int thread_get_regs(pid_t tid, struct user_regs_struct *regs, struct err *err)
{
	if (ptrace(PTRACE_GETREGS, tid, NULL, regs) < 0)
		return err_sys(err, "read registers of thread %d", tid);
	return 0;
}

int thread_set_regs(pid_t tid, const struct user_regs_struct *regs, struct err *err)
{
	if (ptrace(PTRACE_SETREGS, tid, NULL, regs) < 0)
		return err_sys(err, "set registers of thread %d", tid);
	return 0;
}

static long thread_try_xstate(pid_t tid, void *data, size_t len)
{
	struct iovec iov = { data, len };

	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return -1;
	return (long)iov.iov_len;
}

/* The kernel cuts without a word: where the room was filled to the end, look whether there is more.
 */
int thread_get_xstate(pid_t tid, void *data, size_t *len, struct err *err)
{
	long got = thread_try_xstate(tid, data, *len), all = got;

	if (got == (long)*len) {
		void *room = malloc(*len + 64);

		if (!room)
			return err_nomem(err);
		all = thread_try_xstate(tid, room, *len + 64);
		free(room);
	}
	if (got < 0 || all < 0)
		return err_sys(err, "read xstate of thread %d", tid);
	if (all > got)
		return err_set(err, ENOSPC, "read xstate of thread %d: it has more than %zu bytes",
			tid, *len);
	*len = (size_t)got;
	return 0;
}

int thread_set_xstate(pid_t tid, const void *data, size_t len, struct err *err)
{
	struct iovec iov = { (void *)data, len };

	if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return err_sys(err, "set xstate of thread %d", tid);
	return 0;
}

int tracee_read_tls(struct tracee *t, pid_t tid, int64_t offset, uint64_t *word, struct err *err)
{
	struct user_regs_struct regs;
	int ret = thread_get_regs(tid, &regs, err);

	if (ret < 0)
		return ret;
	return tracee_read(t, regs.fs_base + (uint64_t)offset, word, sizeof *word, err);
}

int thread_get_rseq(pid_t tid, struct thread_rseq *rseq, struct err *err)
{
	struct abi_ptrace_rseq_configuration conf = { 0 };

	if (ptrace((enum __ptrace_request)ABI_PTRACE_GET_RSEQ_CONFIGURATION, tid,
		    (void *)sizeof conf, &conf) < 0) {
		int ret = err_sys(err, "read rseq of thread %d", tid);

		err_hint(err, "the kernel has to be 5.13 or newer");
		return ret;
	}
	*rseq = (struct thread_rseq){ conf.rseq_abi_pointer, conf.rseq_abi_size, conf.signature,
		conf.flags };
	return 0;
}

int thread_get_robust_list(pid_t tid, uint64_t *head, uint64_t *len, struct err *err)
{
	void *addr = NULL;
	size_t size = 0;

	if (syscall(SYS_get_robust_list, tid, &addr, &size) < 0)
		return err_sys(err, "read the robust list of thread %d", tid);
	*head = (uint64_t)addr;
	*len = addr ? size : 0;
	return 0;
}

/* ---- interrupted system calls (D8) -------------------------------------- */

/*
 * Calls that end with EINTR after any stop, even without a signal (signal(7), last section, and the
 * kernel: with a time limit set on the socket the restart codes turn into EINTR). Nothing has
 * happened by then.
 */
static bool syscall_breaks(long nr)
{
	static const short calls[] = {
		SYS_epoll_wait,
		SYS_epoll_pwait,
		SYS_epoll_pwait2,
		SYS_rt_sigtimedwait,
		SYS_semop,
		SYS_semtimedop,
		SYS_io_getevents,
		SYS_io_pgetevents,
		SYS_io_uring_enter,
		SYS_accept,
		SYS_accept4,
		SYS_recvfrom,
		SYS_recvmsg,
		SYS_recvmmsg,
		SYS_sendto,
		SYS_sendmsg,
		SYS_sendmmsg,
		SYS_read,
		SYS_readv,
		SYS_write,
		SYS_writev,
		SYS_connect,
		SYS_mq_timedreceive,
		SYS_mq_timedsend,
	};

	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (calls[i] == nr)
			return true;
	return false;
}

bool syscall_swaps_mask(const struct user_regs_struct *regs)
{
	switch ((long)regs->orig_rax) {
	case SYS_rt_sigsuspend:
		return true;
	case SYS_ppoll:
		return regs->r10;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_io_uring_enter:
		return regs->r8;
	case SYS_pselect6:
	case SYS_io_pgetevents:
		return regs->r9;
	default:
		return false;
	}
}

bool syscall_rewind(struct user_regs_struct *regs)
{
	long nr = (long)regs->orig_rax;

	if (nr < 0)
		return false;
	switch (-(long)regs->rax) {
	case EINTR:
		if (!syscall_breaks(nr))
			return false;
		break;
	case ABI_ERESTARTSYS:
	case ABI_ERESTARTNOINTR:
	case ABI_ERESTARTNOHAND:
	case ABI_ERESTART_RESTARTBLOCK:
		break;
	default:
		return false;
	}
	regs->rax = (uint64_t)nr;
	regs->rip -= 2; /* 0f 05 */
	regs->orig_rax = (uint64_t)-1;
	return true;
}
