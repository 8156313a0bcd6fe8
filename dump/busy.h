#ifndef DUMP_BUSY_H
#define DUMP_BUSY_H

/*
 * Words for what a tree is doing: "thread 12 (java) used 87% of a CPU", or, where nobody did
 * anything, what its threads wait in.
 */

struct buf;
struct dumping;
struct err;

/* Appends them to out, measured over 200 ms in which the tree runs. */
int busy_describe(struct dumping *d, struct buf *out, struct err *err);

#endif
