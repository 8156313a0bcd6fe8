#ifndef DUMP_ASK_H
#define DUMP_ASK_H

/*
 * dump --ask PID: a process that has called snapctl_listen() of lib/ is asked to take part: it runs
 * its hooks and lets us trace it (PR_SET_PTRACER), so that this works without root under Yama mode
 * 1. Both meet in a directory that only their user may enter (lib/place.h); whatever is not as it
 * should be there is an error, and no other way is tried.
 */

struct dumping;
struct err;

/* The process waits to be dumped now; d->area says where it wants its answer. Not yet traced. */
int ask_begin(struct dumping *d, struct err *err);
/* It is seized: is what it said true? */
int ask_check(struct dumping *d, struct err *err);

#endif
