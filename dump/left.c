/* What is left of relative timeouts; see left.h. */
#include "dump/left.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/restart.h"
#include "tracee/kernel_abi.h"

enum {
	MARGIN_NS = 1000 * 1000,      /* what it takes to come here, and more */
	WORTH_NS = 200 * 1000 * 1000, /* less is not worth a look */
	CPUS_MAX = CPU_SETSIZE,
};

static const uint64_t NS = 1000000000;

struct left {
	int tid;
	int64_t nr;
	uint64_t sp, pc, elapsed, switches;
};

struct left_table {
	struct left *all; /* in the snap's arena */
	size_t nr, cap;
};

/* ---- /proc/PID/task/TID/sched ------------------------------------------------------------ */

struct on_cpu {
	uint64_t last; /* ns of the scheduler's clock when it last ran */
	uint64_t switches;
};

static bool on_cpu_parse(const char *text, struct on_cpu *out)
{
	const char *last = strstr(text, "se.exec_start"),
		   *switches = strstr(text, "nr_voluntary_switches");
	unsigned long long ms, ns;

	last = last ? strchr(last, ':') : NULL;
	switches = switches ? strchr(switches, ':') : NULL;
	if (!last || !switches || sscanf(last, ": %llu.%6llu", &ms, &ns) != 2)
		return false;
	out->last = ms * 1000000 + ns;
	out->switches = strtoull(switches + 1, NULL, 10);
	return true;
}

static bool on_cpu_read(int procfd, int tid, struct on_cpu *out)
{
	char name[48], text[2048];
	OWNED_FD fd = -1;
	ssize_t len;

	snprintf(name, sizeof name, "task/%d/sched", tid);
	fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (len < 0)
		return false;
	text[len] = '\0';
	return on_cpu_parse(text, out);
}

/* The scheduler's clock, of each CPU that was asked for. */
struct clocks {
	uint64_t now[CPUS_MAX]; /* 0: not asked yet; NONE: we may not run there */
};
static const uint64_t NONE = UINT64_MAX;

/*
 * Each CPU has a clock of its own, which stands still while interrupts or a hypervisor have the CPU
 * (rq_clock_task() in kernel/sched/core.c): only there can it be compared with what was read there.
 */
static uint64_t clock_read(int cpu)
{
	OWNED_FD self = -1;
	struct on_cpu on_cpu;
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof only, &only) < 0)
		return NONE;
	sched_yield(); /* brings our own up to date */
	if (proc_open(getpid(), &self, NULL) < 0 || !on_cpu_read(self, gettid(), &on_cpu))
		return NONE;
	return on_cpu.last;
}

static uint64_t clock_of(struct clocks *clocks, int cpu)
{
	if (cpu < 0 || cpu >= CPUS_MAX)
		return NONE;
	if (!clocks->now[cpu])
		clocks->now[cpu] = clock_read(cpu);
	return clocks->now[cpu];
}

/* ---- before the freeze ------------------------------------------------------------------- */

/* Their time is a number in r10: it becomes what is left. Others have it in memory of the program,
 * which is not ours to change. */
static bool is_in_register(int64_t nr)
{
	return nr == SYS_epoll_wait || nr == SYS_epoll_pwait;
}

static bool is_restarted(int64_t nr)
{
	return is_in_register(nr) || nr == SYS_poll || nr == SYS_nanosleep ||
	       nr == SYS_clock_nanosleep || nr == SYS_futex || nr == SYS_restart_syscall;
}

static void thread_sample(struct dumping *d, const struct tracee *t, int tid, struct clocks *clocks)
{
	struct arena *a = d->snap->arena;
	struct left_table *table = d->left;
	struct proc_syscall call;
	struct proc_stat stat;
	struct on_cpu on_cpu;
	char name[48];
	uint64_t now;

	snprintf(name, sizeof name, "task/%d/stat", tid);
	if (proc_syscall(t->procfd, tid, &call, NULL) < 0 || !is_restarted(call.nr) ||
		!on_cpu_read(t->procfd, tid, &on_cpu) ||
		proc_stat(t->procfd, name, &stat, NULL) < 0)
		return;
	now = clock_of(clocks, stat.cpu);
	if (now == NONE || on_cpu.last + WORTH_NS > now)
		return;
	table->all = arena_grow(a, table->all, table->nr, &table->cap, sizeof *table->all);
	table->all[table->nr++] = (struct left){ tid, call.nr, call.sp, call.pc,
		now - on_cpu.last - MARGIN_NS, on_cpu.switches };
}

void left_sample(struct dumping *d)
{
	struct clocks clocks = { 0 };
	cpu_set_t ours;

	d->left = arena_alloc(d->snap->arena, sizeof *d->left);
	if (sched_getaffinity(0, sizeof ours, &ours) < 0)
		return;
	for (size_t i = 0; i < d->tracer->nr_tracees; i++)
		for (size_t j = 0; j < d->tracer->tracees[i]->nr_threads; j++)
			thread_sample(d, d->tracer->tracees[i],
				d->tracer->tracees[i]->threads[j].tid, &clocks);
	sched_setaffinity(0, sizeof ours, &ours);
}

/* Our stop woke it up, and it went to sleep again in it: one switch more, if that was all. */
static bool is_unmoved(const struct dumping *d, const struct left *left)
{
	const struct tracee *t = tracer_find(d->tracer, left->tid);
	struct on_cpu on_cpu;

	return t && on_cpu_read(t->procfd, left->tid, &on_cpu) &&
	       on_cpu.switches == left->switches + 1;
}

void left_confirm(struct dumping *d)
{
	struct left_table *table = d->left;
	size_t kept = 0;

	for (size_t i = 0; i < table->nr; i++)
		if (is_unmoved(d, &table->all[i]))
			table->all[kept++] = table->all[i];
	table->nr = kept;
}

/* ---- what the call asked for ------------------------------------------------------------- */

static uint64_t timespec_at(struct tracee *t, uint64_t addr)
{
	struct timespec ts;

	if (!addr || tracee_read(t, addr, &ts, sizeof ts, NULL) < 0 || ts.tv_sec < 0 ||
		ts.tv_nsec < 0 || (uint64_t)ts.tv_sec > INT64_MAX / NS - 1)
		return 0;
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

/* The whole relative timeout of a call in ns; 0: none, or one until a moment. */
static uint64_t timeout_of(struct tracee *t, const struct snap_regs *regs)
{
	switch ((int64_t)regs->orig_rax) {
	case SYS_poll:
		return (int32_t)regs->rdx > 0 ? (uint64_t)regs->rdx * 1000000 : 0;
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int32_t)regs->r10 > 0 ? (uint64_t)(int32_t)regs->r10 * 1000000 : 0;
	case SYS_nanosleep:
		return timespec_at(t, regs->rdi);
	case SYS_clock_nanosleep:
		/* CPU clocks are numbers of their own, and do not go on meanwhile. */
		return regs->rsi & TIMER_ABSTIME || (int32_t)regs->rdi < 0 ||
				       regs->rdi == CLOCK_PROCESS_CPUTIME_ID
			       ? 0
			       : timespec_at(t, regs->rdx);
	case SYS_futex:
		return (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT ? timespec_at(t, regs->r10) : 0;
	default:
		return 0;
	}
}

/*
 * Does an instruction right before the call put something into r10? Then nobody counts on what is
 * in it behind the call. mov (89 and 8b, ba with a number, c7), with the prefixes that name r10.
 */
static bool loads_r10(const uint8_t *code, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++) {
		uint8_t rex = code[i], op = code[i + 1], modrm = code[i + 2];

		if ((rex & 0xf0) != 0x40)
			continue;
		if ((rex & 1) && (op == 0x89 || op == 0xc7) && (modrm & 0xc7) == 0xc2)
			return true;
		if ((rex & 4) && op == 0x8b && (modrm & 0x38) == 0x10)
			return true;
		if ((rex & 1) && op == 0xba)
			return true;
	}
	return false;
}

/* Will a dump of the restored program know which call it is in (restart.h), and can its time be
 * changed? */
static bool is_told_by_code(struct tracee *t, const struct snap_regs *regs)
{
	uint8_t code[RESTART_CODE_LEN];

	if (tracee_read(t, regs->rip - SYSCALL_INSN_LEN - sizeof code, code, sizeof code, NULL) < 0)
		return false;
	if (is_in_register((int64_t)regs->orig_rax))
		return loads_r10(code, sizeof code);
	return restart_call_before(code, sizeof code) == (int64_t)regs->orig_rax;
}

uint64_t left_of(const struct dumping_proc *p, int tid, const struct snap_regs *regs)
{
	const struct left_table *table = p->d->left;

	for (size_t i = 0; table && i < table->nr; i++) {
		const struct left *left = &table->all[i];
		uint64_t whole;

		if (left->tid != tid || left->sp != regs->rsp || left->pc != regs->rip)
			continue;
		whole = timeout_of(p->t, regs);
		if (!whole || !is_told_by_code(p->t, regs))
			return 0;
		log_debug("thread %d: %llu ms of %llu have passed in %s", tid,
			(unsigned long long)(left->elapsed / 1000000),
			(unsigned long long)(whole / 1000000),
			syscall_name((int64_t)regs->orig_rax));
		return left->elapsed < whole ? whole - left->elapsed : 1;
	}
	return 0;
}

void left_keep(struct snap_task *task, uint64_t left)
{
	if (left && is_in_register(task->waiting_nr))
		task->regs.r10 = (left + 999999) / 1000000;
	else
		task->wait_left = left;
}
