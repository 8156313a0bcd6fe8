#ifndef IMAGES_MAKERS_H
#define IMAGES_MAKERS_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct snap_proc;

/*
 * Which thread has to make which one by clone(2), so that descriptor tables and directories are
 * shared as they were: by index of proc->tasks, 0 being the first thread. NULL: no threads could
 * ever have shared like that.
 */
uint32_t *makers_of(struct arena *a, const struct snap_proc *proc);
/* Is any made by another than the first? */
bool makers_needed(const struct snap_proc *proc);

#endif
