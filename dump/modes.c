/* What a thread may have set for itself and few do; see modes.h. */
#include "dump/modes.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/err.h"
#include "dump/dumping.h"

/* include/linux/sched.h: flags in stat. */
enum {
	PF_MCE_PROCESS = 0x80,
	PF_MCE_EARLY = 0x08000000,
	PF_MEMALLOC_NOIO = 0x00080000,
	PF_LOCAL_THROTTLE = 0x00100000,
};

enum {
	MCE_KILL_RECORDED = 3, /* added, see snap.h */
};

static int dispatch_collect(int tid, struct snap_task *task, struct err *err)
{
	struct thread_dispatch dispatch;
	int ret = thread_get_dispatch(tid, &dispatch, err);

	if (ret < 0)
		return ret;
	task->dispatch = (struct snap_dispatch){ dispatch.mode, dispatch.offset, dispatch.len,
		dispatch.selector };
	return 0;
}

/* The entries of the descriptor table that set_thread_area(2) gives to a thread. */
static int tls_collect(int tid, struct snap_task *task, struct err *err)
{
	for (uint32_t i = 0; i < SNAP_NR_TLS; i++) {
		struct thread_tls tls;
		int ret = thread_get_tls(tid, SNAP_TLS_MIN + i, &tls, err);

		if (ret < 0)
			return ret;
		if (ret > 0)
			task->tls[i] = (struct snap_tls){ SNAP_TLS_MIN + i, tls.base_addr,
				tls.limit, tls.flags };
	}
	return 0;
}

/* prctl(PR_MCE_KILL) and prctl(PR_SET_IO_FLUSHER) show in the flags of stat. */
static int flags_collect(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	struct proc_stat stat;
	char name[48];
	int ret;

	snprintf(name, sizeof name, "task/%d/stat", th->tid);
	ret = proc_stat(p->t->procfd, name, &stat, err);
	if (ret < 0)
		return ret;
	if (stat.flags & PF_MEMALLOC_NOIO && stat.flags & PF_LOCAL_THROTTLE) {
		err_set(err, ENOTSUP, "it serves a disk for the kernel (PR_SET_IO_FLUSHER)");
		return err_hint(err, "such a program cannot be stopped without danger");
	}
	if (!(stat.flags & PF_MCE_PROCESS))
		task->mce_kill = MCE_KILL_RECORDED + PR_MCE_KILL_DEFAULT;
	else if (stat.flags & PF_MCE_EARLY)
		task->mce_kill = MCE_KILL_RECORDED + PR_MCE_KILL_EARLY;
	else
		task->mce_kill = MCE_KILL_RECORDED + PR_MCE_KILL_LATE;
	return 0;
}

/* Nothing shows iopl(2); ioperm(2) has a register set. */
static int ports_check(int tid, struct err *err)
{
	if (!thread_has_ports(tid))
		return 0;
	err_set(err, ENOTSUP, "it may use I/O ports (ioperm)");
	return err_hint(err, "let the program give them back before the dump");
}

int modes_collect(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err)
{
	int ret = dispatch_collect(th->tid, task, err);

	if (!ret)
		ret = tls_collect(th->tid, task, err);
	if (!ret)
		ret = ports_check(th->tid, err);
	return ret < 0 ? ret : flags_collect(p, th, task, err);
}
