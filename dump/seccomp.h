#ifndef DUMP_SECCOMP_H
#define DUMP_SECCOMP_H

/*
 * Seccomp, which each thread has for itself. Filters that snapctl is under as well (a container's)
 * are the caller's, before and after; the one with which it waited for a system call is nobody's.
 */

struct dumping;
struct dumping_proc;
struct err;
struct proc_status;
struct snap_task;

/* 0, or -ENOTSUP where the thread with this status has what we may not read. The words want a name
 * in front. */
int seccomp_check_thread(
	const struct dumping *d, const struct proc_status *status, struct err *err);
/* Of a frozen thread. -ENOTSUP where something outside decides about its calls (user notification).
 */
int seccomp_collect(struct dumping_proc *p, int tid, const struct proc_status *status,
	struct snap_task *task, struct err *err);

#endif
