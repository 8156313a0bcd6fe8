/* Resource limits, from /proc/PID/limits: prlimit(2) on a task of another uid needs
 * CAP_SYS_RESOURCE. */
#include "base/arena.h"
#include "dump/dumping.h"

int limits_collect(struct dumping_proc *p, struct err *err)
{
	struct snap_proc *proc = dumping_snap_proc(p);
	struct proc_limit limits[SNAP_NR_RLIMITS];
	struct arena *a = arena_create();
	int ret = proc_limits(p->t->procfd, a, limits, err);

	arena_destroy(a);
	if (ret < 0)
		return ret;
	for (int i = 0; i < SNAP_NR_RLIMITS; i++)
		proc->rlimits[i] = (struct snap_rlimit){ limits[i].cur, limits[i].max };
	return 0;
}
