#ifndef RESTORE_STOPPABLE_H
#define RESTORE_STOPPABLE_H

/*
 * SIGTSTP, SIGTTIN and SIGTTOU stop nobody in an orphaned process group (setpgid(2),
 * will_become_orphaned_pgrp() in kernel/exit.c), which a detached restore makes of many. For the
 * moment of the stop, a pair of helpers makes it none: the younger is in the group, and the elder,
 * its parent, in another one of the same session.
 */

struct err;
struct job;
struct tree;

/* Which signal will stop each process (job->stop_signal), and pairs where they are needed. All
 * processes are in their groups, and no thread has its credentials yet. */
int stoppable_prepare(struct tree *tree, struct err *err);
/* It has stopped: the pair ends, and parent, which is parked, has waited for it. */
int stoppable_finish(struct job *job, const struct job *parent, struct err *err);

#endif
