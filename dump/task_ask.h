#ifndef DUMP_TASK_ASK_H
#define DUMP_TASK_ASK_H

struct dumping_proc;
struct err;
struct snap_task;
struct tracee_thread;

/*
 * What only a thread itself can be asked for, in one go: set_tid_address, sigaltstack, timer slack,
 * death signal, securebits, time stamp counter, NUMA policy. Frozen; into task.
 */
int task_ask(
	struct dumping_proc *p, struct tracee_thread *th, struct snap_task *task, struct err *err);

#endif
