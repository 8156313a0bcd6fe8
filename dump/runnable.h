#ifndef DUMP_RUNNABLE_H
#define DUMP_RUNNABLE_H

#include <stdbool.h>

/* What there is to say about a program by its file, where execve(2) has only a number or nothing.
 */

struct err;

/*
 * Before it is started: -ENOTSUP for a program that could never be dumped. Warns of one that will
 * not run with the ids or capabilities that its file gives.
 */
int runnable_check(const char *name, struct err *err);

/* Is the answer of exec (a negative errno) about the program, not about what keeps us from tracing
 * it? */
bool runnable_is_to_blame(int ret);
/* err is what exec answered: adds what to do. */
void runnable_explain(const char *name, struct err *err);

#endif
