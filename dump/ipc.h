#ifndef DUMP_IPC_H
#define DUMP_IPC_H

#include <stddef.h>
#include <stdint.h>

/*
 * System V semaphores and message queues. They belong to an IPC namespace and to no process. Of a
 * tree in a namespace of its own all of them are recorded; of one in ours those that a process of
 * the tree was the last to use, and those with adjustments (SEM_UNDO) that it owes. POSIX message
 * queues are descriptors.
 */

struct arena;
struct dumping;
struct dumping_proc;
struct err;

/* Where the first process is in another IPC namespace, go there too, if we may: whatever is asked
 * of System V objects from here on is asked there. */
int ipc_enter(struct dumping *d, struct err *err);
/* What a frozen process owes to semaphores. The kernel shows it to nobody, but a semop(2) that
 * would exceed the range of an adjustment fails. */
int ipc_undos_collect(struct dumping_proc *p, struct err *err);
/* Sets and queues, when the undos of all processes are known. */
int ipc_collect(struct dumping *d, struct err *err);
/* Ids in the second column of a table of /proc/sysvipc; in the arena. */
int ipc_ids(const char *path, struct arena *a, int32_t **ids, size_t *nr, struct err *err);

#endif
