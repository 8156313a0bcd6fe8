#ifndef RESTORE_FDS_H
#define RESTORE_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The descriptor table of the target, built in the child before its exec. */

struct err;
struct job;

/*
 * Where descriptors of our own stand while the target's are made: above its slots where the limit
 * of open files has room there, else in the widest gap between them. Raises the soft limit if need
 * be.
 */
int fds_park(struct job *job, struct err *err);
/* In the child: every descriptor in its slot, without O_CLOEXEC, linked and locked. */
int fds_make(struct job *job, struct err *err);
/* Close-on-exec flags, and the descriptors of ours that came through the exec: steps of the leader.
 */
void fds_plan(struct job *job);
/* Does the process, or a thread with a table of its own, have that ofd? */
struct snap_proc;
bool fds_process_has(const struct snap_proc *proc, uint32_t ofd);
/* The table that a thread has for itself; it begins with a copy of the leader's. */
struct snap_thread_files;
void fds_plan_thread(struct job *job, size_t thread, const struct snap_thread_files *files);
/* When those threads have been made: what stood ready for them goes. */
void fds_plan_end(struct job *job);

#endif
