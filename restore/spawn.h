#ifndef RESTORE_SPAWN_H
#define RESTORE_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

struct err;

/*
 * flags: CLONE_PARENT makes it a sibling of the caller.
 * Make a process that runs body(arg) in our memory while we (the calling thread) wait, until it
 * execs or exits: as vfork(2), but with its own stack, all signal dispositions default
 * (CLONE_CLEAR_SIGHAND), and with the pid want_pid unless that is 0 (clone3 set_tid). A pid is
 * freed only a moment after its process is gone, so EEXIST is tried again for a short while. body
 * must not return but exec or _exit.
 */
int spawn(pid_t want_pid, uint64_t flags, void (*body)(void *arg), void *arg, pid_t *pid,
	int *pidfd, struct err *err);

/*
 * A child with our memory and a stack of its own, as by vfork(2) without waiting: of those that
 * share it, only one may do more at a time than wait in a system call. body must not return.
 */
int spawn_beside(pid_t want_pid, void (*body)(void *arg), void *arg, pid_t *pid, struct err *err);

#endif
