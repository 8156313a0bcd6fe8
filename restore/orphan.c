/* A first process that is not our child; see orphan.h. */
#include "restore/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "restore/child.h"
#include "restore/job.h"
#include "restore/spawn.h"
#include "restore/stops.h"

struct orphan {
	pid_t tracer; /* we */
	int gate[2];  /* it waits for a word from us */
	int ready[2]; /* its maker for one from it: of those who share memory only one may work */
};

static bool asks_for_signal(const struct snap_proc *proc)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (proc->tasks[i].pdeath_signal)
			return true;
	return false;
}

/* ---- the process and its maker ----------------------------------------------------------------
 */

static void orphan_run(void *arg)
{
	struct job *job = arg;
	const struct orphan *o = job->orphan;
	const int gate =
		o->gate[0]; /* from the word on, that is snapctl's again, which closes it */
	char byte = 0;

	close(o->gate[1]);
	/* Yama lets nobody but ancestors trace, unless asked; where there is no Yama, this fails.
	 */
	prctl(PR_SET_PTRACER, o->tracer);
	if (write(o->ready[1], &byte, 1) == 1 && read(gate, &byte, 1) == 1)
		child_run(job);
	_exit(125);
}

void orphan_make(struct job *job, pid_t want)
{
	struct err *err = &job->child_err;
	char byte;

	if (spawn_beside(want, orphan_run, job, &job->pid, err) < 0)
		return;
	close(job->orphan->ready[1]);
	if (read(job->orphan->ready[0], &byte, 1) != 1)
		err_set(err, ECHILD, "process %d ended before it began", job->pid);
}

static void maker_run(void *arg)
{
	struct job *job = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	orphan_make(job, job->pids == PIDS_NEW ? 0 : job->proc->pid);
	_exit(0);
}

/* ---- we ---------------------------------------------------------------------------------------
 */

int orphan_begin(struct job *job, struct err *err)
{
	struct orphan *o;

	/* An init of ours does not end before the program does. */
	if (!job->opts->detach || job->pids == PIDS_NS || !asks_for_signal(job->proc))
		return 0;
	o = arena_array(job->snap->arena, 1, sizeof *o);
	o->tracer = getpid();
	if (pipe2(o->gate, O_CLOEXEC) < 0 || pipe2(o->ready, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	job->orphan = o;
	job->gate = o->gate[1];
	return 0;
}

int orphan_spawn(struct job *job, struct err *err)
{
	pid_t maker;
	int pidfd, ret;

	if (spawn(0, 0, maker_run, job, &maker, &pidfd, err) < 0)
		return -err->code;
	close(pidfd);
	ret = orphan_take(job, maker, err);
	waitpid(maker, NULL, 0);
	return ret;
}

int orphan_take(struct job *job, pid_t maker, struct err *err)
{
	siginfo_t info;

	fd_close(&job->orphan->gate[0]);
	fd_close(&job->orphan->ready[0]);
	fd_close(&job->orphan->ready[1]);
	/* What it made is its child until it has ended. */
	while (waitid(P_PID, (id_t)maker, &info, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the maker of process %d", job->pid);
	if (job->child_err.code) {
		*err = job->child_err;
		return -err->code;
	}
	return gate_open(job, err);
}

int gate_open(struct job *job, struct err *err)
{
	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	if (job->pidfd < 0)
		return err_sys(err, "pidfd_open");
	if (ptrace(PTRACE_ATTACH, job->pid, 0, 0) < 0)
		return err_sys(err, "trace process %d", job->pid);
	if (stops_wait(job, job->pid, SIGSTOP, err) < 0)
		return -err->code;
	if (ptrace(PTRACE_SETOPTIONS, job->pid, 0, PTRACE_O_EXITKILL) < 0)
		return err_sys(err, "ptrace options of the new process");
	if (stops_continue(job->pid, err) < 0)
		return -err->code;
	return write(job->gate, "", 1) == 1 ? 0 : err_sys(err, "wake process %d", job->pid);
}
