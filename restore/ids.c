/* The choice of process ids; see ids.h. */
#include "restore/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/creds.h"
#include "restore/job.h"

enum { PF_EXITING_BIT = 0x4, ENDING_TRIES = 500 };

/* Is the holder of this id about to be gone? Field 3 of stat is its state, field 9 its flags
 * (proc(5)). */
static bool is_ending(int32_t tid)
{
	char path[40], text[512], state;
	unsigned flags;
	OWNED_FD fd = -1;
	ssize_t n;
	char *end;

	snprintf(path, sizeof path, "/proc/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return true;
	text[n] = '\0';
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	return state == 'Z' || state == 'X' || flags & PF_EXITING_BIT;
}

/* An id is free only a moment after its process has ended: that moment is waited for. */
static bool is_taken(int32_t tid)
{
	for (int i = 0; i < ENDING_TRIES; i++) {
		if (kill(tid, 0) < 0 && errno == ESRCH)
			return false;
		if (!is_ending(tid))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 2 * 1000 * 1000 }, NULL);
	}
	return true;
}

/* A recorded tid that somebody has now, 0: none. */
static int32_t ids_taken(const struct snap *snap)
{
	for (size_t p = 0; p < snap->nr_procs; p++)
		for (size_t t = 0; t < snap->procs[p].nr_tasks; t++)
			if (is_taken(snap->procs[p].tasks[t].tid))
				return snap->procs[p].tasks[t].tid;
	return 0;
}

int ids_choose(struct job *job, struct err *err)
{
	int32_t taken;

	job->pids = job->opts->pids;
	if (job->pids == PIDS_KEEP && !job->privileged) {
		err_set(err, EPERM,
			"keeping the process ids needs the capability "
			"CAP_CHECKPOINT_RESTORE");
		return err_hint(err, "use --pids=ns or --pids=new, or restore as root");
	}
	if (job->pids != PIDS_AUTO)
		return 0;
	taken = job->privileged ? ids_taken(job->snap) : 0;
	job->pids = job->privileged && !taken ? PIDS_KEEP : PIDS_NS;
	if (taken)
		log_info("process ids: a namespace of its own, since %d is in use", taken);
	else if (!job->privileged)
		log_info("process ids: a namespace of its own, since choosing ids is not permitted "
			 "here");
	else
		log_info("process ids: kept");
	return 0;
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
