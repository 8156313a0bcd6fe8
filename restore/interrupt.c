/* Requests to give up a restore; see interrupt.h. */
#include "restore/interrupt.h"

#include <errno.h>
#include <sys/socket.h>

#include "images/fd/kinds.h"
#include "restore/job.h"

/* Are there to be things that outlive whoever makes them? */
static bool some_outlive(const struct snap *snap)
{
	if (snap->nr_sem_sets || snap->nr_queues)
		return true;
	for (uint32_t i = 0; i < snap->nr_files; i++)
		if (snap->files[i].deleted || snap->files[i].mem != ID_NONE)
			return true;
	for (uint32_t i = 0; i < snap->nr_mems; i++)
		if (snap->mems[i].kind == MEM_SYSV)
			return true;
	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (snap->ofds[i].kind == &fd_mqueue || snap->ofds[i].kind == &fd_inotify)
			return true;
	return false;
}

/* For ever: once the program runs, the restore has been done, whatever comes in. */
void interrupt_hold(struct job *job)
{
	job->requests_held = some_outlive(job->snap);
	if (job->requests_held)
		stop_requests_begin(&job->requests);
}

int interrupt_asked(const struct job *job, struct err *err)
{
	char byte;

	/* Killed: nobody would know of the program, or of a second one that runs instead. */
	if (job->caller >= 0 && recv(job->caller, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		return err_set(err, ECANCELED, "who asked for the restore has ended");
	return job->requests_held ? stop_requested(&job->requests, err) : 0;
}
