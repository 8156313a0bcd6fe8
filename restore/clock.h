#ifndef RESTORE_CLOCK_H
#define RESTORE_CLOCK_H

/*
 * CLOCK_MONOTONIC must not go backwards for the program (after a reboot, or on another machine):
 * then the new process gets a time namespace (time_namespaces(7)), where that is permitted; else it
 * is told.
 */
struct err;
struct job;
int clock_prepare(struct job *job, struct err *err);

#endif
