#ifndef RESTORE_IDS_H
#define RESTORE_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* Which process ids the restored program gets (DESIGN D9). */

struct err;
struct job;
struct snap;

/* Turn what the user asked for (auto) into keep, ns or new: job->pids. */
int ids_choose(struct job *job, struct err *err);
/* Did a restore fail with ret because ids are not ours to choose? */
bool ids_refused(const struct job *job, int ret);
/* For --pids=auto: ns was not to be had. Fall back to new, or an error. */
int ids_fallback(struct job *job, struct err *err);
/* The highest id of a process or thread of the image. */
int32_t ids_highest(const struct snap *snap);

#endif
