#ifndef RESTORE_XSTATE_H
#define RESTORE_XSTATE_H

struct err;
struct snap;
struct xstate_layout;

/*
 * Lay out the registers of all threads as this CPU has them: ptrace takes no other size, and
 * another place would be taken for another register. Nothing to do where the layouts are the same.
 */
int xstate_fit(struct snap *snap, const struct xstate_layout *here, struct err *err);

#endif
