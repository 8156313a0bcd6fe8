#ifndef DUMP_LEFT_H
#define DUMP_LEFT_H

#include <stdint.h>

/*
 * How much of a relative timeout is left: of nanosleep, poll and futex, which the kernel itself
 * goes on with after a stop (restart_syscall(2)), and of epoll_wait. It shows to nobody when such a
 * call began; but a thread that has slept ever since was last on a CPU then, and /proc/PID/sched
 * says when that was.
 */

struct dumping;
struct dumping_proc;
struct err;
struct snap_regs;
struct snap_task;

/* While the tree runs: who waits since when. Failures mean that less is known. */
void left_sample(struct dumping *d);
/* As soon as it is frozen: who has not run in between? */
void left_confirm(struct dumping *d);
/* Nanoseconds left of the call that regs show thread tid in, interrupted; 0: unknown or none. */
uint64_t left_of(const struct dumping_proc *p, int tid, const struct snap_regs *regs);
/* Have the call, which task makes again, wait no longer than that; 0: as long as it says. */
void left_keep(struct snap_task *task, uint64_t left);

#endif
