#ifndef RESTORE_HANDOVER_H
#define RESTORE_HANDOVER_H

#include <stdint.h>

/*
 * One process from its birth to the moment it runs on as recorded: the blob goes in, maps memory,
 * parks while pages are filled and children are made, does the rest of its plan, threads get their
 * registers, the blob goes out. Traced all along, with EXITKILL, so that nothing half-made outlives
 * a failure. tree.c calls these for each process.
 */

struct err;
struct job;
struct stage;

/* job->pid stops after an exec: its new address space gets the blob. Parked when its pages are in.
 */
int handover_executed(struct job *job, struct err *err);
/* job->pid was forked from `base`, which is parked, and is stopped in the copy of its blob. The
 * same for a copy of an address space: what differs is mapped and filled. */
int handover_forked(struct job *job, const struct job *base, struct err *err);
/* A parked process becomes another stage of itself (stages.h), or, NULL, what it was at the dump.
 */
int handover_again(struct job *job, struct stage *stage, struct err *err);
/* The same where they share the address space: the blob gets a place of its own, behind `above`. */
int handover_sharing(struct job *job, const struct job *maker, uint64_t above, struct err *err);
/* The rest of the plan: descriptors, protections, threads, credentials, timers. */
int handover_second(struct job *job, struct err *err);
/* While it is parked, it stops and goes on, as its parent may want to know (wait(2), WCONTINUED).
 */
int handover_continued(struct job *job, struct err *err);
/* The blob goes, threads get their registers. They stay stopped. */
int handover_last(struct job *job, struct err *err);
/* Detached: it runs. */
int handover_release(struct job *job, struct err *err);

#endif
