/* Interrupted system calls; see restart.h. */
#include "dump/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/log.h"
#include "images/snap.h"
#include "tracee/kernel_abi.h"
#include "tracee/tracee.h"

_Static_assert(
	(int)SNAP_RESTART_SYS == ABI_ERESTARTSYS && (int)SNAP_RESTART_NOHAND == ABI_ERESTARTNOHAND,
	"numbers of proto/task.proto");

static bool in_syscall(const struct snap_regs *regs)
{
	return (int64_t)regs->orig_rax >= 0;
}

static bool is_restart_code(int64_t rax)
{
	return rax == -ABI_ERESTARTSYS || rax == -ABI_ERESTARTNOINTR ||
	       rax == -ABI_ERESTARTNOHAND || rax == -ABI_ERESTART_RESTARTBLOCK;
}

static bool is_eintr_call(const struct snap_regs *regs)
{
	return (int64_t)regs->rax == -EINTR && syscall_breaks((int64_t)regs->orig_rax);
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

/* ---- a call known by its arguments only ---- */

/*
 * syscall(3) and musl's __syscall_cp() have no number in their code. The argument registers are
 * still those of the original call, and what the kernel does before it gives ERESTART_RESTARTBLOCK
 * says what they must be:
 *
 * clock_nanosleep  A clock that has a nsleep function (kernel/time/posix-timers.c), relative (an
 *                  absolute one is restarted without a block), a time that is not over at once.
 *                  Where the program wants the rest, the kernel has written it already.
 * nanosleep        The same without a clock.
 * futex            FUTEX_WAIT or FUTEX_WAIT_BITSET with a timeout (without it there is no block).
 * poll             Any timeout but 0. The kernel has written revents of each entry: 0, as none was
 *                  ready. Negative descriptors are ignored (~fd is what poll(2) suggests).
 *
 * Arguments a call does not have are leftovers, so two calls may match: see args_decide().
 */
enum { POLL_NFDS_MAX = 1 << 20, POLL_FD_MAX = 1 << 20, POLL_BATCH = 64 };

/* The register is an int as compilers and libcs load it: sign- or zero-extended. */
static bool is_int(uint64_t reg)
{
	return reg <= UINT32_MAX || (int64_t)reg == (int32_t)reg;
}

/* A timespec that one can wait for. */
static bool is_timespec(struct tracee *t, uint64_t addr, struct timespec *ts)
{
	return tracee_read(t, addr, ts, sizeof *ts, NULL) >= 0 && ts->tv_sec >= 0 &&
	       ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000 && (ts->tv_sec || ts->tv_nsec);
}

static bool is_null_or_timespec(struct tracee *t, uint64_t addr)
{
	struct timespec ts;

	return !addr || is_timespec(t, addr, &ts);
}

/* Negative ones are CPU clocks, ~pid << 3 | kind (linux/posix-timers.h); kind 3 is a descriptor. */
static bool is_sleeping_clock(uint64_t reg)
{
	int32_t clock = (int32_t)reg;

	if (!is_int(reg))
		return false;
	if (clock < 0)
		return (clock & 3) != 3;
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC ||
	       clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM || clock == CLOCK_TAI;
}

static bool is_clock_nanosleep(struct tracee *t, const struct snap_regs *regs)
{
	struct timespec req;

	return is_sleeping_clock(regs->rdi) && !regs->rsi && is_timespec(t, regs->rdx, &req) &&
	       is_null_or_timespec(t, regs->r10);
}

static bool is_any_nanosleep(struct tracee *t, const struct snap_regs *regs)
{
	struct timespec req;

	return is_timespec(t, regs->rdi, &req) && is_null_or_timespec(t, regs->rsi);
}

static bool is_nanosleep(struct tracee *t, const struct snap_regs *regs)
{
	struct timespec req;

	return is_any_nanosleep(t, regs) && is_timespec(t, regs->rdi, &req) &&
	       req.tv_sec <= UINT32_MAX;
}

/* All but the value of the word. */
static bool is_futex_shape(struct tracee *t, const struct snap_regs *regs, uint32_t *word)
{
	uint64_t cmd = regs->rsi & ~(uint64_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
	struct timespec timeout;

	return (cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET) && regs->rdi % sizeof *word == 0 &&
	       is_timespec(t, regs->r10, &timeout) &&
	       tracee_read(t, regs->rdi, word, sizeof *word, NULL) >= 0;
}

static bool is_futex(struct tracee *t, const struct snap_regs *regs)
{
	uint32_t word;

	return is_futex_shape(t, regs, &word) && word == (uint32_t)regs->rdx;
}

/* Its waker has set the word, and wakes it next or found it on its way into the kernel. */
static bool is_changed_futex(struct tracee *t, const struct snap_regs *regs)
{
	uint32_t word;

	return is_futex_shape(t, regs, &word) && word != (uint32_t)regs->rdx;
}

static bool are_pollfds(struct tracee *t, uint64_t addr, size_t nr)
{
	struct pollfd fds[POLL_BATCH];

	for (size_t done = 0, n; done < nr; done += n) {
		n = nr - done < POLL_BATCH ? nr - done : POLL_BATCH;
		if (tracee_read(t, addr + done * sizeof *fds, fds, n * sizeof *fds, NULL) < 0)
			return false;
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents || fds[i].fd >= POLL_FD_MAX || ~fds[i].fd >= POLL_FD_MAX)
				return false;
	}
	return true;
}

static bool is_poll_timeout(uint64_t reg)
{
	return is_int(reg) && (int32_t)reg;
}

static bool is_poll(struct tracee *t, const struct snap_regs *regs)
{
	return regs->rsi && regs->rsi <= POLL_NFDS_MAX && is_poll_timeout(regs->rdx) &&
	       are_pollfds(t, regs->rdi, regs->rsi);
}

/* A poll of nothing, which is a sleep: its address means nothing, often it is NULL. */
static bool is_empty_poll(struct tracee *t, const struct snap_regs *regs)
{
	(void)t;
	return !regs->rsi && is_poll_timeout(regs->rdx);
}

/*
 * Candidates by rank: of several that match, the one of the lowest rank is meant, if it is alone
 * there.
 * - A futex comes first: three registers and two places in memory agree, which leftovers do not.
 *   Its word and what lies behind it can well be a timespec ({ 1, 0 }) or pollfds (zeros).
 * - A poll of nothing comes last: any memory will do for it, so whatever was read counts more;
 *   except for seconds beyond 32 bits, which may be a sleep or two ints of an array that poll does
 *   not look at.
 * - A futex whose word has changed is in the way of all that is weaker than it, but is not proven:
 *   nobody may sleep on because a wake-up was taken for the timeout of a poll. `nr` -1.
 */
struct candidate {
	int rank;
	int64_t nr;
	bool (*matches)(struct tracee *t, const struct snap_regs *regs);
};

static const struct candidate candidates[] = {
	{ 0, SYS_futex, is_futex },
	{ 1, SYS_clock_nanosleep, is_clock_nanosleep },
	{ 1, SYS_nanosleep, is_nanosleep },
	{ 1, SYS_poll, is_poll },
	{ 1, -1, is_changed_futex },
	{ 2, SYS_nanosleep, is_any_nanosleep },
	{ 2, SYS_poll, is_empty_poll },
};

static int64_t args_decide(struct tracee *t, const struct snap_regs *regs, int *nr_matching)
{
	int64_t nr = -1;
	int rank = 0;

	*nr_matching = 0;
	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		const struct candidate *c = &candidates[i];

		if (*nr_matching && c->rank > rank)
			break;
		if (!c->matches(t, regs))
			continue;
		nr = ++*nr_matching == 1 ? c->nr : -1;
		rank = c->rank;
	}
	return nr;
}

int64_t restart_call_by_args(struct tracee *t, const struct snap_regs *regs)
{
	int nr_matching;
	int64_t nr = args_decide(t, regs, &nr_matching);

	if (nr < 0)
		log_info("process %d: a call that was interrupted before (restart_syscall) ends "
			 "with EINTR: its code does not tell which it is, and its arguments %s",
			t->pid,
			!nr_matching       ? "fit none"
			: nr_matching == 1 ? "are those of a futex that is being woken"
					   : "fit several");
	return nr;
}

/* ---- what becomes of it ---- */

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
	return rax == -ABI_ERESTARTNOHAND || rax == -ABI_ERESTART_RESTARTBLOCK ||
	       (rax == -ABI_ERESTARTSYS && !sig->sa_restart);
}

static void restart_rewind(struct snap_regs *regs)
{
	regs->rip -= SYSCALL_INSN_LEN;
	regs->rax = regs->orig_rax;
	regs->orig_rax = (uint64_t)-1;
}

/* Of a call that is made again: how a signal ends it from now on. */
static uint32_t restart_code(int64_t rax)
{
	switch (-rax) {
	case ABI_ERESTARTSYS:
		return SNAP_RESTART_SYS;
	case ABI_ERESTARTNOINTR:
		return 0;
	default:
		return SNAP_RESTART_NOHAND;
	}
}

uint32_t restart_apply(struct snap_regs *regs, const struct restart_signal *sig)
{
	int64_t rax = (int64_t)regs->rax;

	if (!in_syscall(regs))
		return 0;
	if (is_spurious_eintr(regs, sig)) {
		restart_rewind(regs);
		return SNAP_RESTART_NOHAND;
	}
	if ((is_restart_code(rax) && handler_ends_call(rax, sig)) ||
		regs->orig_rax == SYS_restart_syscall) {
		regs->rax = (uint64_t)-EINTR;
		regs->orig_rax = (uint64_t)-1;
	} else if (is_restart_code(rax)) {
		restart_rewind(regs);
		return restart_code(rax);
	} else {
		/* It has returned; nothing of the call is left to be restarted. */
		regs->orig_rax = (uint64_t)-1;
	}
	return 0;
}
