#ifndef RESTORE_ZOMBIE_H
#define RESTORE_ZOMBIE_H

#include <stdint.h>

/*
 * Processes that have ended and were not waited for: each is made by its parent, gets its name and
 * group, and ends as it had ended. One that led a session founds it for those that are still in it.
 */

struct err;
struct job;
struct snap;
struct snap_zombie;
struct tree;

/* wait(2) gives the eldest first: those born before the child that is the elder'th of its parent.
 */
int zombies_make_elder(struct tree *tree, uint32_t parent, uint32_t elder, struct err *err);
/* All that are not made yet; when all living ones are there. */
int zombies_make(struct tree *tree, struct err *err);

/* The ended leader of this session, if maker has to wait for it. NULL: there is none. */
const struct snap_zombie *zombie_founder_of(
	const struct snap *snap, const struct job *maker, int32_t session);
/* made has its id and has done what a founder does: it ends as that one had. */
int zombie_found_end(
	struct tree *tree, struct job *made, const struct snap_zombie *zombie, struct err *err);

#endif
