#ifndef RESTORE_TIMERS_H
#define RESTORE_TIMERS_H

#include <stdbool.h>

struct err;
struct job;
struct snap_proc;
struct snap_siginfo;

/* Interval and POSIX timers: among the last steps of the leader, since they begin to run here. */
int timers_plan(struct job *job, struct err *err);
/* After the blob: has every POSIX timer its recorded id? */
int timers_check(const struct job *job, struct err *err);

/*
 * A pending signal that its timer is to send again, by expiring at once, instead of being queued:
 * only so does the kernel count the overruns until the signal is taken.
 */
bool timers_fire(const struct snap_proc *proc, const struct snap_siginfo *info);

#endif
