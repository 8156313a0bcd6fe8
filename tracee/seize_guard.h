#ifndef TRACEE_SEIZE_GUARD_H
#define TRACEE_SEIZE_GUARD_H

#include <sys/types.h>

/*
 * Against a deadlock in the kernel (still there in 6.18): a thread in execve(2) holds
 * cred_guard_mutex while it waits for all other threads of its process to be gone; those that we
 * trace are gone when we have reaped them; but we hang in PTRACE_SEIZE of one more thread, which
 * waits for that mutex. Wait status, unlike ptrace, may be read by any thread of the tracer's
 * process: a guard thread reaps the exited threads when a PTRACE_SEIZE takes too long.
 */
struct err;
struct seize_guard;
struct tracee;

/* Watches the threads that t has now. */
int seize_guard_create(struct tracee *t, struct seize_guard **out, struct err *err);
/* Ends the guard and notes the exits that it saw in the tracee. NULL is fine. */
void seize_guard_destroy(struct seize_guard *g);
void seize_guard_watch(struct seize_guard *g, pid_t tid);
/* Around each PTRACE_SEIZE. */
void seize_guard_enter(struct seize_guard *g);
void seize_guard_leave(struct seize_guard *g);

#endif
