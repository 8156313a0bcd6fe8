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

static bool sched_is_ours(const struct snap_sched *s)
{
	int ours = sched_getscheduler(0);

	return ours == SCHED_OTHER && s->policy == SCHED_OTHER && !s->flags && !s->util_min &&
	       (!s->util_max || s->util_max == 1024) && s->nice == getpriority(PRIO_PROCESS, 0);
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
