#ifndef DUMP_UNSHARED_H
#define DUMP_UNSHARED_H

#include <sys/types.h>

/* Descriptor tables, directories and umasks that threads do not share with the first one. */

struct dumping_proc;
struct err;
struct objections;

/* Into the thread_files and thread_fs of the process. */
int unshared_look(struct dumping_proc *p, struct err *err);
/* Objections to what a thread shares with a thread of another process. */
void unshared_check(struct dumping_proc *p, pid_t tid, const char *name, struct objections *o);

#endif
