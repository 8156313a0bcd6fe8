#ifndef RESTORE_SCHED_H
#define RESTORE_SCHED_H

#include <stddef.h>

struct job;

/* Policy, priority, nice, affinity, io priority of a thread, where they differ from snapctl's own.
 */
void sched_plan(struct job *job, size_t thread);

#endif
