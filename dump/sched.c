/* Scheduling of one thread: policy, nice, I/O priority, CPUs; all of it can be asked from outside.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "dump/dumping.h"

enum { IOPRIO_WHO_PROCESS = 1, AFFINITY_BYTES = 1024 };

/* include/uapi/linux/sched/types.h; glibc has it from 2.41 on. */
struct sched_attr_kernel {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static int sched_attr_collect(pid_t tid, struct snap_sched *out, struct err *err)
{
	struct sched_attr_kernel attr = { .size = sizeof attr };

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0) < 0)
		return err_sys(err, "thread %d: sched_getattr", tid);
	out->policy = attr.policy;
	out->priority = attr.priority;
	out->nice = getpriority(PRIO_PROCESS, (id_t)tid); /* of all policies, unlike attr.nice */
	out->flags = attr.flags;
	out->runtime = attr.runtime;
	out->deadline = attr.deadline;
	out->period = attr.period;
	out->util_min = attr.util_min;
	out->util_max = attr.util_max;
	return 0;
}

static size_t count_cpus(const uint8_t *bits, size_t len)
{
	size_t nr = 0;

	for (size_t i = 0; i < len; i++)
		nr += (size_t)__builtin_popcount(bits[i]);
	return nr;
}

static int affinity_collect(struct snap *snap, pid_t tid, struct snap_sched *out, struct err *err)
{
	uint8_t bits[AFFINITY_BYTES] = { 0 };
	long len = syscall(SYS_sched_getaffinity, tid, sizeof bits, bits);
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (len < 0)
		return err_sys(err, "thread %d: sched_getaffinity", tid);
	if (online > 0 && count_cpus(bits, (size_t)len) >= (size_t)online)
		return 0;
	out->affinity = arena_copy(snap->arena, bits, (size_t)len);
	out->nr_affinity = (size_t)len;
	return 0;
}

int sched_collect(struct dumping_proc *p, pid_t tid, struct snap_sched *out, struct err *err)
{
	long ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
	int ret;

	if (ioprio < 0)
		return err_sys(err, "thread %d: ioprio_get", tid);
	out->ioprio = (uint32_t)ioprio;
	ret = sched_attr_collect(tid, out, err);
	if (ret < 0)
		return ret;
	return affinity_collect(p->d->snap, tid, out, err);
}
