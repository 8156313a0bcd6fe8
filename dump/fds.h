#ifndef DUMP_FDS_H
#define DUMP_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/fd/kind.h"

/*
 * The descriptor table of a process: slots are grouped into open file descriptions (what dup
 * shares), each described by its kind in images/fd. fds_look() finds out what is there, without
 * changing anything and without the target being stopped; fds_collect() of dumping.h saves it.
 */

struct dumping;
struct dumping_proc;
struct err;
struct snap_fd;

/* One open file description as found: our duplicate of it and its texts. Index in the table: its
 * id. */
struct slot_seen {
	struct fd_seen seen;
	uint32_t same_as; /* inherited ones are split by slot (inherited.h): the ofd this one stands
			     for */
};

struct slot_table {
	struct slot_seen *seen;
	size_t nr, cap;
	uint32_t *order; /* ids, ordered by file, so that equal ones are found quickly */
	size_t nr_order, cap_order;
	int *kept; /* of ours, until the end: fd_dump.keep_fd */
	size_t nr_kept, cap_kept;
};

struct slot_table *slot_table_create(struct dumping *d);
void slot_table_finish(struct slot_table *table); /* closes our duplicates; NULL is fine */
/* Fill the hooks that kinds ask. */
void fds_hooks_init(struct dumping *d);
/* A descriptor table: that of the process, or one that a thread has for itself. */
struct slots_look {
	struct dumping_proc *p;
	int procfd; /* /proc/PID, or the directory of the thread */
	int tid;    /* 0: of the process */
};

/* Its slots, which are added to what is in *nr_fds; their ofds into the snap. */
int fds_look_slots(
	const struct slots_look *look, struct snap_fd **fds, size_t *nr_fds, struct err *err);
/* What changes the target for good: fd_kind.save_last. */
int fds_collect_last(struct dumping *d, size_t *bytes, struct err *err);
/* Slots of all processes into their snap_proc, ofds into the snap, those of the launcher marked. */
int fds_look(struct dumping *d, struct err *err);
/*
 * The ofd of what was seen, a new one unless it is known already. Takes seen->fd in any case;
 * tables may move.
 */
int fds_add(struct dumping *d, struct fd_seen *seen, uint32_t *ofd, struct err *err);
/* A duplicate of what the process has in that slot. */
int seen_getfd(struct dumping_proc *p, int num, int *fd, struct err *err);
/* A further ofd for the same file, as its own entry of snap and table. Gives its id. */
uint32_t fds_split(struct dumping *d, uint32_t ofd);
/* Whether two local descriptors are the same open file description; negative without kcmp(2). */
int fds_same(int a, int b);

#endif
