#ifndef DUMP_SETTLE_H
#define DUMP_SETTLE_H

#include <stdint.h>

/*
 * Brings the threads of a frozen process out of places where they cannot be dumped (DESIGN D8):
 * code of the vdso, which may be another one at restore, is stepped through; a restartable sequence
 * (rseq) is aborted as the kernel does at every preemption. Both happen to the live thread, who
 * cannot tell.
 */

struct err;
struct tracee;

/* vdso is [start, end); 0, 0 where there is none. Before any register of t is recorded. */
int settle_threads(struct tracee *t, uint64_t vdso_start, uint64_t vdso_end, struct err *err);

#endif
