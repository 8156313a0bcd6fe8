/* The notes of a core file: registers, ids, files; see core.h. Layouts: <sys/procfs.h>,
 * fs/binfmt_elf.c. */
#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/procfs.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "images/core/core.h"

/* uapi/linux/elf.h; sys/procfs.h and old elf.h do not have all. */
#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#ifndef NT_SIGINFO
#define NT_SIGINFO 0x53494749
#endif
#ifndef NT_FILE
#define NT_FILE 0x46494c45
#endif

enum { FXSAVE_LEN = 512, PAGE = 4096 };

_Static_assert(sizeof(struct snap_regs) == sizeof(elf_gregset_t), "user_regs_struct");
_Static_assert(sizeof(elf_fpregset_t) == FXSAVE_LEN, "user_fpregs_struct is what fxsave writes");

static void pad(struct buf *out)
{
	static const char zero[4];

	buf_append(out, zero, -out->len & 3);
}

static void note_add(struct buf *out, const char *name, uint32_t type, const void *desc, size_t len)
{
	const Elf64_Nhdr header = { (Elf64_Word)strlen(name) + 1, (Elf64_Word)len, type };

	buf_append(out, &header, sizeof header);
	buf_append(out, name, header.n_namesz);
	pad(out);
	buf_append(out, desc, len);
	pad(out);
}

/* ---- a fault ----------------------------------------------------------------------------------
 */

static bool is_fault(const struct snap_siginfo *info)
{
	siginfo_t si;

	memcpy(&si, info->raw, sizeof si);
	/* sigaction(2): si_code is positive where the kernel has raised it. */
	return si.si_code > 0 &&
	       (si.si_signo == SIGSEGV || si.si_signo == SIGBUS || si.si_signo == SIGILL ||
		       si.si_signo == SIGFPE || si.si_signo == SIGTRAP || si.si_signo == SIGSYS);
}

/* What the thread was stopped by, as dump --until=signal=SEGV does it; NULL: nothing. */
static const struct snap_siginfo *task_fault(const struct snap_task *task)
{
	return task->nr_pending && is_fault(&task->pending[0]) ? &task->pending[0] : NULL;
}

/* The thread that comes first, as debuggers show that one: with a fault, or the first that lives.
 */
static const struct snap_task *task_first(const struct snap_proc *proc)
{
	const struct snap_task *first = NULL;

	for (size_t i = 0; i < proc->nr_tasks; i++) {
		const struct snap_task *task = &proc->tasks[i];

		if (!task->exited && (!first || (!task_fault(first) && task_fault(task))))
			first = task;
	}
	return first;
}

/* ---- of a thread ----------------------------------------------------------------------------- */

static unsigned long pending_mask(const struct snap_siginfo *infos, size_t nr)
{
	unsigned long mask = 0;

	for (size_t i = 0; i < nr; i++) {
		int32_t signo;

		memcpy(&signo, infos[i].raw, sizeof signo);
		if (signo >= 1 && signo <= SNAP_NSIG)
			mask |= 1UL << (signo - 1);
	}
	return mask;
}

/* The signal that the process is shown to end by is said of every thread, as the kernel does it. */
static void prstatus_add(struct buf *out, const struct core *c, const struct snap_task *task,
	const struct snap_siginfo *fault)
{
	const struct snap_proc *proc = c->proc;
	struct elf_prstatus status = {
		.pr_pid = task->tid,
		.pr_ppid = proc->ppid,
		.pr_pgrp = proc->pgid,
		.pr_sid = proc->sid,
		.pr_sigpend = pending_mask(task->pending, task->nr_pending),
		.pr_sighold = task->sigmask,
		.pr_fpvalid = 1,
	};

	if (proc->stop == PROC_STOPPED)
		status.pr_info.si_signo = status.pr_cursig = (short)proc->stop_signal;
	if (fault) {
		siginfo_t si;

		memcpy(&si, fault->raw, sizeof si);
		status.pr_info.si_signo = status.pr_cursig = (short)si.si_signo;
		status.pr_info.si_code = si.si_code;
	}
	memcpy(&status.pr_reg, &task->regs, sizeof status.pr_reg);
	note_add(out, "CORE", NT_PRSTATUS, &status, sizeof status);
}

static void vectors_add(struct buf *out, const struct core *c, const struct snap_task *task)
{
	const uint8_t *xstate;
	size_t len;

	if (task->nr_xstate < FXSAVE_LEN)
		return;
	note_add(out, "CORE", NT_FPREGSET, task->xstate, FXSAVE_LEN);
	xstate = core_xstate(c, task, &len);
	note_add(out, "LINUX", NT_X86_XSTATE, xstate, len);
}

/* ---- of the process -------------------------------------------------------------------------- */

/* Its command line, of which the note holds the beginning. */
static int psargs_read(const struct core *c, char args[ELF_PRARGSZ], struct err *err)
{
	const struct snap_mm *mm = c->mm;
	uint64_t len = mm->arg_end > mm->arg_start ? mm->arg_end - mm->arg_start : 0;
	int ret;

	if (len > ELF_PRARGSZ - 1)
		len = ELF_PRARGSZ - 1;
	ret = pages_read(c->img->pages_fd, &c->img->index, mm->mem, mm->arg_start, args, len, err);
	for (uint64_t i = 0; i + 1 < len; i++)
		if (!args[i])
			args[i] = ' ';
	return ret;
}

static int prpsinfo_add(struct buf *out, const struct core *c, struct err *err)
{
	const struct snap_proc *proc = c->proc;
	const struct snap_task *leader = &proc->tasks[0];
	struct elf_prpsinfo info = {
		.pr_state = proc->stop == PROC_STOPPED ? 3 : 1,
		.pr_sname = proc->stop == PROC_STOPPED ? 'T' : 'S',
		.pr_nice = (char)leader->sched.nice,
		.pr_uid = leader->creds.ruid,
		.pr_gid = leader->creds.rgid,
		.pr_pid = proc->pid,
		.pr_ppid = proc->ppid,
		.pr_pgrp = proc->pgid,
		.pr_sid = proc->sid,
	};

	memcpy(info.pr_fname, leader->comm, sizeof info.pr_fname);
	if (psargs_read(c, info.pr_psargs, err) < 0)
		return err_wrap(err, "command line");
	note_add(out, "CORE", NT_PRPSINFO, &info, sizeof info);
	return 0;
}

/* Of each mapped file: start, end and page offset; then the paths, in the same order. */
static void files_add(struct buf *out, const struct core *c)
{
	const struct snap_mm *mm = c->mm;
	struct buf numbers = BUF_EMPTY, paths = BUF_EMPTY;
	uint64_t head[2] = { 0, PAGE };

	buf_append(&numbers, head, sizeof head);
	for (size_t i = 0; i < mm->nr_vmas; i++) {
		const struct snap_vma *vma = &mm->vmas[i];
		const struct snap_file *file;

		if (vma->kind != VMA_FILE)
			continue;
		file = &c->snap->files[vma->file];
		buf_append(&numbers, (uint64_t[3]){ vma->start, vma->end, vma->offset / PAGE }, 24);
		buf_append(&paths, file->path, strlen(file->path));
		buf_append(&paths, " (deleted)", file->deleted ? strlen(" (deleted)") : 0);
		buf_append(&paths, "", 1);
		head[0]++;
	}
	memcpy(numbers.data, head, sizeof head);
	if (paths.len)
		buf_append(&numbers, paths.data, paths.len);
	note_add(out, "CORE", NT_FILE, numbers.data, numbers.len);
	buf_finish(&numbers);
	buf_finish(&paths);
}

static int process_add(
	struct buf *out, const struct core *c, const struct snap_siginfo *fault, struct err *err)
{
	int ret = prpsinfo_add(out, c, err);

	if (ret < 0)
		return ret;
	if (fault)
		note_add(out, "CORE", NT_SIGINFO, fault->raw, sizeof fault->raw);
	note_add(out, "CORE", NT_AUXV, c->mm->auxv, c->mm->nr_auxv * sizeof *c->mm->auxv);
	files_add(out, c);
	return 0;
}

int core_notes(const struct core *c, struct buf *out, struct err *err)
{
	const struct snap_task *first = task_first(c->proc);
	const struct snap_siginfo *fault = first ? task_fault(first) : NULL;

	/* A first thread that has ended has no registers. */
	if (!first)
		return 0;
	prstatus_add(out, c, first, fault);
	if (process_add(out, c, fault, err) < 0)
		return -err->code;
	vectors_add(out, c, first);
	for (size_t i = 0; i < c->proc->nr_tasks; i++) {
		const struct snap_task *task = &c->proc->tasks[i];

		if (task->exited || task == first)
			continue;
		prstatus_add(out, c, task, fault);
		vectors_add(out, c, task);
	}
	return 0;
}
