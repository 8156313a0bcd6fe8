#ifndef DUMP_UNTIL_SCRUB_H
#define DUMP_UNTIL_SCRUB_H

#include <stddef.h>

/*
 * A variable that was put into the environment of the program for the dump alone must not be found
 * by what is restored: it would name a socket that is gone, and that somebody else may have by
 * then. In the environment block of each process it becomes "SNAPCTL_PAST=----", of the same
 * length, so that getenv(NAME) finds nothing and /proc/PID/environ stays well-formed.
 */

struct err;
struct tracer;

/* Every NAME=VALUE with exactly this value; the tree is frozen. */
int scrub_env(struct tracer *tr, const char *name, const char *value, struct err *err);
/*
 * The same wherever else it is in private memory: who shows a title in ps keeps a copy of its
 * environment, and interpreters have it in tables. The end of the value is secret[secret_len];
 * where only that is found, `instead` takes its place.
 */
int scrub_copies(struct tracer *tr, const char *name, const char *value, size_t secret_len,
	const char *instead, struct err *err);

#endif
