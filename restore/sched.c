/* Scheduling of threads as steps; see sched.h. */
#include "restore/sched.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore/job.h"

/* linux/sched/types.h, which cannot be included beside sched.h. */
struct sched_attr_v1 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

enum { IOPRIO_WHO_PROCESS = 1 };

/* As every thread of the new process is from its birth on. */
static bool sched_is_ours(const struct snap_sched *s)
{
	struct sched_attr_v1 ours = { 0 };

	return syscall(SYS_sched_getattr, 0, &ours, sizeof ours, 0) == 0 &&
	       ours.policy == SCHED_OTHER && s->policy == SCHED_OTHER && !s->flags &&
	       !s->util_min && (!s->util_max || s->util_max == 1024) && s->nice == ours.nice &&
	       s->runtime == ours.runtime;
}

static void plan_policy(struct job *job, size_t thread, const struct snap_sched *s)
{
	struct sched_attr_v1 attr = {
		.size = sizeof attr,
		.policy = s->policy,
		.flags = s->flags,
		.nice = s->nice,
		.priority = s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
		.util_min = (uint32_t)s->util_min,
		.util_max = (uint32_t)s->util_max,
	};

	/* The policies that have no use for it keep it for later. */
	if (s->policy != SCHED_OTHER && s->policy != SCHED_BATCH &&
		s->nice != getpriority(PRIO_PROCESS, 0))
		plan_syscall(&job->plan, thread, SYS_setpriority,
			(struct plan_args){ { PRIO_PROCESS, 0, (uint64_t)(int64_t)s->nice } });
	if (!s->util_min && (!s->util_max || s->util_max == 1024))
		attr.size = offsetof(struct sched_attr_v1, util_min);
	plan_syscall(&job->plan, thread, SYS_sched_setattr,
		(struct plan_args){ { 0, plan_data(&job->plan, &attr, sizeof attr), 0 } });
}

void sched_plan(struct job *job, size_t thread)
{
	const struct snap_sched *s = &job->proc->tasks[thread].sched;

	if (s->nr_affinity)
		plan_syscall(&job->plan, thread, SYS_sched_setaffinity,
			(struct plan_args){ { 0, s->nr_affinity,
				plan_data(&job->plan, s->affinity, s->nr_affinity) } });
	if (!sched_is_ours(s))
		plan_policy(job, thread, s);
	if (s->ioprio)
		plan_syscall(&job->plan, thread, SYS_ioprio_set,
			(struct plan_args){ { IOPRIO_WHO_PROCESS, 0, s->ioprio } });
}
