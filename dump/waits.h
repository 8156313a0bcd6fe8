#ifndef DUMP_WAITS_H
#define DUMP_WAITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Which system calls are waits: calls that last until somebody outside the thread does something
 * (accept, epoll_wait, futex, read of an empty pipe), and plain sleeps, which end by themselves.
 */

struct proc_syscall;
struct tracee;

enum wait_kind {
	WAIT_NONE,  /* computing, or working in the kernel */
	WAIT_EVENT, /* until something happens elsewhere */
	WAIT_SLEEP, /* until time has passed */
};

/* What thread tid of t that is in `call` (from /proc) does. *sleep_ns is written for WAIT_SLEEP:
 * how long the whole sleep is, UINT64_MAX: for ever. Looks at descriptors and memory of t, which
 * may run. */
enum wait_kind wait_kind_of(
	struct tracee *t, pid_t tid, const struct proc_syscall *call, uint64_t *sleep_ns);

/* A thread in that state (as in proc_stat(5)) and system call waits for its child to exec or end
 * (wait_for_vfork_done() in kernel/fork.c): nothing but SIGKILL interrupts that. */
bool wait_is_vfork(char state, int64_t nr);

#endif
