#ifndef RESTORE_FILES_H
#define RESTORE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Files named by the image: opened again, checked against what they were (DESIGN D13), or made
 * anew. */

struct err;
struct fd_make;
struct job;
struct snap_file;

/*
 * fd_make.open_file: a descriptor of recorded file `id`, O_CLOEXEC. Regular files that are read
 * must be unchanged (size and mtime, or the same build-id); files only written to, and everything
 * else, must have kept their type. -ESTALE with both values otherwise.
 */
int files_open(const struct fd_make *m, uint32_t id, int flags, int *fd, struct err *err);

/* Same size and time of change as at the dump? */
bool files_unchanged(const struct snap_file *file, const struct stat *st);

/* In the first child: open what mappings of all processes need, without O_CLOEXEC, into
 * job->map_fds. */
int files_open_mapped(struct job *job, struct err *err);
/* Likewise: programs and working directories of all other processes. */
int files_open_others(struct job *job, struct err *err);

#endif
