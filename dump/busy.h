#ifndef DUMP_BUSY_H
#define DUMP_BUSY_H

/* Words for who kept a program from being quiet: "thread 12 (java) used 87% of a CPU". */

struct dumping;
struct err;
struct watches;

/* -ETIMEDOUT with the threads that were busy, measured over another 200 ms. */
int busy_error(struct dumping *d, struct watches *w, struct err *err);

#endif
