/* One process, part by part; see process.h. */
#include "dump/process.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/ipc.h"
#include "dump/settle.h"

static void ids_collect(struct dumping_proc *p)
{
	struct snap_proc *proc = dumping_snap_proc(p);

	proc->pid = p->status.nspid;
	proc->ppid = p->status.nr_ns > 1 ? 0 : p->status.ppid;
	proc->pgid = p->status.nspgid;
	proc->sid = p->status.nssid;
	proc->exit_signal = p->stat.exit_signal;
	proc->tty = (uint32_t)p->stat.tty_nr;
	proc->foreground = p->stat.tpgid > 0 && p->stat.tpgid == p->stat.pgrp;
	proc->umask = p->status.umask;
}

int process_begin(struct dumping *d, struct tracee *t, struct dumping_proc *p, struct err *err)
{
	struct arena *a = d->snap->arena;
	int ret;

	*p = (struct dumping_proc){ .d = d, .t = t };
	p->id = (uint32_t)(snap_add_proc(d->snap) - d->snap->procs);
	ret = proc_status(t->procfd, "status", a, &p->status, err);
	if (!ret)
		ret = proc_stat(t->procfd, "stat", &p->stat, err);
	if (!ret)
		ret = proc_smaps(t->procfd, a, &p->vmas, &p->nr_vmas, err);
	if (!ret)
		ids_collect(p);
	return ret;
}

static int process_settle(const struct dumping_proc *p, struct err *err)
{
	for (size_t i = 0; i < p->nr_vmas; i++)
		if (!strcmp(p->vmas[i].path, "[vdso]"))
			return settle_threads(p->t, p->vmas[i].start, p->vmas[i].end, err);
	return settle_threads(p->t, 0, 0, err);
}

static const struct part {
	const char *name;
	int (*collect)(struct dumping_proc *p, struct err *err);
} parts[] = {
	{ "vdso", vdso_collect },
	{ "signals", signals_collect },
	{ "tasks", tasks_collect },
	{ "timers", timers_collect },
	{ "attributes", attributes_collect },
	{ "limits", limits_collect },
	{ "semaphores", ipc_undos_collect },
};

static int part_collect(const struct part *part, struct dumping_proc *p, struct err *err)
{
	double start = dumping_now_ms();
	int ret = part->collect(p, err);

	if (ret < 0)
		return err_wrap(err, "process %d", p->t->pid);
	log_debug("%d: %s: %.2f ms", p->t->pid, part->name, dumping_now_ms() - start);
	return 0;
}

int process_collect(struct dumping_proc *p, struct err *err)
{
	int ret = process_settle(p, err);

	if (ret < 0)
		return err_wrap(err, "process %d", p->t->pid);
	for (size_t i = 0; !ret && i < sizeof parts / sizeof parts[0]; i++)
		ret = part_collect(&parts[i], p, err);
	return ret;
}

int process_collect_memory(struct dumping_proc *p, struct err *err)
{
	return part_collect(&(struct part){ "mm", mm_collect }, p, err);
}
