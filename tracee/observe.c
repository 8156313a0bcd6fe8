/*
 * An observer of what tracees do, and how a thread is kept at what it was about to do. A thread in
 * a syscall-enter-stop (or that of a seccomp filter, right behind it) is taken back to its
 * `syscall` instruction there and then: with orig_rax -1 the kernel makes no call and leaves rax
 * alone, so it comes out of the kernel with these registers, makes the call when it runs on, and
 * never knows.
 */
#include "tracee/internal.h"
#include "tracee/kernel_abi.h"

#include <linux/audit.h>
#include <string.h>
#include <sys/ptrace.h>

void tracer_observe(struct tracer *tr, const struct tracer_observer *o)
{
	tr->observer = o ? *o : (struct tracer_observer){ 0 };
	/* Without the option, its calls would fail (ENOSYS) until the end. */
	tr->sieved |= tr->observer.sieved;
}

int tracee_request(const struct tracee *t)
{
	const struct tracer_observer *o = &t->tracer->observer;

	return o->calls && !o->sieved && !t->frozen ? PTRACE_SYSCALL : PTRACE_CONT;
}

/* From here on every thread stays where it stops; tracer_freeze stops the rest. */
static void tracer_hold(struct tracer *tr)
{
	tr->freezing = true;
	for (size_t i = 0; i < tr->nr_tracees; i++)
		tr->tracees[i]->frozen = true;
}

static bool tracer_tell(struct tracer *tr, const struct tracee_note *note)
{
	if (!tr->observer.tell || !tr->observer.tell(tr->observer.arg, note))
		return false;
	tracer_hold(tr);
	return true;
}

bool tracee_tell(struct tracee *t, struct tracee_thread *th, enum tracee_event event)
{
	const struct tracee_note note = { .event = event, .t = t, .th = th };

	return tracer_tell(t->tracer, &note);
}

static void thread_step_back(const struct tracee_thread *th)
{
	struct user_regs_struct regs;

	if (thread_get_regs(th->tid, &regs, NULL) < 0)
		return; /* killed meanwhile */
	regs.rax = regs.orig_rax;
	regs.orig_rax = UINT64_MAX;
	regs.rip -= SYSCALL_INSN_LEN;
	thread_set_regs(th->tid, &regs, NULL);
}

void tracee_tell_call(struct tracee *t, struct tracee_thread *th)
{
	struct tracee_note note = { .event = TRACEE_CALL, .t = t, .th = th };
	struct __ptrace_syscall_info info;

	if (!t->tracer->observer.calls ||
		ptrace(PTRACE_GET_SYSCALL_INFO, th->tid, sizeof info, &info) < 0 ||
		(info.op != PTRACE_SYSCALL_INFO_ENTRY && info.op != PTRACE_SYSCALL_INFO_SECCOMP))
		return;
	/* info.seccomp begins as info.entry does. */
	note.nr = info.arch == AUDIT_ARCH_X86_64 ? (int64_t)info.entry.nr : -1;
	memcpy(note.args, info.entry.args, sizeof note.args);
	note.pc = info.instruction_pointer;
	note.sp = info.stack_pointer;
	/* Frozen: somebody else is the reason, and nothing may happen behind his back. */
	if (t->frozen || tracer_tell(t->tracer, &note))
		thread_step_back(th);
}
