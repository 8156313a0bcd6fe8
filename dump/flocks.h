#ifndef DUMP_FLOCKS_H
#define DUMP_FLOCKS_H

/*
 * Locks of flock(2) whose descriptors are all closed: a mapping keeps the open file, and with it
 * the lock. Only /proc/locks shows them, and takes its time for it: an RCU grace period, 10 ms and
 * more. So a thread of its own reads it from the freeze on, while the rest is collected.
 */

struct dumping;
struct err;

void flocks_begin(struct dumping *d);
/* After descriptors and memory are collected. */
int flocks_collect(struct dumping *d, struct err *err);
void flocks_finish(struct dumping *d);

#endif
