#ifndef RESTORE_HANDOVER_H
#define RESTORE_HANDOVER_H

/*
 * From the exec of the program to the moment it runs on as recorded: the blob goes in, does its
 * plan, pages are filled, threads get their registers, the blob goes out. Traced all along, with
 * EXITKILL, so that nothing half-made outlives a failure.
 */

struct err;
struct job;

/* job->pid has been spawned and is about to exec. On success it runs, untraced; else it is dead. */
int handover_run(struct job *job, struct err *err);

#endif
