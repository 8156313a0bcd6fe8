#ifndef DUMP_FLOCKS_H
#define DUMP_FLOCKS_H

/*
 * Locks of flock(2) whose descriptors are all closed: a mapping keeps the open file, and with it
 * the lock. Only /proc/locks shows them. After descriptors and memory are collected.
 */

struct dumping;
struct err;

int flocks_collect(struct dumping *d, struct err *err);

#endif
