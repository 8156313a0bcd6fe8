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

/* ---- segments ----------------------------------------------------------- */

/* struct user_desc of asm/ldt.h, without bit fields. */
struct user_desc_words {
	uint32_t entry, base_addr, limit, flags;
};

/* An empty entry as fill_user_desc() in arch/x86/kernel/tls.c shows it: read-only, not present. */
enum { TLS_EMPTY = 0x28 };

int thread_get_tls(pid_t tid, uint32_t entry, struct thread_tls *out, struct err *err)
{
	struct user_desc_words desc = { .entry = entry };

	if (ptrace((enum __ptrace_request)ABI_PTRACE_GET_THREAD_AREA, tid, (void *)(uintptr_t)entry,
		    &desc) < 0) {
		/* A kernel that runs no 32-bit programs. */
		if (errno == EIO || errno == EINVAL)
			return 0;
		return err_sys(err, "read descriptor table entry %u of thread %d", entry, tid);
	}
	*out = (struct thread_tls){ desc.base_addr, desc.limit, desc.flags };
	return desc.base_addr || desc.limit || desc.flags != TLS_EMPTY;
}

int thread_set_tls(pid_t tid, uint32_t entry, const struct thread_tls *tls, struct err *err)
{
	struct user_desc_words desc = { entry, tls->base_addr, tls->limit, tls->flags };

	if (ptrace((enum __ptrace_request)ABI_PTRACE_SET_THREAD_AREA, tid, (void *)(uintptr_t)entry,
		    &desc) < 0)
		return err_sys(err, "set descriptor table entry %u of thread %d", entry, tid);
	return 0;
}

/* There is such a register set only where there are permissions: ioperm_active() in
 * arch/x86/kernel/ptrace.c. */
bool thread_has_ports(pid_t tid)
{
	uint64_t bitmap[8];
	struct iovec iov = { bitmap, sizeof bitmap };

	return ptrace(PTRACE_GETREGSET, tid, NT_386_IOPERM, &iov) == 0 && iov.iov_len;
}

/* ---- pointers ----------------------------------------------------------- */

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
 * kernel: with a time limit set on the socket the restart codes turn into EINTR; so do those of
 * select and ppoll where their time cannot be written back). Nothing has happened by then, or what
 * has does no harm again. The second number is that of int 0x80 (syscall_32.tbl); 0: the call has
 * none.
 */
static const struct {
	short nr, ia32;
} breaking[] = {
	{ SYS_epoll_wait, 256 },
	{ SYS_epoll_pwait, 319 },
	{ SYS_epoll_pwait2, 441 },
	{ SYS_rt_sigtimedwait, 177 },
	{ SYS_rt_sigtimedwait, 421 },
	{ SYS_semop, 117 /* ipc */ },
	{ SYS_semtimedop, 420 },
	{ SYS_msgrcv, 401 },
	{ SYS_msgsnd, 400 },
	{ SYS_io_getevents, 247 },
	{ SYS_io_pgetevents, 385 },
	{ SYS_io_pgetevents, 416 },
	{ SYS_io_uring_enter, 426 },
	{ SYS_accept, 102 /* socketcall */ },
	{ SYS_accept4, 364 },
	{ SYS_recvfrom, 371 },
	{ SYS_recvmsg, 372 },
	{ SYS_recvmmsg, 337 },
	{ SYS_recvmmsg, 417 },
	{ SYS_sendto, 369 },
	{ SYS_sendmsg, 370 },
	{ SYS_sendmmsg, 345 },
	{ SYS_read, 3 },
	{ SYS_readv, 145 },
	{ SYS_preadv2, 378 },
	{ SYS_write, 4 },
	{ SYS_writev, 146 },
	{ SYS_pwritev2, 379 },
	{ SYS_connect, 362 },
	{ SYS_splice, 313 },
	{ SYS_sendfile, 187 },
	{ SYS_sendfile, 239 },
	{ SYS_select, 142 },
	{ SYS_select, 82 },
	{ SYS_pselect6, 308 },
	{ SYS_pselect6, 413 },
	{ SYS_ppoll, 309 },
	{ SYS_ppoll, 414 },
	{ SYS_mq_timedreceive, 280 },
	{ SYS_mq_timedreceive, 419 },
	{ SYS_mq_timedsend, 279 },
	{ SYS_mq_timedsend, 418 },
	{ SYS_fallocate, 324 },
};

bool syscall_breaks(int64_t nr)
{
	for (size_t i = 0; i < sizeof breaking / sizeof breaking[0]; i++)
		if (breaking[i].nr == nr)
			return true;
	return false;
}

static bool ia32_breaks(int64_t nr)
{
	for (size_t i = 0; i < sizeof breaking / sizeof breaking[0]; i++)
		if (breaking[i].ia32 == nr)
			return true;
	return false;
}

void syscall_settle_ia32(struct tracee *t, struct user_regs_struct *regs)
{
	uint8_t insn[2];

	if ((int64_t)regs->rax != -EINTR || (int64_t)regs->orig_rax < 0 ||
		tracee_read(t, regs->rip - sizeof insn, insn, sizeof insn, NULL) < 0 ||
		insn[0] != 0xcd || insn[1] != 0x80)
		return;
	if (ia32_breaks((int64_t)regs->orig_rax))
		regs->rax = (uint64_t)-ABI_ERESTARTNOHAND;
	else
		regs->orig_rax = (uint64_t)-1;
}

/* Of a struct that begins with the pointer to a mask, which may be NULL. */
static bool names_mask(struct tracee *t, uint64_t addr)
{
	uint64_t mask;

	return addr && (tracee_read(t, addr, &mask, sizeof mask, NULL) < 0 || mask);
}

bool syscall_swaps_mask(struct tracee *t, const struct user_regs_struct *regs)
{
	enum { ENTER_EXT_ARG = 8 }; /* linux/io_uring.h */

	switch ((long)regs->orig_rax) {
	case SYS_rt_sigsuspend:
		return true;
	case SYS_ppoll:
		return regs->r10;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return regs->r8;
	case SYS_io_uring_enter:
		return regs->r10 & ENTER_EXT_ARG ? names_mask(t, regs->r8) : regs->r8;
	case SYS_pselect6:
	case SYS_io_pgetevents:
		return names_mask(t, regs->r9);
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
	regs->rip -= 2; /* 0f 05, or cd 80 */
	regs->orig_rax = (uint64_t)-1;
	return true;
}
