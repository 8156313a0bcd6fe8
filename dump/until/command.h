#ifndef DUMP_UNTIL_COMMAND_H
#define DUMP_UNTIL_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A shell command of the user's that runs beside the program, outside its tree: probes and
 * warm-ups. It is a process group of its own and ends when we do. SNAPCTL_PID names the program.
 */

struct err;

struct command {
	pid_t pid; /* 0: none */
};

/* /bin/sh -c text, without standard input; `silent` without standard output and error. */
int command_start(struct command *c, const char *text, pid_t program, bool silent, struct err *err);
/* 1 and its wait status when it has ended, 0 while it runs. */
int command_poll(struct command *c, int *status, struct err *err);
/* Kill what is left of it. */
void command_stop(struct command *c);

#endif
