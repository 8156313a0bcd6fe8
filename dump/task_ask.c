/* Remote system calls of one thread; see task_ask.h. */
#include "dump/task_ask.h"

#include <asm/prctl.h>
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"

/* uapi/linux/prctl.h since Linux 3.5. */
#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

enum { NODES_LEN = 128 /* MAX_NUMNODES of the largest configuration, in bytes */ };

/* Where the answers lie in the scratch page; stack is a stack_t as the kernel has it. */
struct answers {
	uint64_t clear_tid;
	struct {
		uint64_t sp;
		int32_t flags;
		uint64_t size;
	} stack;
	int32_t pdeath_signal, tsc_mode, mempolicy;
	uint8_t nodes[NODES_LEN];
};

enum ask {
	ASK_TID_ADDRESS,
	ASK_STACK,
	ASK_SLACK,
	ASK_PDEATH,
	ASK_SECUREBITS,
	ASK_TSC,
	ASK_CPUID,
	ASK_POLICY
};

static const char *const names[] = {
	[ASK_TID_ADDRESS] = "prctl(PR_GET_TID_ADDRESS)",
	[ASK_STACK] = "sigaltstack",
	[ASK_SLACK] = "prctl(PR_GET_TIMERSLACK)",
	[ASK_PDEATH] = "prctl(PR_GET_PDEATHSIG)",
	[ASK_SECUREBITS] = "prctl(PR_GET_SECUREBITS)",
	[ASK_TSC] = "prctl(PR_GET_TSC)",
	[ASK_CPUID] = "arch_prctl(ARCH_GET_CPUID)",
	[ASK_POLICY] = "get_mempolicy",
};

enum { NR_ASKS = sizeof names / sizeof names[0] };

static void answers_keep(struct arena *a, const struct answers *answers,
	const struct tracee_call *calls, struct snap_task *task)
{
	task->clear_tid = answers->clear_tid;
	task->altstack_sp = answers->stack.sp;
	task->altstack_size = answers->stack.size;
	task->altstack_flags = (uint32_t)answers->stack.flags & ~(uint32_t)SS_ONSTACK;
	task->timerslack = (uint64_t)calls[ASK_SLACK].ret;
	task->pdeath_signal = answers->pdeath_signal;
	task->creds.securebits = (uint32_t)calls[ASK_SECUREBITS].ret;
	task->tsc_mode = answers->tsc_mode;
	task->cpuid_faults = calls[ASK_CPUID].ret == 0;
	if (calls[ASK_POLICY].ret < 0 || !answers->mempolicy)
		return;
	task->mempolicy = (uint32_t)answers->mempolicy;
	task->mempolicy_nodes = arena_copy(a, answers->nodes, NODES_LEN);
	task->nr_mempolicy_nodes = NODES_LEN;
}

int task_ask(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	struct answers answers;
	uint64_t at = 0;
	size_t room = 0;
	int ret = tracee_scratch(p->t, &at, &room, err);
	struct tracee_call calls[NR_ASKS] = {
		[ASK_TID_ADDRESS] = { SYS_prctl,
			{ PR_GET_TID_ADDRESS, at + offsetof(struct answers, clear_tid) }, 0 },
		[ASK_STACK] = { SYS_sigaltstack, { 0, at + offsetof(struct answers, stack) }, 0 },
		[ASK_SLACK] = { SYS_prctl, { PR_GET_TIMERSLACK }, 0 },
		[ASK_PDEATH] = { SYS_prctl,
			{ PR_GET_PDEATHSIG, at + offsetof(struct answers, pdeath_signal) }, 0 },
		[ASK_SECUREBITS] = { SYS_prctl, { PR_GET_SECUREBITS }, 0 },
		[ASK_TSC] = { SYS_prctl, { PR_GET_TSC, at + offsetof(struct answers, tsc_mode) },
			0 },
		[ASK_CPUID] = { SYS_arch_prctl, { ARCH_GET_CPUID }, 0 },
		[ASK_POLICY] = { SYS_get_mempolicy,
			{ at + offsetof(struct answers, mempolicy),
				at + offsetof(struct answers, nodes), NODES_LEN * 8 + 1 },
			0 },
	};

	if (ret < 0)
		return ret;
	assert(room >= sizeof answers);
	ret = tracee_syscalls(p->t, th, calls, NR_ASKS, err);
	for (size_t i = 0; !ret && i < NR_ASKS; i++)
		/* ENOSYS: a kernel without NUMA. */
		if (calls[i].ret < 0 && !(i == ASK_POLICY && calls[i].ret == -ENOSYS))
			ret = err_ret(err, calls[i].ret, "%s", names[i]);
	if (!ret)
		ret = tracee_read(p->t, at, &answers, sizeof answers, err);
	if (!ret)
		answers_keep(p->d->snap->arena, &answers, calls, task);
	return ret;
}
