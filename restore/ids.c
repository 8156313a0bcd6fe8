/* The choice of process ids; see ids.h. */
#include "restore/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "images/fd/common.h"
#include "restore/creds.h"
#include "restore/job.h"
#include "tracee/proc.h"

enum { ENDING_TRIES = 500 };

/* Is the holder of this id about to be gone? */
static bool is_ending(int32_t tid)
{
	OWNED_FD fd = -1;
	struct proc_stat stat;

	return proc_open(tid, &fd, NULL) < 0 || proc_stat(fd, "stat", &stat, NULL) < 0 ||
	       proc_is_ending(&stat);
}

static bool is_nobody(pid_t id)
{
	return kill(id, 0) < 0 && errno == ESRCH;
}

/*
 * An id is free only a moment after its process has ended: that moment is waited for. That of a
 * group is in use as long as the group has members.
 */
static bool is_taken(int32_t tid, bool group)
{
	for (int i = 0; i < ENDING_TRIES; i++) {
		if (is_nobody(tid) && (!group || is_nobody(-tid)))
			return false;
		if (!is_ending(tid))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 2 * 1000 * 1000 }, NULL);
	}
	return true;
}

/* Of a session or group whose leader has ended: helpers have it for a while. */
static bool founded_is_taken(const struct snap *snap, int32_t id)
{
	return !snap_has_process(snap, id) && is_taken(id, true);
}

static int32_t founded_taken(const struct snap *snap, const struct snap_proc *proc)
{
	if (!proc->session_inherited && founded_is_taken(snap, proc->sid))
		return proc->sid;
	if (!proc->group_inherited && founded_is_taken(snap, proc->pgid))
		return proc->pgid;
	return 0;
}

static int32_t tasks_taken(const struct snap_proc *proc)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (is_taken(proc->tasks[i].tid, i == 0 && proc->pgid == proc->pid))
			return proc->tasks[i].tid;
	return 0;
}

/* A recorded id that somebody has now, 0: none. Zombies have theirs, too. */
static int32_t ids_taken(const struct snap *snap)
{
	int32_t taken = 0;

	for (size_t i = 0; !taken && i < snap->nr_zombies; i++)
		taken = is_taken(snap->zombies[i].pid, false) ? snap->zombies[i].pid : 0;
	for (size_t i = 0; !taken && i < snap->nr_procs; i++)
		taken = tasks_taken(&snap->procs[i]);
	for (size_t i = 0; !taken && i < snap->nr_procs; i++)
		taken = founded_taken(snap, &snap->procs[i]);
	return taken;
}

/* Not asked where all ids are below the limit that a small machine begins with. */
static bool is_above_limit(int32_t id)
{
	enum { PID_MAX_DEFAULT = 0x8000 };
	char text[16] = "";
	OWNED_FD fd = -1;

	if (id < PID_MAX_DEFAULT)
		return false;
	fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof text - 1) > 0 && id >= atoi(text);
}

static enum restore_pids ids_choose_auto(const struct job *job)
{
	int32_t taken, highest;

	if (!job->privileged) {
		log_info("process ids: a namespace of its own, since choosing ids is not permitted "
			 "here");
		return PIDS_NS;
	}
	highest = ids_highest(job->snap);
	if (is_above_limit(highest)) {
		log_info("process ids: a namespace of its own, since %d is above kernel.pid_max",
			highest);
		return PIDS_NS;
	}
	taken = ids_taken(job->snap);
	if (taken) {
		log_info("process ids: a namespace of its own, since %d is in use", taken);
		return PIDS_NS;
	}
	log_info("process ids: kept");
	return PIDS_KEEP;
}

int ids_choose(struct job *job, struct err *err)
{
	job->pids = job->opts->pids;
	if (job->pids == PIDS_KEEP && !job->privileged) {
		err_set(err, EPERM,
			"keeping the process ids needs the capability "
			"CAP_CHECKPOINT_RESTORE");
		return err_hint(err, "use --pids=ns or --pids=new, or restore as root");
	}
	if (job->pids == PIDS_AUTO)
		job->pids = ids_choose_auto(job);
	return 0;
}

/*
 * Root of a user namespace (unshare -r) may choose ids only in a PID namespace that belongs to it.
 * To ask for that beforehand would cost every restore: clone3 says it.
 */
bool ids_refused(const struct job *job, int ret)
{
	return ret == -EPERM && job->pids == PIDS_KEEP && !job->pid;
}

int ids_fallback(struct job *job, struct err *err)
{
	if (job->opts->pids != PIDS_AUTO || job->snap->nr_procs != 1)
		return -err->code;
	log_info("process ids: new ones, since a namespace could not be made: %s", err->msg);
	*err = (struct err){ 0 };
	job->pids = PIDS_NEW;
	return 0;
}

int32_t ids_highest(const struct snap *snap)
{
	int32_t highest = 0;

	for (size_t p = 0; p < snap->nr_procs; p++)
		for (size_t t = 0; t < snap->procs[p].nr_tasks; t++)
			if (snap->procs[p].tasks[t].tid > highest)
				highest = snap->procs[p].tasks[t].tid;
	for (size_t i = 0; i < snap->nr_zombies; i++)
		if (snap->zombies[i].pid > highest)
			highest = snap->zombies[i].pid;
	return highest;
}
