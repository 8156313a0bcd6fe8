/* Starting the program, or taking hold of a running one; see launch.h. */
#include "dump/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "dump/ask.h"
#include "dump/dumping.h"
#include "dump/runnable.h"
#include "dump/tree.h"
#include "dump/until/until.h"
#include "tracee/access.h"

int launch_note_fds(struct dumping *d, struct err *err)
{
	struct arena *a = d->snap->arena;
	OWNED_FD self = -1;
	int *nums, ret;
	size_t nr;

	ret = proc_open(getpid(), &self, err);
	if (!ret)
		ret = proc_fds(self, a, &nums, &nr, err);
	if (ret < 0)
		return ret;
	d->own_fds = arena_array(a, nr, sizeof *d->own_fds);
	for (size_t i = 0; i < nr; i++) {
		int flags = fcntl(nums[i], F_GETFD);

		if (flags >= 0 && !(flags & FD_CLOEXEC))
			d->own_fds[d->nr_own_fds++] = nums[i];
	}
	return 0;
}

/* It has inherited our mask, in which the requests to stop are held back. */
static int launch_give_mask(const struct dumping *d, struct err *err)
{
	uint64_t mask;

	memcpy(&mask, &d->stop->before, sizeof mask);
	return thread_set_sigmask(d->target->pid, mask, err);
}

static int launch_program(struct dumping *d, struct err *err)
{
	struct tracee_launch what = { .argv = d->opts->argv };
	int ret;

	until_launch(d->until, &what);
	ret = runnable_check(what.argv[0], err);
	if (!ret)
		ret = tracee_launch(d->tracer, &what, &d->target, err);
	d->result->not_launched = runnable_is_to_blame(ret);
	if (d->result->not_launched)
		runnable_explain(what.argv[0], err);
	if (ret < 0)
		return ret;
	log_info("launched %s as process %d", d->opts->argv[0], d->target->pid);
	ret = launch_give_mask(d, err);
	return ret < 0 ? ret : tracer_thaw(d->tracer, err);
}

int launch_start(struct dumping *d, struct err *err)
{
	int ret = until_create(d, &d->until, err);

	if (!ret)
		ret = launch_program(d, err);
	if (!ret)
		ret = until_wait(d->until, err);
	if (!ret)
		ret = until_warm_up(d->until, err);
	if (!ret)
		ret = tracer_freeze(d->tracer, err);
	return ret < 0 ? ret : until_undo(d->until, err);
}

int launch_attach(struct dumping *d, struct err *err)
{
	int ret = d->opts->ask ? ask_begin(d, err) : 0;

	if (!ret)
		ret = access_check(d->opts->pid, err);
	if (!ret)
		ret = tracee_seize(d->tracer, d->opts->pid, &d->target, err);
	if (!ret)
		ret = tree_seize(d, err);
	if (!ret && d->opts->ask)
		ret = ask_check(d, err);
	d->reason = d->opts->ask ? "asked for" : "as found";
	return ret < 0 ? ret : 0;
}
