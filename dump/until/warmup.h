#ifndef DUMP_UNTIL_WARMUP_H
#define DUMP_UNTIL_WARMUP_H

#include <sys/types.h>

struct err;

/*
 * dump --warmup: run a shell command to its end while turn() looks after the tree. It has to
 * succeed: a warm-up that did not happen would be missed only in production.
 */
int warmup_run(const char *text, pid_t program, int (*turn)(void *arg, struct err *err), void *arg,
	struct err *err);

#endif
