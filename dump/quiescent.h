#ifndef DUMP_QUIESCENT_H
#define DUMP_QUIESCENT_H

/*
 * --until=quiescent, the default: every thread of the tree waits in a system call that only
 * something outside ends, and has done next to nothing for the settle time.
 *
 * Real servers never sleep for ever, so short periodic wake-ups are quiet: no window of 50 ms may
 * use more than 5% of one CPU, and the same set of waiting calls stands at both ends of the settle
 * time. Work, disk waits and the sleeps between start-up steps are not quiet: a sleep shorter than
 * two seconds counts only once its thread was seen to come back to it three times.
 *
 * It is condition_quiescent of until/condition.h.
 */

#endif
