#ifndef RESTORE_TREE_BIRTH_H
#define RESTORE_TREE_BIRTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "images/snap.h"

/*
 * How one process comes into being in the right family, session and group (setsid(2), setpgid(2)).
 * A session is entered by birth only, and a group must have been founded by somebody with its id.
 * So where a leader has ended before the dump, a helper with its id founds session or group, makes
 * the process, and ends; its remains are waited for at last.
 */

struct err;
struct job;
struct tree;

enum { SESSION_ANY = -1, SESSION_CALLERS = 0 };

/* Is process i that one, or a descendant of it? */
bool tree_is_below(const struct snap *snap, uint32_t i, uint32_t above);
/* Process i must be born before its parent makes its own session. */
bool birth_is_early(const struct snap *snap, uint32_t i);

/* The first one: a child of ours, stopped in its exec. */
int birth_first(struct tree *tree, struct err *err);
/* Any other: a copy of *maker, stopped in the blob. */
int birth_other(struct tree *tree, uint32_t i, struct job **maker, struct err *err);
/* The group of an ended leader, in the session of member, until birth_reap(). */
int birth_group(struct tree *tree, struct job *member, int32_t group, struct err *err);
/* When all are there: groups; then nobody needs the helpers any more. */
int birth_groups(struct tree *tree, struct err *err);
int birth_reap(struct tree *tree, struct err *err);

#endif
