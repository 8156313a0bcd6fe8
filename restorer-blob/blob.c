/*
 * The restorer blob: runs a plan when the memory and the libc of whoever prepared it are gone. It
 * decides nothing and knows no words; see plan.h for the contract and STYLE section 10 for what it
 * may not do.
 */
#include "restorer-blob/plan.h"

#include <linux/sched.h>
#include <stddef.h>

#include "restorer-blob/sys.h"

enum { NR_SCHED_YIELD = 24, NR_GETTID = 186, ERR_BADE = 52 };

long blob_clone3(struct clone_args *args, size_t size, struct blob_plan *plan, uint64_t index);
void blob_run(struct blob_plan *plan, uint64_t index);

static void *plan_at(struct blob_plan *plan, uint64_t offset)
{
	return (char *)plan + offset;
}

static struct blob_thread *plan_thread(struct blob_plan *plan, uint64_t index)
{
	return (struct blob_thread *)plan_at(plan, plan->threads) + index;
}

/* The tracer sees SIGTRAP and either continues us behind it or gives us other registers. */
static void park(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static long step_syscall(struct blob_plan *plan, struct blob_step *step)
{
	const uint64_t *a = step->args;
	long ret;

	for (int i = 0; i < 6; i++)
		if (step->tid_args >> i & 1)
			step->args[i] = (uint64_t)plan_thread(plan, a[i])->tid;
	ret = sys_call6(
		step->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
	step->result = ret;
	if (ret < 0 && ret >= -4095)
		return step->tolerate == BLOB_ANY_ERRNO || ret == -(long)step->tolerate ? 0 : ret;
	if (step->op == BLOB_SYSCALL_IS && ret != step->expect)
		return -ERR_BADE;
	return 0;
}

static long step_spawn(struct blob_plan *plan, uint64_t index, uint64_t unshare)
{
	struct blob_thread *t = plan_thread(plan, index);
	struct clone_args args;
	int32_t want[1];
	long ret;

	for (size_t i = 0; i < sizeof args / 8; i++)
		((volatile uint64_t *)&args)[i] = 0;
	args.flags = (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			     CLONE_SYSVSEM | CLONE_PARENT_SETTID) &
		     ~unshare;
	/* Written before the thread runs, so that it finds its own tid there. */
	args.parent_tid = (uint64_t)&t->tid;
	if (t->clear_tid) {
		args.flags |= CLONE_CHILD_CLEARTID;
		args.child_tid = t->clear_tid;
	}
	args.stack_size = BLOB_STACK;
	args.stack = (uint64_t)plan_at(plan, t->stack_top) - BLOB_STACK;
	if (t->want_tid) {
		want[0] = t->want_tid;
		args.set_tid = (uint64_t)want;
		args.set_tid_size = 1;
	}
	ret = blob_clone3(&args, sizeof args, plan, index);
	return ret < 0 ? ret : 0;
}

static void store_if(uint64_t addr, uint64_t value, uint64_t was)
{
	volatile uint32_t *word = (volatile uint32_t *)addr;

	if (*word == (uint32_t)was)
		*word = (uint32_t)value;
}

static void await(const struct blob_thread *t, uint64_t ready)
{
	while (!(ready ? __atomic_load_n(&t->ready, __ATOMIC_ACQUIRE)
		       : (uint32_t)__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE)))
		sys_call6(NR_SCHED_YIELD, 0, 0, 0, 0, 0, 0);
}

/* Below the red zone of whoever this is part of. */
static void set_flags(uint64_t bits)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq %0, (%%rsp); popfq; lea 128(%%rsp), "
			 "%%rsp" ::"r"(bits)
			 : "memory", "cc");
}

static long step_run(struct blob_plan *plan, struct blob_step *step, uint64_t index)
{
	const uint64_t *a = step->args;

	switch (step->op) {
	case BLOB_PARK:
		park();
		return 0;
	case BLOB_SYSCALL:
	case BLOB_SYSCALL_IS:
		return step_syscall(plan, step);
	case BLOB_STORE32:
		store_if(a[0], a[1], a[2]);
		return 0;
	case BLOB_SPAWN:
		return step_spawn(plan, a[0], a[1]);
	case BLOB_STORE_TID:
		store_if(a[0], (uint64_t)sys_call6(NR_GETTID, 0, 0, 0, 0, 0, 0), a[1]);
		return 0;
	case BLOB_READY:
		__atomic_store_n(&plan_thread(plan, index)->ready, 1, __ATOMIC_RELEASE);
		return 0;
	case BLOB_AWAIT:
		await(plan_thread(plan, a[0]), a[1]);
		return 0;
	case BLOB_FLAGS:
		set_flags(a[0]);
		return 0;
	default: /* BLOB_LOAD_TID */
		*(volatile uint32_t *)a[0] = (uint32_t)plan_thread(plan, a[1])->tid;
		return 0;
	}
}

void blob_run(struct blob_plan *plan, uint64_t index)
{
	struct blob_thread *t = plan_thread(plan, index);
	struct blob_step *steps = plan_at(plan, t->steps);

	for (uint32_t i = 0; steps[i].op != BLOB_END; i++) {
		long ret = step_run(plan, &steps[i], index);

		if (ret < 0) {
			t->failed_errno = (int32_t)-ret;
			t->failed_step = i + 1;
			break;
		}
	}
	for (;;)
		park();
}
