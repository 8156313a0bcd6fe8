#ifndef RESTORE_FDS_INTERNAL_H
#define RESTORE_FDS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

/* What the files of fds.h need of each other. */

struct err;
struct job;
struct snap_fd;
struct snap_proc;

/* The slot of that number in the table of the process; NULL: it has none. */
const struct snap_fd *fds_slot(const struct snap_proc *proc, uint32_t num);
/* Does a thread with a table of its own have that ofd? */
bool fds_threads_have(const struct snap_proc *proc, uint32_t ofd);
/* Take what comes from the caller out of the way, then close all else below the parked ones. */
int fds_inherit(struct job *job, struct err *err);
/* For qsort(3) of numbers of descriptors (uint32_t). */
int fds_num_compare(const void *a, const void *b);

#endif
