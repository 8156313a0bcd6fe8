/* Resource limits as steps; see limits.h. */
#include "restore/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "restore/job.h"
#include "restore/stops.h"

static const char *const limit_names[SNAP_NR_RLIMITS] = {
	"cpu",
	"fsize",
	"data",
	"stack",
	"core",
	"rss",
	"nproc",
	"nofile",
	"memlock",
	"as",
	"locks",
	"sigpending",
	"msgqueue",
	"nice",
	"rtprio",
	"rttime",
};

/* Of bytes, seconds, or whatever it limits. */
static const char *limit_text(uint64_t value, char *text, size_t len)
{
	if (value == RLIM_INFINITY)
		return "unlimited";
	snprintf(text, len, "%" PRIu64, value);
	return text;
}

static int limit_refuse(int resource, uint64_t want, uint64_t have, struct err *err)
{
	char wanted[24], here[24];

	err_set(err, EPERM, "the program had a hard limit of %s for %s, here it is %s",
		limit_text(want, wanted, sizeof wanted), limit_names[resource],
		limit_text(have, here, sizeof here));
	return err_hint(err,
		"only root can raise it: restore where it is not lower (ulimit -H shows "
		"it), or as root");
}

static bool may_raise(const struct job *job)
{
	return job->creds_start.cap_effective >> CAP_SYS_RESOURCE & 1;
}

/* One step of the leader; but what is queued and the timers may exceed a smaller limit. */
static void limit_plan(struct job *job, int resource, const struct snap_rlimit *want, bool smaller)
{
	uint64_t at = plan_data(&job->plan, want, sizeof *want);

	if (resource == RLIMIT_SIGPENDING && smaller)
		job->sigpending_at = at;
	else
		plan_syscall(&job->plan, 0, SYS_prlimit64,
			(struct plan_args){ { 0, (uint64_t)resource, at, 0 } });
}

int limits_finish(struct job *job, struct err *err)
{
	struct remote call = { SYS_prlimit64, { 0, RLIMIT_SIGPENDING, job->sigpending_at, 0 } };

	return job->sigpending_at
		       ? stops_blob_syscall(job, &call, "limit of pending signals", NULL, err)
		       : 0;
}

/* The first process shows what all begin with: nobody has a limit of its own before the second part
 * of the plans. */
static int limits_at_start(struct job *job, struct err *err)
{
	struct snap_rlimit *start = arena_array(job->snap->arena, SNAP_NR_RLIMITS, sizeof *start);

	for (int i = 0; i < SNAP_NR_RLIMITS; i++) {
		struct rlimit have;

		if (prlimit(job->pid, (enum __rlimit_resource)i, NULL, &have) < 0)
			return err_sys(err, "limit %s of process %d", limit_names[i], job->pid);
		start[i] = (struct snap_rlimit){ .cur = have.rlim_cur, .max = have.rlim_max };
	}
	job->limits_start = start;
	return 0;
}

int limits_plan(struct job *job, struct err *err)
{
	if (!job->limits_start && limits_at_start(job, err) < 0)
		return -err->code;
	for (int i = 0; i < SNAP_NR_RLIMITS; i++) {
		const struct snap_rlimit *want = &job->proc->rlimits[i];
		const struct snap_rlimit *have = &job->limits_start[i];

		if (have->cur == want->cur && have->max == want->max)
			continue;
		if (have->max < want->max && !may_raise(job))
			return limit_refuse(i, want->max, have->max, err);
		limit_plan(job, i, want, want->cur < have->cur);
	}
	return 0;
}
