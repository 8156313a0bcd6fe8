#ifndef RESTORE_LIMITS_H
#define RESTORE_LIMITS_H

struct err;
struct job;

/*
 * Resource limits that differ from the new process's: steps of the leader, when all threads have
 * been made, but before credentials go.
 */
int limits_plan(struct job *job, struct err *err);
/* When all threads have parked: what would have stood in their way. */
int limits_finish(struct job *job, struct err *err);

#endif
