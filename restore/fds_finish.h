#ifndef RESTORE_FDS_FINISH_H
#define RESTORE_FDS_FINISH_H

#include <stddef.h>

struct err;
struct job;

/* What kinds of descriptors do at the very last (fd_kind.finish), each once for all processes. */
int fds_finish(struct job *const *jobs, size_t nr, struct err *err);

#endif
