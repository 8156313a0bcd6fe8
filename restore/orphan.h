#ifndef RESTORE_ORPHAN_H
#define RESTORE_ORPHAN_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * PR_SET_PDEATHSIG of a program that is restored detached: our end shall not be the death of its
 * parent. So its first process is an orphan from birth on, whose parent is whoever reaps orphans.
 */
struct err;
struct job;

bool orphan_wanted(const struct job *job);

/* The first process, with id want unless that is 0: it waits at job->gate, in job->pid. */
int orphan_spawn(struct job *job, pid_t want, struct err *err);

#endif
