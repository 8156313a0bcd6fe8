#ifndef RESTORE_TREE_H
#define RESTORE_TREE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The processes of an image. The first one is a child of ours; each other one is made by its own
 * parent, which is parked with its memory filled, by a system call in its name. Whoever has the
 * same program at the same place as its maker keeps the copy of its memory, so that pages stay
 * shared by copy on write; others execute their program. When all are there, groups are joined,
 * each does the rest of its plan, and all are let go.
 */

struct err;
struct job;
struct snap_proc;

/* All processes run on success; on failure none is left. job is that of the first one. */
int tree_make(struct job *job, struct err *err);
/* Is it the leader of a session of its own, as opposed to the launcher's? */
bool tree_leads_session(const struct snap_proc *proc);
/* The group it has to be in; 0: the launcher's. */
int32_t tree_group_of(const struct snap_proc *proc);

#endif
