#ifndef RESTORE_UNSHARED_H
#define RESTORE_UNSHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Threads with a descriptor table, or directories and umask, that the first one does not have.
 * Threads that share them among each other are made by each other (images/makers.h).
 */

struct err;
struct job;

/* In the first child: descriptors of those directories, out of all slots. */
int unshared_open(struct job *job, struct err *err);
/* Is this descriptor needed by threads of the process, after its own table is in place? */
bool unshared_keeps(const struct job *job, uint32_t file);
/* The first thread makes the others, and closes what stood ready for them. */
void unshared_plan_first(struct job *job);
/* The first steps of any other thread: those that it makes, and its own table and directories. */
void unshared_plan(struct job *job, size_t thread);

#endif
