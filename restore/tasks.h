#ifndef RESTORE_TASKS_H
#define RESTORE_TASKS_H

#include <stddef.h>
#include <stdint.h>

/* What each thread does for itself before it gets its registers; and what the process has as a
 * whole. */

struct err;
struct job;

/* All steps behind the filling of pages, for every thread. job->plan has the steps before. */
int tasks_plan(struct job *job, struct err *err);
/* The tid that a recorded one has now, 0: not known before the blob runs. */
int32_t tasks_tid_now(const struct job *job, int32_t recorded);
/* Index of a recorded tid in proc->tasks, -1: none. */
long tasks_index(const struct job *job, int32_t tid);

#endif
