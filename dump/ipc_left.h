#ifndef DUMP_IPC_LEFT_H
#define DUMP_IPC_LEFT_H

/*
 * What would be left behind in an IPC namespace of the program's own, which ends with it: segments
 * and message queues that no process holds, so that no dump of processes comes across them.
 */
struct dumping;
struct err;

int ipc_left_check(struct dumping *d, struct err *err);

#endif
