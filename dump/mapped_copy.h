#ifndef DUMP_MAPPED_COPY_H
#define DUMP_MAPPED_COPY_H

#include <stdbool.h>

/*
 * Files that were removed and that only shared mappings hold, as those of sem_open(3) in Python's
 * multiprocessing, where the kernel does not let us open them: map_files wants
 * CAP_CHECKPOINT_RESTORE.
 */

struct dumping_proc;
struct err;
struct proc_vma;

/* Nobody can open it any more, so what the mappings show is all there is. */
bool mapped_copy_can(const struct proc_vma *vma);
/* A memfd with what all mappings of it in the (frozen) tree show. */
int mapped_copy(
	const struct dumping_proc *p, const struct proc_vma *vma, int *out, struct err *err);

#endif
