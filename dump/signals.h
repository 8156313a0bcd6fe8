#ifndef DUMP_SIGNALS_H
#define DUMP_SIGNALS_H

#include <stdint.h>

#include "dump/restart.h"

struct dumping_proc;
struct err;
struct proc_status;
struct snap_proc;
struct snap_task;
struct tracee_thread;

/* The private queue of a thread, a signal that was about to be delivered to it first. */
int signals_collect_private(struct dumping_proc *p, const struct tracee_thread *th,
	struct snap_task *task, struct err *err);
/* What is pending for a thread without being queued, behind that. */
void signals_collect_unqueued(
	struct dumping_proc *p, const struct proc_status *status, struct snap_task *task);
/*
 * Which signal this thread would take next if it ran: of its own queue, or of the shared one. Bits
 * of *shared_taken (signal N is bit N-1) are shared signals that an earlier thread takes.
 */
struct restart_signal signals_next(
	const struct snap_proc *proc, const struct snap_task *task, uint64_t *shared_taken);

#endif
