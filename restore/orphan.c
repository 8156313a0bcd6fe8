/* A first process whose parent has ended already; see orphan.h. */
#include "restore/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "restore/child.h"
#include "restore/job.h"
#include "restore/spawn.h"

/* Of three processes, which share our memory. */
struct orphan {
	struct job *job;
	pid_t want, tracer, pid;
	int gate[2];
	struct err err;
};

bool orphan_wanted(const struct job *job)
{
	for (size_t i = 0; job->opts->detach && i < job->proc->nr_tasks; i++)
		if (job->proc->tasks[i].pdeath_signal)
			return true;
	return false;
}

static void orphan_run(void *arg)
{
	struct orphan *orphan = arg;
	char byte;

	close(orphan->gate[1]);
	/* Yama lets ancestors trace, which we have none of. */
	prctl(PR_SET_PTRACER, (unsigned long)orphan->tracer, 0, 0, 0);
	if (read(orphan->gate[0], &byte, 1) == 1)
		child_run(orphan->job);
	_exit(125);
}

static void founder_run(void *arg)
{
	struct orphan *orphan = arg;

	spawn_beside(orphan->want, orphan_run, orphan, &orphan->pid, &orphan->err);
	_exit(0);
}

int orphan_spawn(struct job *job, pid_t want, struct err *err)
{
	/* It outlives this call. */
	struct orphan *orphan = arena_alloc(job->snap->arena, sizeof *orphan);
	pid_t founder;
	int pidfd = -1;

	*orphan = (struct orphan){ .job = job, .want = want, .tracer = getpid() };
	if (pipe2(orphan->gate, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	job->gate = orphan->gate[1];
	if (spawn(0, 0, founder_run, orphan, &founder, &pidfd, err) < 0)
		return -err->code;
	close(pidfd);
	close(orphan->gate[0]);
	while (waitpid(founder, NULL, __WALL) < 0 && errno == EINTR)
		;
	job->pid = orphan->pid;
	if (!job->pid)
		*err = orphan->err;
	return job->pid ? 0 : -err->code;
}
