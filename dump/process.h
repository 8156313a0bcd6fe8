#ifndef DUMP_PROCESS_H
#define DUMP_PROCESS_H

/* One process of the dump from its first look to the last page. */

struct dumping;
struct dumping_proc;
struct err;
struct tracee;

/* A snap_proc for t and what /proc says without asking t itself; t may run. */
int process_begin(struct dumping *d, struct tracee *t, struct dumping_proc *p, struct err *err);
/* What process_begin() has opened. */
void process_end(struct dumping_proc *p);
/* All that concerns it alone; frozen. Memory comes when all processes have got this far. */
int process_collect(struct dumping_proc *p, struct err *err);
int process_collect_memory(struct dumping_proc *p, struct err *err);

#endif
