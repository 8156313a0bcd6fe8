#ifndef DUMP_IPC_UNDO_H
#define DUMP_IPC_UNDO_H

#include <stddef.h>
#include <stdint.h>

/* What ipc.c and ipc_undo.c share. */

struct arena;
struct err;
struct snap;

/* Ids of all semaphore sets of the namespace we are in. */
int ipc_sem_ids(struct arena *a, int32_t **ids, size_t *nr, struct err *err);
/* Record a set with its values; once. Gives its index in snap->sem_sets. */
int ipc_sem_add(struct snap *snap, int32_t id, uint32_t *index, struct err *err);

#endif
