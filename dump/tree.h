#ifndef DUMP_TREE_H
#define DUMP_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dump/dumping.h"

/* The processes of a dump: who belongs to it, in which order, and how they stand to each other. */

struct err;

/* Seize all descendants of what is traced; gives how many that were. Those that have ended cannot
 * be. */
int tree_seize(struct dumping *d, struct err *err);
/* Stop all of them; between a look at them and that they run, and what was not ours yet may fork.
 */
int tree_freeze(struct dumping *d, struct err *err);
/*
 * d->procs and snap->procs of all tracees, parents before children, with the ids of each; zombies,
 * too. Nothing is asked of the processes themselves, which may run.
 */
int tree_begin(struct dumping *d, struct err *err);

/* A process that is about to be gone, or is. */
bool tree_is_ending(pid_t pid);
/* After tree_begin(): do they share this? b may be ID_NONE. */
bool tree_shares(const struct dumping *d, uint32_t a, uint32_t b, enum shares what);

#endif
