/* One process, part by part; see process.h. */
#include "dump/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/ipc.h"
#include "dump/keyrings.h"
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

/* The leader has ended: what it gave up is read from a thread that lives. */
static int process_begin_led(struct dumping_proc *p, struct err *err)
{
	struct proc_status status;
	struct proc_stat stat;
	char name[32];
	int ret;

	for (size_t i = 1; i < p->t->nr_threads && p->th->state == TRACEE_EXITED; i++)
		p->th = &p->t->threads[i];
	snprintf(name, sizeof name, "task/%d", p->th->tid);
	p->dir = openat(p->t->procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return err_sys(err, "open %s", name);
	ret = proc_status(p->dir, "status", p->d->snap->arena, &status, err);
	if (!ret)
		ret = proc_stat(p->dir, "stat", &stat, err);
	if (ret < 0)
		return ret;
	p->status.umask = status.umask;
	stat.pid = p->stat.pid;
	stat.exit_signal = p->stat.exit_signal;
	stat.exit_code = p->stat.exit_code;
	memcpy(stat.comm, p->stat.comm, sizeof stat.comm);
	p->stat = stat;
	return 0;
}

void process_end(struct dumping_proc *p)
{
	if (p->dir != p->t->procfd)
		fd_close(&p->dir);
}

int process_begin(struct dumping *d, struct tracee *t, struct dumping_proc *p, struct err *err)
{
	struct arena *a = d->snap->arena;
	int ret;

	*p = (struct dumping_proc){ .d = d, .t = t, .th = &t->threads[0], .dir = t->procfd };
	p->id = (uint32_t)(snap_add_proc(d->snap) - d->snap->procs);
	ret = proc_status(t->procfd, "status", a, &p->status, err);
	if (!ret)
		ret = proc_stat(t->procfd, "stat", &p->stat, err);
	if (!ret && (p->status.state == 'Z' || p->th->state == TRACEE_EXITED))
		ret = process_begin_led(p, err);
	if (!ret)
		ret = proc_smaps(p->dir, a, &p->vmas, &p->nr_vmas, err);
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
	{ "keyrings", keyrings_tell },
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
