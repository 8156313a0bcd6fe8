/* System calls made by a stopped thread on our behalf (DESIGN D6). */
#include "tracee/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "tracee/kernel_abi.h"
#include "tracee/proc.h"

enum { SEARCH_CHUNK = 64 * 1024, USER_CS = 0x33 };

/* ---- where to make it --------------------------------------------------- */

/* Any 0f 05 does, be it the middle of a longer instruction. Chunks overlap by a byte. */
static uint64_t insn_search(struct tracee *t, uint64_t start, uint64_t end)
{
	unsigned char *code = malloc(SEARCH_CHUNK);
	uint64_t found = 0;

	for (uint64_t at = start; code && !found && at + 1 < end; at += SEARCH_CHUNK - 1) {
		size_t len = end - at < SEARCH_CHUNK ? end - at : SEARCH_CHUNK;
		unsigned char *hit;

		if (tracee_read(t, at, code, len, NULL) < 0)
			continue;
		hit = memmem(code, len, "\x0f\x05", 2);
		if (hit)
			found = at + (uint64_t)(hit - code);
	}
	free(code);
	return found;
}

static uint64_t insn_in_maps(struct tracee *t, const struct proc_vma *vmas, size_t nr, bool vdso)
{
	uint64_t found = 0;

	for (size_t i = 0; i < nr && !found; i++) {
		const struct proc_vma *v = &vmas[i];

		if ((v->prot & PROT_EXEC) && !strcmp(v->path, "[vdso]") == vdso &&
			strcmp(v->path, "[vsyscall]") != 0)
			found = insn_search(t, v->start, v->end);
	}
	return found;
}

static int tracee_find_insn(struct tracee *t, struct err *err)
{
	struct arena *a = arena_create();
	struct proc_vma *vmas;
	OWNED_FD dir = -1;
	size_t nr;
	int ret;

	ret = tracee_open_live(t, ".", O_DIRECTORY | O_RDONLY, &dir, err);
	if (ret == 0)
		ret = proc_maps(dir, a, &vmas, &nr, err);
	if (ret == 0) {
		t->syscall_insn = insn_in_maps(t, vmas, nr, true);
		if (!t->syscall_insn)
			t->syscall_insn = insn_in_maps(t, vmas, nr, false);
		if (!t->syscall_insn)
			ret = err_set(err, ENOTSUP,
				"process %d has no syscall instruction in its memory", t->pid);
	}
	arena_destroy(a);
	return ret;
}

/* ---- the call ----------------------------------------------------------- */

static void regs_for_call(
	struct user_regs_struct *regs, uint64_t insn, long nr, const uint64_t args[6])
{
	regs->rip = insn;
	regs->cs = USER_CS; /* it may be in code of 32 bits */
	regs->rax = (uint64_t)nr;
	/* Not in a system call: so the kernel does not restart the interrupted one now. */
	regs->orig_rax = (uint64_t)-1;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

/* To the next syscall-stop: the enter-stop, and after another one the exit-stop. */
static int remote_to_stop(
	struct tracee *t, struct tracee_thread *th, struct borrowed *b, struct err *err)
{
	enum stop_kind kind;
	int ret;

	for (;;) {
		if (ptrace_tid(PTRACE_SYSCALL, th->tid, 0, 0) < 0 && errno != ESRCH)
			return err_sys(err, "resume thread %d", th->tid);
		ret = thread_wait(t, th, &kind, err);
		if (ret < 0 || kind == STOP_SYSCALL)
			return ret;
		/* A child that the call makes is taken in when its own first stop is seen. */
		ret = borrow_other_stop(t, th, kind, b, err);
		if (ret < 0)
			return ret;
	}
}

static bool remote_is_restarted(int64_t ret)
{
	return ret == -ABI_ERESTARTSYS || ret == -ABI_ERESTARTNOINTR ||
	       ret == -ABI_ERESTARTNOHAND || ret == -ABI_ERESTART_RESTARTBLOCK;
}

/* A SIGSTOP interrupts a call that waits; kept out, it lets the kernel restart the call. */
static int remote_run(struct tracee *t, struct tracee_thread *th, struct borrowed *b,
	const struct user_regs_struct *call, int64_t *ret, struct err *err)
{
	struct user_regs_struct regs;
	int r = thread_set_regs(th->tid, call, err);

	do {
		if (r == 0)
			r = remote_to_stop(t, th, b, err);
		if (r == 0)
			r = remote_to_stop(t, th, b, err);
		if (r == 0)
			r = thread_get_regs(th->tid, &regs, err);
	} while (r == 0 && remote_is_restarted((int64_t)regs.rax));
	if (r == 0)
		*ret = (int64_t)regs.rax;
	return r;
}

/*
 * Filters that we may suspend do not see our calls; others judge them as the target's own. Syscall
 * user dispatch would send a SIGSYS in place of the call.
 */
static int remote_unconfine(const struct tracee *t, const struct tracee_thread *th,
	struct thread_dispatch *was, struct err *err)
{
	const struct thread_dispatch off = { 0 };
	int ret = thread_get_dispatch(th->tid, was, err);

	if (ret < 0)
		return ret;
	ptrace_tid(PTRACE_SETOPTIONS, th->tid, 0, tracee_options(t) | ABI_PTRACE_O_SUSPEND_SECCOMP);
	return was->mode ? thread_set_dispatch(th->tid, &off, err) : 0;
}

static int remote_confine(const struct tracee *t, const struct tracee_thread *th,
	const struct thread_dispatch *was, struct err *err)
{
	ptrace_tid(PTRACE_SETOPTIONS, th->tid, 0, tracee_options(t));
	return was->mode ? thread_set_dispatch(th->tid, was, err) : 0;
}

/* One after the other; *done is how many went through. */
static int remote_run_all(struct tracee *t, struct tracee_thread *th, struct borrowed *b,
	struct tracee_call *calls, size_t nr, size_t *done, struct err *err)
{
	for (*done = 0; *done < nr; ++*done) {
		struct tracee_call *c = &calls[*done];
		struct user_regs_struct regs = b->regs;
		int ret;

		regs_for_call(&regs, t->syscall_insn, c->nr, c->args);
		ret = remote_run(t, th, b, &regs, &c->ret, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Taking a thread and giving it back costs more than the calls between. */
static int remote_borrowed(struct tracee *t, struct tracee_thread *th, struct tracee_call *calls,
	size_t nr, size_t *done, struct err *err)
{
	struct borrowed b;
	struct thread_dispatch rules = { 0 };
	struct err end = { 0 };
	int r = borrow_begin(t, th, 0, &b, err);

	if (r < 0)
		return r;
	r = remote_unconfine(t, th, &rules, err);
	if (r == 0)
		r = remote_run_all(t, th, &b, calls, nr, done, err);
	if (th->state == TRACEE_EXITED)
		return r < 0 ? r : -ESRCH;
	if (remote_confine(t, th, &rules, &end) < 0 && r == 0)
		r = -end.code;
	if (borrow_end(t, th, &b, &end) < 0 && r == 0)
		r = -end.code;
	if (end.code && err && r == -end.code)
		*err = end;
	return r;
}

int tracee_syscalls(struct tracee *t, struct tracee_thread *th, struct tracee_call *calls,
	size_t nr, struct err *err)
{
	size_t done = 0;
	int r = 0;

	if (!t->syscall_insn)
		r = tracee_find_insn(t, err);
	if (r == 0)
		r = remote_borrowed(t, th, calls, nr, &done, err);
	if (r < 0)
		return err_wrap(err, "remote %s", syscall_name(calls[done < nr ? done : 0].nr)), r;
	return 0;
}

int tracee_syscall(struct tracee *t, struct tracee_thread *th, long nr, const uint64_t args[6],
	int64_t *ret, struct err *err)
{
	struct tracee_call call = { .nr = nr };
	int r;

	memcpy(call.args, args, sizeof call.args);
	r = tracee_syscalls(t, th, &call, 1, err);
	if (r == 0)
		*ret = call.ret;
	return r;
}
