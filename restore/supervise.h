#ifndef RESTORE_SUPERVISE_H
#define RESTORE_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Stand in for a child until it ends: signals sent to us go to it, its stops are ours, the
 * terminal's foreground is its if it has a group of its own. Returns what to exit with (128+N for
 * signals). As the init of a pid namespace it reaps whatever else dies there.
 */
struct err;

/* Before the child is made: hold back the signals that are to be forwarded. */
void supervise_prepare(void);
int supervise(pid_t child, bool own_group, int *status, struct err *err);

#endif
