#ifndef RESTORE_CTTY_H
#define RESTORE_CTTY_H

/*
 * Controlling terminals whose both ends are in the dump. A session gets its terminal through its
 * leader, and processes get it from who forks them: so it has to be there before the leader has
 * children in its session.
 */

struct err;
struct job;
struct tree;

/* In the leader's name, parked: take the recorded terminal. Of others, and without one: nothing. */
int ctty_take(const struct job *job, struct err *err);
/*
 * When all groups are there: which one is in the foreground, of the terminal of each session; and
 * those of the session that do not have it (any more) give it up.
 */
int ctty_finish(struct tree *tree, struct err *err);

#endif
