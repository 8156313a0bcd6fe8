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

enum { SESSION_ANY = -1, SESSION_CALLERS = 0 };

struct helper {
	struct job *parent; /* who has to wait for it; NULL: we */
	pid_t vpid;         /* as the parent sees it */
};

struct tree {
	struct snap *snap;
	struct job **jobs; /* by snap_proc, [0] is the caller's; NULL: not made yet */
	struct helper *helpers;
	size_t nr_helpers, cap_helpers;
	pid_t *founders; /* ended ones that were made early, to found a session */
	size_t nr_founders, cap_founders;
	pid_t *pids; /* all that were made, by our view, to be killed after a failure */
	size_t nr_pids, cap_pids;
	bool *zombie_made; /* by snap_zombie */
};

/* The session in which process i has to be born. */
int32_t birth_session(const struct snap *snap, uint32_t i);
/* Process i must be born before its parent makes its own session. */
bool birth_is_early(const struct snap *snap, uint32_t i);

/* The first one: a child of ours, stopped in its exec. */
int birth_first(struct tree *tree, struct err *err);
/* Any other: a copy of *maker, stopped in the blob. */
int birth_other(struct tree *tree, uint32_t i, struct job **maker, struct err *err);
/* An ended one, with the status it has to have. */
int birth_zombie(struct tree *tree, const struct snap_zombie *zombie, struct err *err);

/* Room for a few words at a place that a parked process, or a copy of it, does not use. */
uint64_t birth_scratch(const struct job *parked);

/* When all are there: groups; then nobody needs the helpers any more. */
int birth_groups(struct tree *tree, struct err *err);
int birth_reap(struct tree *tree, struct err *err);

#endif
