#ifndef RESTORE_ORPHAN_H
#define RESTORE_ORPHAN_H

#include <sys/types.h>

struct err;
struct job;

/*
 * A process that asked for a signal when its parent ends (PR_SET_PDEATHSIG) must not be our child
 * where we end before it does (--detach). So another process of ours makes it, and ends: from then
 * on it is init's child, or of whoever reaps for us. Until we trace it, it waits at job->gate.
 */

/* job->orphan, if that is wanted. */
int orphan_begin(struct job *job, struct err *err);
/* In its maker, which ends then: job->pid with id want or any, or job->child_err. */
void orphan_make(struct job *job, pid_t want);
/* The same in a maker of its own. */
int orphan_spawn(struct job *job, struct err *err);
/* The maker ends, and is not reaped here: trace what it left, and have that begin. */
int orphan_take(struct job *job, pid_t maker, struct err *err);

/* Trace the first process job->pid, which waits at job->gate, and have it begin. */
int gate_open(struct job *job, struct err *err);

#endif
