#ifndef RESTORE_MODES_H
#define RESTORE_MODES_H

#include <stddef.h>
#include <sys/types.h>

/* What a thread may have set for itself and few do: the time stamp counter, memory failures, NUMA
 * policy, syscall user dispatch. */
struct err;
struct job;
struct snap_task;

/* Steps of a thread. */
void modes_plan(struct job *job, size_t thread);
/* From outside, when the blob is gone: what would catch the blob's own system calls. */
int modes_finish(const struct snap_task *task, pid_t tid, struct err *err);

#endif
