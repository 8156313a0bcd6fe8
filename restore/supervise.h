#ifndef RESTORE_SUPERVISE_H
#define RESTORE_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Stand in for a child until it ends: signals sent to us go to it, its stops are ours, and
 * the terminal is the caller's again meanwhile. Returns what to exit with (128+N for
 * signals). As the init of a pid namespace it reaps whatever else dies there.
 */
struct err;
struct terminal;

/* Before the child is made: hold back the signals that are to be forwarded. */
void supervise_prepare(void);
struct supervised {
	pid_t child;
	bool own_group;            /* the child leads it */
	struct terminal *terminal; /* lent to it; NULL: we are the init of a namespace */
	int stops;    /* between us and such an init: word of stops, and that it goes on; or -1 */
	uint8_t turn; /* how often it was to go on; a stop from before that is over */
};

int supervise(struct supervised *s, int *status, struct err *err);

#endif
