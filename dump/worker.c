/* A dump in a child of its own; see worker.h. */
#include "dump/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "dump/dump.h"
#include "images/image.h"

enum { PROGRESS_MS = 250 };

struct report {
	int ret;
	struct dump_result result;
	struct err err;
};

static _Noreturn void worker_main(worker_fn *work, const struct dump_opts *opts,
	const struct stop_requests *stop, pid_t parent, int channel)
{
	struct report report = { 0 };

	/* SIGTERM is held back and looked for: interrupt.h. The parent may be gone already. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent && getppid() != 0 /* in another pid namespace */)
		_exit(1);
	report.ret = work(opts, stop, &report.result, &report.err);
	fflush(NULL);
	/* Nobody may be there to hear it: MSG_NOSIGNAL, and no use for an answer. */
	_exit(send(channel, &report, sizeof report, MSG_NOSIGNAL) == sizeof report ? 0 : 1);
}

/* Until the worker has spoken or hung up; who asks us to stop, asks it. */
static void worker_watch(
	pid_t worker, const struct dump_opts *opts, const struct stop_requests *stop, int channel)
{
	OWNED_FD signals = signalfd(-1, &stop->watched, SFD_CLOEXEC);
	struct pollfd fds[2] = {
		{ .fd = channel, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};

	while (!fds[0].revents) {
		if (poll(fds, 2, opts->progress ? PROGRESS_MS : -1) < 0 && errno != EINTR)
			return;
		/* Also while the worker itself waits, for a disk. */
		progress_tick(opts->progress);
		if (fds[1].revents) {
			kill(worker, SIGTERM);
			fds[1].fd = -1; /* the signal stays pending for us, too */
			fds[1].revents = 0;
		}
	}
}

/* It could not clean up any more. */
static int worker_died(const struct dump_opts *opts, int status, struct err *err)
{
	image_writer_clean(opts->image);
	if (WIFSIGNALED(status))
		err_set(err, EIO, "the dump was killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == MEMORY_NONE)
		return err_nomem(err);
	else
		err_set(err, EIO, "the dump ended without a word, status %d", WEXITSTATUS(status));
	return err_hint(err, "if that was not you, please report it");
}

static int worker_wait(pid_t worker, const struct dump_opts *opts, int channel,
	struct dump_result *result, struct err *err)
{
	struct report report;
	ssize_t n = recv(channel, &report, sizeof report, MSG_WAITALL);
	int status = 0;

	while (waitpid(worker, &status, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof report)
		return worker_died(opts, status, err);
	*result = report.result;
	if (report.ret < 0 && err)
		*err = report.err;
	return report.ret;
}

int worker_run(
	worker_fn *work, const struct dump_opts *opts, struct dump_result *result, struct err *err)
{
	struct stop_requests stop;
	pid_t parent = getpid(), worker;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	fflush(NULL);
	stop_requests_begin(&stop);
	worker = fork();
	if (worker == 0) {
		close(pair[0]);
		worker_main(work, opts, &stop, parent, pair[1]);
	}
	close(pair[1]);
	if (worker < 0) {
		ret = err_sys(err, "make a process for the dump");
		if (ret == -EAGAIN)
			err_hint(err, "there are too many processes: of this user (ulimit -u), or "
				      "in this cgroup (pids.max)");
	} else {
		worker_watch(worker, opts, &stop, pair[0]);
		ret = worker_wait(worker, opts, pair[0], result, err);
	}
	close(pair[0]);
	stop_requests_end(&stop);
	return ret;
}
