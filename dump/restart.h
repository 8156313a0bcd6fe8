#ifndef DUMP_RESTART_H
#define DUMP_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * System calls that our stop interrupted (DESIGN D8). A thread stopped in one has the kernel's
 * answer in rax and the number of the call in orig_rax; the kernel's own plan for it
 * (handle_signal() and arch_do_signal_or_restart() in arch/x86/kernel/signal.c) ends with this
 * stop, so we carry it out.
 */

struct snap_regs;
struct tracee;

struct restart_signal {
	bool handled;    /* a signal with a handler is about to be delivered to this thread */
	bool sa_restart; /* ... and its action has SA_RESTART */
};

enum { RESTART_CODE_LEN = 32 };

/*
 * restart_syscall(2) goes on with a call that was interrupted before; what it was is not in any
 * register, but in the code: len bytes that end where the `syscall` instruction begins. The number
 * of the original call, for orig_rax; -1 where the code does not tell.
 */
int64_t restart_call_before(const uint8_t *code, size_t len);
/*
 * The same for where the code does not tell (syscall(3), musl), from the arguments in regs and the
 * memory of the stopped t that they point to. -1 where they are not those of exactly one call; the
 * program then gets EINTR, and -v says so.
 */
int64_t restart_call_by_args(struct tracee *t, const struct snap_regs *regs);

/* The call this thread waits in, or -1. */
int64_t restart_waiting_in(const struct snap_regs *regs);
/*
 * Make regs what the program has to go on with: at the `syscall` instruction again, or behind it
 * with EINTR. Where it is at the instruction, but a signal that comes from now on has to end the
 * call, not to come before it: the kernel's code for that (ERESTARTSYS: unless its handler has
 * SA_RESTART; ERESTARTNOHAND: always). Else 0.
 */
uint32_t restart_apply(struct snap_regs *regs, const struct restart_signal *sig);

#endif
