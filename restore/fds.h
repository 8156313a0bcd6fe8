#ifndef RESTORE_FDS_H
#define RESTORE_FDS_H

/* The descriptor table of the target, built in the child before its exec. */

struct err;
struct job;

/* First number above every slot of the target; and room for it under RLIMIT_NOFILE. */
int fds_top(const struct job *job);
/* In the child: every descriptor in its slot, without O_CLOEXEC, linked and locked. */
int fds_make(struct job *job, struct err *err);
/* Close-on-exec flags, and the descriptors of ours that came through the exec: steps of the leader. */
void fds_plan(struct job *job);

#endif
