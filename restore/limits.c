/* Resource limits as steps; see limits.h. */
#include "restore/limits.h"

#include <errno.h>
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

int limits_plan(struct job *job, struct err *err)
{
	for (int i = 0; i < SNAP_NR_RLIMITS; i++) {
		const struct snap_rlimit *want = &job->proc->rlimits[i];
		struct rlimit have;

		if (prlimit(job->pid, (enum __rlimit_resource)i, NULL, &have) < 0)
			return err_sys(err, "limit %s of process %d", limit_names[i], job->pid);
		if (have.rlim_cur == want->cur && have.rlim_max == want->max)
			continue;
		if (have.rlim_max < want->max && !may_raise(job)) {
			err_set(err, EPERM,
				"the program had a hard limit of %llu for %s, here it is %llu",
				(unsigned long long)want->max, limit_names[i],
				(unsigned long long)have.rlim_max);
			return err_hint(err,
				"raise the hard limit before the restore (ulimit -H, prlimit)");
		}
		limit_plan(job, i, want, want->cur < have.rlim_cur);
	}
	return 0;
}
