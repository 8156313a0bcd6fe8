#ifndef RESTORE_LEFT_H
#define RESTORE_LEFT_H

#include <sys/types.h>
#include <sys/user.h>

/*
 * Calls that wait for a time that had passed in part: the thread begins its call with what is left
 * of the time, and is stopped in it at once. From there the kernel goes on by itself
 * (restart_syscall(2)), and the program's registers and memory are what they were.
 */
struct err;
struct job;
struct snap_task;

/*
 * Thread tid is in a ptrace stop, all of its memory is there. regs: those it would go on with, at
 * its `syscall` instruction; they become those behind it, with the kernel's answer.
 */
int left_go_on(const struct job *job, const struct snap_task *task, pid_t tid,
	struct user_regs_struct *regs, struct err *err);

#endif
