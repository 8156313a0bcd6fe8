#ifndef RESTORE_IPC_H
#define RESTORE_IPC_H

/*
 * System V semaphores and message queues: made again with their ids where they are gone, left alone
 * where they still are; in a namespace of their own, where they came from one.
 */
struct err;
struct job;

/* Before the namespace is used: a new one, if the program had its own. */
int ipc_enter_own(struct job *job, struct err *err);
/* Before there are processes. */
int ipc_make(struct job *job, struct err *err);
/* After a failure: remove what was made. */
void ipc_undo(struct job *job);
/* Steps of the leader: what the process owes to semaphores is owed again. */
void ipc_plan(struct job *job);

#endif
