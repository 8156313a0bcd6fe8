#ifndef TRACEE_ACCESS_H
#define TRACEE_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * May we trace pid? 0, or an error that names the rule of ptrace access (ptrace(2), "Ptrace access
 * mode checking") that refuses and a hint how to get past it: no such process, a kernel thread,
 * ourselves, already traced by PID (NAME), other uid/gid, not dumpable, capabilities not a
 * superset, another user namespace, Yama mode, a security module, a seccomp filter of ours; 32-bit,
 * shadow stack. Changes nothing.
 */
struct err;
int access_check(pid_t pid, struct err *err);

/* Are we in the user namespace that began with the machine? Reading and suspending seccomp filters
 * takes CAP_SYS_ADMIN there. */
bool access_userns_is_initial(void);

/* The words for a Yama mode (/proc/sys/kernel/yama/ptrace_scope); 0 where that mode forbids
 * nothing. */
int yama_explain(int mode, pid_t pid, const char *comm, struct err *err);

#endif
