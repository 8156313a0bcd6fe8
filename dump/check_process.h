#ifndef DUMP_CHECK_PROCESS_H
#define DUMP_CHECK_PROCESS_H

/* What of a process as a whole and of its threads stands against a dump; parts of check.c. */

struct dumping_proc;
struct err;
struct objections;

/* Relatives: children, memory shared with another process. */
int check_tree(struct dumping_proc *p, struct objections *o, struct err *err);
/* Threads: seccomp, shadow stacks, tables of their own, a leader that has ended. */
int check_threads(struct dumping_proc *p, struct objections *o, struct err *err);
/* Namespaces and root directory. */
int check_surroundings(struct dumping_proc *p, struct objections *o, struct err *err);

#endif
