#ifndef RESTORE_GHOSTS_H
#define RESTORE_GHOSTS_H

#include <stdint.h>

/*
 * Files made anew from contents that travelled in the image: those without a name (made, filled and
 * unlinked; job->ghosts), and those whose name has been removed or taken by another file since.
 */
struct err;
struct job;

/* Before the child exists. */
int ghosts_make(struct job *job, struct err *err);
/* A data file whose contents travelled is gone: it is made again in its place. */
int ghosts_remake(struct job *job, uint32_t file, struct err *err);
/* All are open in their processes. To be closed by us is an event, too (inotify). */
void ghosts_close(struct job *job);
/* After a failure: remove the files that were made again under their names. */
void ghosts_undo(struct job *job);

#endif
