#ifndef RESTORE_FILL_H
#define RESTORE_FILL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Page contents into the mappings that the blob has made, by a few threads. Anonymous memory is
 * filled through the target's userfaultfd (UFFDIO_COPY: no zeroing first, no fault, protections do
 * not matter) where there is enough to be worth it; the rest, and private file pages, through
 * /proc/PID/mem, which writes as a debugger does.
 */

struct err;
struct job;

/* Is there so much that a userfaultfd pays? */
bool fill_wants_uffd(const struct job *job);
/* Will any page of the private memory in [start, end) be filled? */
bool fill_touches(const struct job *job, uint64_t start, uint64_t end);
/* uffd: descriptor of ours for the target's, or -1. */
int fill_run(struct job *job, int uffd, struct err *err);

#endif
