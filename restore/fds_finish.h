#ifndef RESTORE_FDS_FINISH_H
#define RESTORE_FDS_FINISH_H

#include <stddef.h>
#include <stdint.h>

/* Descriptors that need all processes: the first one makes them when it is still alone. */

struct err;
struct job;

/*
 * All processes parked, with the table of the first one and what was parked there: the pidfds of
 * processes take the places that were kept for them.
 */
int fds_later(struct job *const *jobs, size_t nr, struct err *err);
/* The same for threads, when all of them have parked, and each process has its own table. */
int fds_of_threads(struct job *const *jobs, size_t nr, struct err *err);
/* In the state of fds_later(): under which number the process has an ofd. */
int fds_number_of(const struct job *job, uint32_t ofd);
/*
 * Everything in its slot and nothing of ours left: owners of asynchronous input, and what kinds do
 * at the very last (fd_kind.finish), each once for all processes.
 */
int fds_finish(struct job *const *jobs, size_t nr, struct err *err);

#endif
