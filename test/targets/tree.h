#ifndef TEST_TARGETS_TREE_H
#define TEST_TARGETS_TREE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Targets of several processes. Each kid prepares its part of the state, says that it stands
 * (kid_wait), and judges when its maker tells it to (kid_check, kids_check); it ends with 0, or has
 * written its own FAIL line.
 */

/* Fork a kid that does run(arg). Returns when it is in kid_wait(). */
pid_t kid(void (*run)(void *arg), void *arg);
/* The same by clone(2) with these flags and exit signal. */
pid_t kid_clone(unsigned long flags, void (*run)(void *arg), void *arg);
/* A kid of a process that has ended since and is reaped: a subreaper's, or init's. */
pid_t kid_orphan(void (*run)(void *arg), void *arg);

/* In a kid: all stands; and wait for the check, unless it waits for something else. */
void kid_ready(void);
void kid_wait(void);
/* A kid that only waits; as `run`. */
void kid_idle(void *arg);

/* Let this kid judge; its end is left to be waited for. */
void kid_tell(pid_t pid);
/* Let this kid judge, wait for it, and expect that it is content. */
void kid_check(pid_t pid);
/* All that were not checked yet, in the order they were made. */
void kids_check(void);
/* The same, but each stays until all have judged. */
void kids_check_together(void);
/* Wait for a child with wait4's options; it must end well. */
void kid_reap(pid_t pid, int options);

/* Until process pid is a zombie of ours. */
void zombie_stands(pid_t pid);
/* Until process pid is in this state of /proc/PID/stat. */
void state_stands(pid_t pid, char state);
/* Until the leader of process pid is in system call nr. */
void process_waits_in(pid_t pid, long nr);

/* Proportional set size of the mapping at addr of that process, or our own; in KiB. */
unsigned long pss_of(pid_t pid, const void *addr);
unsigned long pss_at(const void *addr);
/* With n processes that hold the same pages, each counts for an n-th; a tenth more is allowed. */
void expect_shared(const void *addr, size_t len, unsigned n);

#endif
