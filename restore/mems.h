#ifndef RESTORE_MEMS_H
#define RESTORE_MEMS_H

#include <stdbool.h>
#include <stdint.h>

/* Memory objects that live outside address spaces: memfds, SysV segments, what cousins share. */

struct err;
struct fd_make;
struct job;

/* Before the child exists: make and fill them (job->mems, job->sysv). */
int mems_make(struct job *job, struct err *err);
/* Is it mapped through a descriptor, which is job->mems? */
bool mems_is_file(const struct job *job, uint32_t mem);
/* Must its seals wait? F_SEAL_FUTURE_WRITE lets mappings be writable that were made before it. */
bool mems_seals_wait(const struct job *job, uint32_t mem);
/* When those are mapped: the seals that waited. */
int mems_seal(struct job *job, struct err *err);
/* When all have attached them: segments that were removed are so again. */
int mems_remove(struct job *job, struct err *err);
/* After a failure: remove SysV segments that were made. */
void mems_undo(struct job *job);
/* fd_make.mem_fd: borrowed. */
int mems_fd(const struct fd_make *m, uint32_t mem, int *fd, struct err *err);

#endif
