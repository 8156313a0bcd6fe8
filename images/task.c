/* Threads. Part of the file "state". */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/xstate.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

enum {
	NR_REGS = sizeof(struct snap_regs) / sizeof(uint64_t),
	SIGINFO = sizeof(struct snap_siginfo),
	/* NT_X86_XSTATE: FXSAVE area, header, then the components. AMX alone takes 8 KiB. */
	XSTATE_MIN = 576,
	XSTATE_MAX = 64 * 1024,
	USER_CS = 0x33,
	USER32_CS = 0x23, /* code of 32 bits, by a far jump */
	USER_DS = 0x2b,
	GROUPS_MAX = 65536,
	AFFINITY_MAX = 8192,
	COMM_MAX = 15,
	WAITING_MAX = 255,
	IOPRIO_MAX = 0xffff,
	SECUREBITS_MAX = 0xfff, /* with SECBIT_EXEC_... of Linux 6.14 */
	RSEQ_MAX = 4096,
	ROBUST_HEAD = 24,
	DISPATCH_MAX = 2, /* PR_SYS_DISPATCH_INCLUSIVE_ON */
	TSC_MODE_MAX = 2,
	MCE_KILL_MAX = 5,
	NODES_MAX = 128, /* MAX_NUMNODES bits */
	TLS_LIMIT_MAX = 0xfffff,
	TLS_FLAGS_MAX = 0xff,
};

/* Flags that user space may have: arithmetic, TF, IF, DF, NT, RF, AC, ID, and bit 1, which is set.
 */
#define EFLAGS_USER UINT64_C(0x254fd7)

_Static_assert(NR_REGS == 27, "struct user_regs_struct");

/* ---- packing --------------------------------------------------------------------------------- */

ProtobufCBinaryData *siginfos_pack(
	const struct snap *snap, const struct snap_siginfo *infos, size_t nr)
{
	ProtobufCBinaryData *out = arena_array(snap->arena, nr, sizeof *out);

	for (size_t i = 0; i < nr; i++)
		out[i] = pb_bytes(infos[i].raw, SIGINFO);
	return out;
}

static Pb__Sched *sched_pack(struct arena *arena, const struct snap_sched *sched)
{
	Pb__Sched *m = arena_alloc(arena, sizeof *m);

	pb__sched__init(m);
	PUT(m, policy, sched->policy);
	PUT(m, priority, sched->priority);
	PUT(m, nice, sched->nice);
	PUT(m, flags, sched->flags);
	PUT(m, runtime, sched->runtime);
	PUT(m, deadline, sched->deadline);
	PUT(m, period, sched->period);
	PUT(m, util_min, sched->util_min);
	PUT(m, util_max, sched->util_max);
	PUT(m, ioprio, sched->ioprio);
	PUT_BYTES(m, affinity, sched->affinity, sched->nr_affinity);
	return m;
}

static Pb__Creds *creds_pack(struct arena *arena, const struct snap_creds *creds)
{
	Pb__Creds *m = arena_alloc(arena, sizeof *m);

	pb__creds__init(m);
	PUT(m, ruid, creds->ruid);
	PUT(m, euid, creds->euid);
	PUT(m, suid, creds->suid);
	PUT(m, fsuid, creds->fsuid);
	PUT(m, rgid, creds->rgid);
	PUT(m, egid, creds->egid);
	PUT(m, sgid, creds->sgid);
	PUT(m, fsgid, creds->fsgid);
	m->n_groups = creds->nr_groups;
	m->groups = creds->groups;
	PUT(m, cap_inheritable, creds->cap_inheritable);
	PUT(m, cap_permitted, creds->cap_permitted);
	PUT(m, cap_effective, creds->cap_effective);
	PUT(m, cap_bounding, creds->cap_bounding);
	PUT(m, cap_ambient, creds->cap_ambient);
	PUT(m, securebits, creds->securebits);
	PUT(m, no_new_privs, creds->no_new_privs);
	return m;
}

static void tls_pack(struct arena *arena, const struct snap_task *task, Pb__Task *m)
{
	m->tls = arena_array(arena, SNAP_NR_TLS, sizeof *m->tls);
	for (size_t i = 0; i < SNAP_NR_TLS; i++) {
		const struct snap_tls *tls = &task->tls[i];
		Pb__TlsSlot *slot;

		if (!tls->entry)
			continue;
		slot = m->tls[m->n_tls++] = arena_alloc(arena, sizeof *slot);
		pb__tls_slot__init(slot);
		PUT(slot, entry, tls->entry);
		PUT(slot, base_addr, tls->base_addr);
		PUT(slot, limit, tls->limit);
		PUT(slot, flags, tls->flags);
	}
}

/* What few threads have set. */
static void task_modes_pack(struct arena *arena, const struct snap_task *task, Pb__Task *m)
{
	PUT(m, exited, task->exited);
	PUT(m, wait_left, task->wait_left);
	PUT(m, restart, task->restart);
	PUT(m, seccomp, task->seccomp);
	PUT(m, seccomp_strict, task->seccomp_strict);
	PUT(m, tsc_mode, task->tsc_mode);
	PUT(m, cpuid_faults, task->cpuid_faults);
	PUT(m, mce_kill, task->mce_kill);
	PUT(m, mempolicy, task->mempolicy);
	PUT_BYTES(m, mempolicy_nodes, task->mempolicy_nodes, task->nr_mempolicy_nodes);
	tls_pack(arena, task, m);
	if (!task->dispatch.mode)
		return;
	m->dispatch = arena_alloc(arena, sizeof *m->dispatch);
	pb__dispatch__init(m->dispatch);
	PUT(m->dispatch, mode, task->dispatch.mode);
	PUT(m->dispatch, offset, task->dispatch.offset);
	PUT(m->dispatch, len, task->dispatch.len);
	PUT(m->dispatch, selector, task->dispatch.selector);
}

static Pb__Task *task_pack(const struct snap *snap, const struct snap_task *task)
{
	Pb__Task *m = arena_alloc(snap->arena, sizeof *m);

	pb__task__init(m);
	PUT(m, tid, task->tid);
	PUT_BYTES(m, comm, task->comm, strnlen(task->comm, COMM_MAX));
	m->n_regs = NR_REGS;
	m->regs = arena_copy(snap->arena, &task->regs, sizeof task->regs);
	PUT_BYTES(m, xstate, task->xstate, task->nr_xstate);
	PUT(m, sigmask, task->sigmask);
	m->n_pending = task->nr_pending;
	m->pending = siginfos_pack(snap, task->pending, task->nr_pending);
	PUT(m, altstack_sp, task->altstack_sp);
	PUT(m, altstack_size, task->altstack_size);
	PUT(m, altstack_flags, task->altstack_flags);
	PUT(m, rseq_addr, task->rseq.addr);
	PUT(m, rseq_len, task->rseq.len);
	PUT(m, rseq_sig, task->rseq.sig);
	PUT(m, rseq_flags, task->rseq.flags);
	PUT(m, robust_list, task->robust_list);
	PUT(m, robust_len, task->robust_len);
	PUT(m, clear_tid, task->clear_tid);
	m->sched = sched_pack(snap->arena, &task->sched);
	m->creds = creds_pack(snap->arena, &task->creds);
	PUT(m, timerslack, task->timerslack);
	PUT(m, pdeath_signal, task->pdeath_signal);
	PUT(m, waiting_nr, task->waiting_nr);
	PUT_TEXT(m, waiting_in, task->waiting_in);
	task_modes_pack(snap->arena, task, m);
	return m;
}

void tasks_pack(const struct snap *snap, const struct snap_proc *proc, Pb__Proc *m)
{
	m->n_tasks = proc->nr_tasks;
	m->tasks = arena_array(snap->arena, proc->nr_tasks, sizeof *m->tasks);
	for (size_t i = 0; i < proc->nr_tasks; i++)
		m->tasks[i] = task_pack(snap, &proc->tasks[i]);
	for (size_t i = 0; i < proc->nr_tasks; i++) {
		m->tasks[i]->personality = proc->tasks[i].personality;
		m->tasks[i]->has_personality = proc->tasks[i].personality != proc->personality;
	}
}

/* ---- unpacking ------------------------------------------------------------------------------- */

int siginfos_unpack(struct snap *snap, const ProtobufCBinaryData *in, size_t nr,
	struct snap_siginfo **out, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (in[i].len != SIGINFO)
			return BAD(err, "pending signal of %zu bytes", in[i].len);
	*out = arena_array(snap->arena, nr, sizeof **out);
	for (size_t i = 0; i < nr; i++)
		memcpy((*out)[i].raw, in[i].data, SIGINFO);
	return 0;
}

static void sched_unpack(struct snap *snap, const Pb__Sched *m, struct snap_sched *sched)
{
	*sched = (struct snap_sched){
		.policy = m->policy,
		.priority = m->priority,
		.nice = m->nice,
		.flags = m->flags,
		.runtime = m->runtime,
		.deadline = m->deadline,
		.period = m->period,
		.util_min = m->util_min,
		.util_max = m->util_max,
		.ioprio = m->ioprio,
		.affinity = arena_copy(snap->arena, m->affinity.data, m->affinity.len),
		.nr_affinity = m->affinity.len,
	};
}

static void creds_unpack(struct snap *snap, const Pb__Creds *m, struct snap_creds *creds)
{
	*creds = (struct snap_creds){
		.ruid = m->ruid,
		.euid = m->euid,
		.suid = m->suid,
		.fsuid = m->fsuid,
		.rgid = m->rgid,
		.egid = m->egid,
		.sgid = m->sgid,
		.fsgid = m->fsgid,
		.groups = arena_copy(snap->arena, m->groups, m->n_groups * sizeof *m->groups),
		.nr_groups = m->n_groups,
		.cap_inheritable = m->cap_inheritable,
		.cap_permitted = m->cap_permitted,
		.cap_effective = m->cap_effective,
		.cap_bounding = m->cap_bounding,
		.cap_ambient = m->cap_ambient,
		.securebits = m->securebits,
		.no_new_privs = m->no_new_privs,
	};
}

static void task_unpack_numbers(const Pb__Task *m, struct snap_task *task)
{
	task->tid = m->tid;
	task->sigmask = m->sigmask;
	task->altstack_sp = m->altstack_sp;
	task->altstack_size = m->altstack_size;
	task->altstack_flags = m->altstack_flags;
	task->rseq = (struct snap_rseq){ m->rseq_addr, m->rseq_len, m->rseq_sig, m->rseq_flags };
	task->robust_list = m->robust_list;
	task->robust_len = m->robust_len;
	task->clear_tid = m->clear_tid;
	task->timerslack = m->timerslack;
	task->pdeath_signal = m->pdeath_signal;
	task->waiting_nr = m->waiting_nr;
}

static void task_unpack_modes(struct snap *snap, const Pb__Task *m, struct snap_task *task)
{
	task->exited = m->exited;
	task->wait_left = m->wait_left;
	task->restart = m->restart;
	task->seccomp = m->seccomp;
	task->seccomp_strict = m->seccomp_strict;
	task->tsc_mode = m->tsc_mode;
	task->cpuid_faults = m->cpuid_faults;
	task->mce_kill = m->mce_kill;
	task->mempolicy = m->mempolicy;
	task->mempolicy_nodes = arena_copy(
		snap->arena, m->mempolicy_nodes.data, m->mempolicy_nodes.len);
	task->nr_mempolicy_nodes = m->mempolicy_nodes.len;
	if (m->dispatch)
		task->dispatch = (struct snap_dispatch){ m->dispatch->mode, m->dispatch->offset,
			m->dispatch->len, m->dispatch->selector };
}

static int tls_unpack(const Pb__Task *m, struct snap_task *task, struct err *err)
{
	for (size_t i = 0; i < m->n_tls; i++) {
		const Pb__TlsSlot *slot = m->tls[i];
		uint32_t nr = slot->entry - SNAP_TLS_MIN;

		if (nr >= SNAP_NR_TLS || task->tls[nr].entry || slot->limit > TLS_LIMIT_MAX ||
			slot->flags > TLS_FLAGS_MAX)
			return BAD(err, "impossible descriptor table entry %u", slot->entry);
		task->tls[nr] = (struct snap_tls){ slot->entry, slot->base_addr, slot->limit,
			slot->flags };
	}
	return 0;
}

static int task_unpack(
	struct snap *snap, const Pb__Task *m, struct snap_task *task, struct err *err)
{
	int ret;

	task_unpack_numbers(m, task);
	task_unpack_modes(snap, m, task);
	if (m->comm.len > COMM_MAX || m->n_regs != NR_REGS || !m->sched || !m->creds)
		return BAD(
			err, "name, registers, scheduling or credentials are missing or too long");
	if (m->comm.len)
		memcpy(task->comm, m->comm.data, m->comm.len);
	memcpy(&task->regs, m->regs, sizeof task->regs);
	task->xstate = arena_copy(snap->arena, m->xstate.data, m->xstate.len);
	task->nr_xstate = m->xstate.len;
	sched_unpack(snap, m->sched, &task->sched);
	creds_unpack(snap, m->creds, &task->creds);
	task->nr_pending = m->n_pending;
	ret = tls_unpack(m, task, err);
	if (!ret)
		ret = siginfos_unpack(snap, m->pending, m->n_pending, &task->pending, err);
	if (ret < 0)
		return ret;
	return text_unpack(snap, m->has_waiting_in, &m->waiting_in, WAITING_MAX, "waiting_in",
		&task->waiting_in, err);
}

int tasks_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc, struct err *err)
{
	proc->nr_tasks = m->n_tasks;
	proc->tasks = arena_array(snap->arena, m->n_tasks, sizeof *proc->tasks);
	for (size_t i = 0; i < m->n_tasks; i++) {
		const Pb__Task *task = m->tasks[i];

		if (task_unpack(snap, task, &proc->tasks[i], err) < 0)
			return err_wrap(err, "thread %d", task->tid);
		proc->tasks[i].personality = task->has_personality ? task->personality
								   : proc->personality;
	}
	return 0;
}

/* ---- checking -------------------------------------------------------------------------------- */

int siginfos_check(const struct snap_siginfo *infos, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		int32_t signo;

		memcpy(&signo, infos[i].raw, sizeof signo);
		if (signo < 1 || signo > SNAP_NSIG)
			return BAD(err, "pending signal %d does not exist", signo);
	}
	return 0;
}

static bool canonical(uint64_t addr)
{
	return addr < UINT64_C(1) << 47 || addr >= ~UINT64_C(0) << 47;
}

static int regs_check(const struct snap_regs *regs, struct err *err)
{
	if ((regs->cs != USER_CS && regs->cs != USER32_CS) || regs->ss != USER_DS)
		return BAD(err, "cs %#llx, ss %#llx: not user code", (unsigned long long)regs->cs,
			(unsigned long long)regs->ss);
	if ((regs->ds | regs->es | regs->fs | regs->gs) > 0xffff)
		return BAD(err, "impossible segment register");
	if (regs->eflags & ~EFLAGS_USER)
		return BAD(err, "impossible eflags %#llx", (unsigned long long)regs->eflags);
	if (!canonical(regs->rip) || !canonical(regs->rsp))
		return BAD(err, "impossible rip %#llx or rsp %#llx", (unsigned long long)regs->rip,
			(unsigned long long)regs->rsp);
	if (regs->fs_base >= USER_END || regs->gs_base >= USER_END)
		return BAD(err, "impossible fs_base or gs_base");
	return 0;
}

/* What XRSTOR and the kernel would refuse: Intel SDM volume 1, 13.4 "XSAVE area" and 13.8.1. */
static int xstate_check(const struct snap *snap, const struct snap_task *task, struct err *err)
{
	const uint8_t *header = task->xstate + 512;
	uint64_t xstate_bv;
	uint32_t mxcsr;

	if (task->nr_xstate < XSTATE_MIN || task->nr_xstate > XSTATE_MAX || task->nr_xstate % 8)
		return BAD(err, "xstate of %zu bytes", task->nr_xstate);
	memcpy(&xstate_bv, header, sizeof xstate_bv);
	if (xstate_bv & ~snap->cpu.xcr0)
		return BAD(err, "xstate with components %#llx, xcr0 is %#llx",
			(unsigned long long)xstate_bv, (unsigned long long)snap->cpu.xcr0);
	for (size_t i = 0; i < snap->cpu.nr_xstate_parts; i++) {
		const struct xstate_part *part = &snap->cpu.xstate_parts[i];

		if ((xstate_bv >> part->nr & 1) && part->offset + part->size > task->nr_xstate)
			return BAD(err, "xstate of %zu bytes ends before part %u", task->nr_xstate,
				part->nr);
	}
	for (size_t i = 8; i < 64; i++)
		if (header[i])
			return BAD(err, "xstate with a reserved byte set");
	memcpy(&mxcsr, task->xstate + 24, sizeof mxcsr);
	if (mxcsr & 0xffff0000)
		return BAD(err, "impossible mxcsr %#x", mxcsr);
	return 0;
}

static int pointers_check(const struct snap_task *task, struct err *err)
{
	if (task->altstack_sp > UINT64_MAX - task->altstack_size)
		return BAD(err, "impossible alternate signal stack");
	if (task->rseq.addr && (task->rseq.addr >= USER_END || task->rseq.addr % 4 ||
				       task->rseq.len == 0 || task->rseq.len > RSEQ_MAX))
		return BAD(err, "impossible rseq area");
	if (task->robust_list && task->robust_len != ROBUST_HEAD)
		return BAD(err, "impossible robust list head of %llu bytes",
			(unsigned long long)task->robust_len);
	return 0;
}

static int sched_check(const struct snap_sched *sched, struct err *err)
{
	/* SCHED_EXT is 7, the last one known to us. */
	if (sched->policy > 7 || sched->priority > 99 || sched->nice < -20 || sched->nice > 19)
		return BAD(err, "impossible policy %u, priority %u or nice %d", sched->policy,
			sched->priority, sched->nice);
	if (sched->ioprio > IOPRIO_MAX || sched->nr_affinity > AFFINITY_MAX)
		return BAD(err, "impossible ioprio or affinity");
	return 0;
}

static int modes_check(const struct snap *snap, const struct snap_task *task, struct err *err)
{
	if (task->seccomp > snap->nr_seccomp || (task->seccomp && task->seccomp_strict))
		return BAD(err, "seccomp filter %u does not exist", task->seccomp);
	if (task->restart && task->restart != SNAP_RESTART_SYS &&
		task->restart != SNAP_RESTART_NOHAND)
		return BAD(err, "impossible restart code %u", task->restart);
	if (task->wait_left > INT64_MAX)
		return BAD(err, "impossible time to wait");
	if (task->dispatch.mode > DISPATCH_MAX || task->dispatch.selector >= USER_END)
		return BAD(err, "impossible system call user dispatch");
	if (task->tsc_mode < 0 || task->tsc_mode > TSC_MODE_MAX || task->mce_kill > MCE_KILL_MAX)
		return BAD(err, "impossible tsc_mode or mce_kill");
	if (task->nr_mempolicy_nodes > NODES_MAX || task->nr_mempolicy_nodes % 8)
		return BAD(err, "impossible memory policy");
	return 0;
}

int task_check(const struct snap *snap, const struct snap_task *task, struct err *err)
{
	int ret;

	if (task->tid <= 0)
		return BAD(err, "impossible thread id");
	if (memchr(task->comm, '\0', sizeof task->comm) == NULL)
		return BAD(err, "name without an end");
	if (task->pdeath_signal < 0 || task->pdeath_signal > SNAP_NSIG)
		return BAD(err, "impossible parent death signal %d", task->pdeath_signal);
	if (task->creds.nr_groups > GROUPS_MAX || task->creds.securebits > SECUREBITS_MAX)
		return BAD(err, "impossible groups or securebits");
	if ((ret = regs_check(&task->regs, err)) < 0 || (ret = xstate_check(snap, task, err)) < 0 ||
		(ret = pointers_check(task, err)) < 0 ||
		(ret = sched_check(&task->sched, err)) < 0 ||
		(ret = modes_check(snap, task, err)) < 0)
		return ret;
	return siginfos_check(task->pending, task->nr_pending, err);
}
