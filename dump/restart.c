/* Interrupted system calls; see restart.h. */
#include "dump/restart.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "images/snap.h"

/* include/linux/errno.h of Linux: answers that never reach a program. */
enum {
	ERESTARTSYS = 512,
	ERESTARTNOINTR = 513,
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
};

enum { SYSCALL_INSN_LEN = 2 };

/*
 * Calls that give EINTR to a program that was merely stopped, having done nothing yet, so that they
 * can be made again: epoll_wait and others always, those on sockets where SO_RCVTIMEO or
 * SO_SNDTIMEO is set (signal(7), "Interruption of system calls and library functions by stop
 * signals").
 */
static const int eintr_calls[] = {
	SYS_epoll_wait,
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_rt_sigtimedwait,
	SYS_semop,
	SYS_semtimedop,
	SYS_msgrcv,
	SYS_msgsnd,
	SYS_io_getevents,
	SYS_io_pgetevents,
	SYS_read,
	SYS_readv,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_recvmmsg,
	SYS_accept,
	SYS_accept4,
	SYS_write,
	SYS_writev,
	SYS_sendto,
	SYS_sendmsg,
};

static bool in_syscall(const struct snap_regs *regs)
{
	return (int64_t)regs->orig_rax >= 0;
}

static bool is_restart_code(int64_t rax)
{
	return rax == -ERESTARTSYS || rax == -ERESTARTNOINTR || rax == -ERESTARTNOHAND ||
	       rax == -ERESTART_RESTARTBLOCK;
}

static bool is_eintr_call(const struct snap_regs *regs)
{
	if ((int64_t)regs->rax != -EINTR)
		return false;
	for (size_t i = 0; i < sizeof eintr_calls / sizeof eintr_calls[0]; i++)
		if ((uint64_t)eintr_calls[i] == regs->orig_rax)
			return true;
	return false;
}

/*
 * The callers of set_restart_fn() in Linux. A compiler puts `mov $nr, %eax` (b8 and 32 bits) into
 * the few instructions before `syscall`.
 */
int64_t restart_call_before(const uint8_t *code, size_t len)
{
	static const uint8_t timed_calls[] = { SYS_poll, SYS_nanosleep, SYS_futex,
		SYS_clock_nanosleep };

	for (size_t back = 5; back <= len; back++) {
		const uint8_t *insn = code + len - back;

		if (insn[0] != 0xb8 || insn[2] || insn[3] || insn[4])
			continue;
		for (size_t i = 0; i < sizeof timed_calls; i++)
			if (insn[1] == timed_calls[i])
				return insn[1];
	}
	return -1;
}

int64_t restart_waiting_in(const struct snap_regs *regs)
{
	if (in_syscall(regs) && (is_restart_code((int64_t)regs->rax) || is_eintr_call(regs)))
		return (int64_t)regs->orig_rax;
	return -1;
}

/* Cut short by a stop instead of being restarted by the kernel, and no handler explains that EINTR.
 */
static bool is_spurious_eintr(const struct snap_regs *regs, const struct restart_signal *sig)
{
	return in_syscall(regs) && !sig->handled && is_eintr_call(regs);
}

/* What handle_signal() makes of a call that a handler interrupts. */
static bool handler_ends_call(int64_t rax, const struct restart_signal *sig)
{
	if (!sig->handled)
		return false;
	return rax == -ERESTARTNOHAND || rax == -ERESTART_RESTARTBLOCK ||
	       (rax == -ERESTARTSYS && !sig->sa_restart);
}

static void restart_rewind(struct snap_regs *regs)
{
	regs->rip -= SYSCALL_INSN_LEN;
	regs->rax = regs->orig_rax;
	regs->orig_rax = (uint64_t)-1;
}

void restart_apply(struct snap_regs *regs, const struct restart_signal *sig)
{
	int64_t rax = (int64_t)regs->rax;

	if (!in_syscall(regs))
		return;
	if (is_spurious_eintr(regs, sig)) {
		restart_rewind(regs);
	} else if ((is_restart_code(rax) && handler_ends_call(rax, sig)) ||
		   regs->orig_rax == SYS_restart_syscall) {
		regs->rax = (uint64_t)-EINTR;
		regs->orig_rax = (uint64_t)-1;
	} else if (is_restart_code(rax)) {
		restart_rewind(regs);
	} else {
		/* It has returned; nothing of the call is left to be restarted. */
		regs->orig_rax = (uint64_t)-1;
	}
}
