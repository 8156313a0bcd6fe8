#ifndef RESTORE_SIGNALS_H
#define RESTORE_SIGNALS_H

#include <stddef.h>

struct err;
struct job;

/* Dispositions: steps of the leader for those that are not the default (spawn() gave all defaults).
 */
void signals_plan_actions(struct job *job);
/*
 * Queued signals, in order and with their siginfo. Each thread queues its own: only to itself may a
 * task send what claims to come from the kernel (kernel/signal.c, do_rt_tgsigqueueinfo). All are
 * blocked.
 */
void signals_plan_pending(struct job *job, size_t thread);
/* Those among them that would not outlast what is done until the blob has parked for good. */
int signals_queue_late(struct job *job, struct err *err);
/* A SIGSTOP, which cannot be blocked: while all threads are held, right before they are let go. */
int signals_queue_last(const struct job *job, struct err *err);

#endif
