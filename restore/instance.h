#ifndef RESTORE_INSTANCE_H
#define RESTORE_INSTANCE_H

/*
 * What a program that has checked in through libsnapctl is told about this restore: an id that no
 * other has, --setenv, and the arguments behind "--". See lib/protocol.h.
 */

struct err;
struct job;

/* Before anything is made: is there somebody to hear it, and room? Chooses the id. */
int instance_prepare(struct job *job, struct err *err);
/* job->pid stands before its first instruction. */
int instance_tell(struct job *job, struct err *err);

#endif
