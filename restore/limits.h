#ifndef RESTORE_LIMITS_H
#define RESTORE_LIMITS_H

struct err;
struct job;

/* Resource limits that differ from the new process's: steps of the leader, before credentials go.
 */
int limits_plan(struct job *job, struct err *err);

#endif
