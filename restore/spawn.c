/* A vfork-like clone3 with a wanted pid; see spawn.h. */
#include "restore/spawn.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

enum { SPAWN_STACK = 256 * 1024, BESIDE_STACK = 8 * 1024 * 1024, EEXIST_TRIES = 400 };

/* What the child finds on its new stack. */
struct spawn_call {
	void (*body)(void *arg);
	void *arg;
};

/* The child must not return through our frames, so the call happens in assembly. */
static long spawn_clone3(struct clone_args *args, struct spawn_call *call)
{
	long ret;
	register struct spawn_call *r12 __asm__("r12") = call;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov 8(%%r12), %%rdi\n\t"
			 "call *(%%r12)\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r12)
			 : "rcx", "r11", "memory");
	return ret;
}

/* A pid is freed only a moment after its process is gone. */
static long spawn_patiently(struct clone_args *args, struct spawn_call *call)
{
	long ret = spawn_clone3(args, call);

	for (int i = 0; ret == -EEXIST && i < EEXIST_TRIES; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 500 * 1000 }, NULL);
		ret = spawn_clone3(args, call);
	}
	return ret;
}

static int spawn_failed(long ret, pid_t want_pid, struct err *err)
{
	if (want_pid)
		err_ret(err, ret, "make process %d", (int)want_pid);
	else
		err_ret(err, ret, "make a process");
	if (want_pid && ret == -EPERM)
		err_hint(err, "this user namespace is not the one that the PID namespace belongs "
			      "to (unshare -r): use --pids=ns");
	return ret == -EAGAIN ? err_hint(err, "there are too many processes: of this user (ulimit "
					      "-u), or in this cgroup (pids.max)")
			      : -err->code;
}

int spawn(pid_t want_pid, uint64_t flags, void (*body)(void *arg), void *arg, pid_t *pid,
	int *pidfd, struct err *err)
{
	struct spawn_call call = { body, arg };
	pid_t wanted[1] = { want_pid };
	struct clone_args args = {
		/* UNTRACED: we are going to trace it, so nobody who traces us (strace -f) may. */
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 CLONE_UNTRACED | flags,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
		.stack_size = SPAWN_STACK,
		.set_tid = want_pid ? (uint64_t)(uintptr_t)wanted : 0,
		.set_tid_size = want_pid ? 1 : 0,
	};
	void *stack = mmap(NULL, SPAWN_STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	long ret;

	if (stack == MAP_FAILED)
		return err_sys(err, "stack of a new process");
	args.stack = (uint64_t)(uintptr_t)stack;
	ret = spawn_patiently(&args, &call);
	munmap(stack, SPAWN_STACK);
	if (ret < 0)
		return spawn_failed(ret, want_pid, err);
	*pid = (pid_t)ret;
	return 0;
}

int spawn_beside(pid_t want_pid, void (*body)(void *arg), void *arg, pid_t *pid, struct err *err)
{
	pid_t wanted[1] = { want_pid };
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_UNTRACED,
		.exit_signal = SIGCHLD,
		.stack_size = BESIDE_STACK,
		.set_tid = want_pid ? (uint64_t)(uintptr_t)wanted : 0,
		.set_tid_size = want_pid ? 1 : 0,
	};
	void *stack = mmap(NULL, BESIDE_STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	long ret;

	if (stack == MAP_FAILED)
		return err_sys(err, "stack of a new process");
	/* We go on, and our stack with us. */
	*(struct spawn_call *)stack = (struct spawn_call){ body, arg };
	args.stack = (uint64_t)(uintptr_t)stack;
	ret = spawn_patiently(&args, stack);
	if (ret < 0)
		return spawn_failed(ret, want_pid, err);
	*pid = (pid_t)ret;
	return 0;
}
