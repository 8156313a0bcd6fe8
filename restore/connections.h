#ifndef RESTORE_CONNECTIONS_H
#define RESTORE_CONNECTIONS_H

#include <stddef.h>

/*
 * TCP connections that are carried over (images/fd/tcp.h). While they are made they are asleep, in
 * repair mode, and their packets are held back, so that a restore that fails changes nothing and
 * can be tried again.
 */

struct err;
struct job;

/* Hold back packets, also where the dump has not: on another machine. Before anything is made. */
int connections_hold(struct job *job, struct err *err);
/* All processes are complete and have not run yet: let packets pass and wake the connections. */
int connections_wake(struct job *const *jobs, size_t nr, struct err *err);
void connections_release(struct job *job);

#endif
