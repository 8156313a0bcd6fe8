#ifndef RESTORE_SECCOMP_H
#define RESTORE_SECCOMP_H

#include <stddef.h>

/*
 * Seccomp of threads. Filters are installed by steps of the blob, while the thread still has the
 * privilege, and sleep until it is let go (PTRACE_O_SUSPEND_SECCOMP): nothing of the restorer is
 * judged by them. Needs CAP_SYS_ADMIN, and no seccomp of our own.
 */
struct err;
struct job;
struct snap;

/* Can it be done here, where the image asks for it? */
int seccomp_possible(const struct snap *snap, struct err *err);
/* What is to be added to the ptrace options of all new threads from the beginning on. */
unsigned long seccomp_ptrace_options(const struct snap *snap);
/* Before there are other threads: filters that all threads have, so that they share them. */
void seccomp_plan_common(struct job *job);
/* The rest of a thread's; before its credentials. */
void seccomp_plan(struct job *job, size_t thread);

#endif
