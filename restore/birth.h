#ifndef RESTORE_BIRTH_H
#define RESTORE_BIRTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What all births of a tree have in common: a clone3 in the name of a parked process, with the id
 * that the new one has to have. A helper is a process that does nothing but found a session, a
 * group or a family, and ends.
 */

struct err;
struct job;
struct snap;
struct stages;

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
	bool *zombie_made;      /* by snap_zombie */
	struct stages **stages; /* by snap_proc, see stages.h; NULL, or NULL in it: none */
};

/* By our own id: to be killed after a failure. */
void birth_note(struct tree *tree, pid_t pid);
/* A copy of maker, stopped in the blob; *pid is our own id for it. */
int birth_clone_id(struct tree *tree, const struct job *maker, pid_t vpid, uint64_t flags,
	int exit_signal, pid_t *pid, struct err *err);
/* To an error of it: what helps where the id was taken. */
int birth_taken(struct err *err);
/* A new process while it still has its maker's blob. */
struct job birth_copy(const struct job *maker, pid_t pid);
/* A system call in the name of such a one, or of a parked process. */
int birth_call(
	const struct job *job, long nr, uint64_t a, uint64_t b, const char *what, struct err *err);
/* Does a process, thread, group or session of the image have this id? */
bool birth_is_recorded(const struct snap *snap, int32_t id);
/* Room for a few words at a place that a parked process, or a copy of it, does not use. */
uint64_t birth_scratch(const struct job *parked);

/* One with an id that neither this image nor anybody else has. */
int helper_clone(struct tree *tree, const struct job *maker, int exit_signal, pid_t *vpid,
	pid_t *pid, struct err *err);
bool helper_is(const struct tree *tree, pid_t vpid);
/* parent has to wait for it in the end. */
void helper_note(struct tree *tree, struct job *parent, pid_t vpid);
int helper_end(struct tree *tree, struct job *parent, const struct job *helper, pid_t vpid,
	struct err *err);

#endif
