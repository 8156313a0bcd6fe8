#ifndef DUMP_QUIESCENT_H
#define DUMP_QUIESCENT_H

/*
 * When to stop a program that was launched: when every thread of the tree waits in a system call
 * that only something outside ends, and has done next to nothing for the settle time.
 *
 * Real servers never sleep for ever, so short periodic wake-ups are quiet: no window of 50 ms may
 * use more than 5% of one CPU, and the same set of waiting calls stands at both ends of the settle
 * time. Work, disk waits and the sleeps between start-up steps are not quiet: a sleep shorter than
 * two seconds counts only once its thread was seen to come back to it three times.
 */

struct dumping;
struct err;

/*
 * Handles the events of d->tracer until the tree is quiet. -ETIMEDOUT names who was still busy with
 * what; if the program ends before, d->result->ended is set and the error says how.
 */
int quiescent_wait(struct dumping *d, struct err *err);

#endif
