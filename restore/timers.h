#ifndef RESTORE_TIMERS_H
#define RESTORE_TIMERS_H

struct err;
struct job;

/* Interval and POSIX timers: among the last steps of the leader, since they begin to run here. */
int timers_plan(struct job *job, struct err *err);
/* After the blob: has every POSIX timer its recorded id? */
int timers_check(const struct job *job, struct err *err);

#endif
