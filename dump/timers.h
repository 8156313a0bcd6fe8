#ifndef DUMP_TIMERS_H
#define DUMP_TIMERS_H

#include <stdint.h>

struct dumping_proc;
struct err;
struct proc_timer;

/* *tid: the thread on whose CPU clock the timer runs, 0: none. -ENOTSUP where that cannot be told.
 */
int timers_clock(const struct dumping_proc *p, const struct proc_timer *timer, int32_t *tid,
	struct err *err);

#endif
