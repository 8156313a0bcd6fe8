#ifndef DUMP_MODES_H
#define DUMP_MODES_H

/* What a thread may have set for itself and few do: syscall user dispatch, entries of
 * the descriptor table, what is to happen at memory failures. The rest is asked for in task_ask.c.
 */

struct dumping_proc;
struct err;
struct snap_task;
struct tracee_thread;

/* Of a frozen thread. */
int modes_collect(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err);

#endif
