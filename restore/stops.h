#ifndef RESTORE_STOPS_H
#define RESTORE_STOPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* Dealing with a new process through ptrace: its stops, its memory, system calls in its name. */

struct err;
struct job;

/* PTRACE_O_TRACESYSGOOD marks stops of system calls. */
enum { STOPS_SYSCALL = 0x80 };

int stops_write(
	const struct job *job, uint64_t addr, const void *data, size_t len, struct err *err);
int stops_read(const struct job *job, uint64_t addr, void *data, size_t len, struct err *err);

/* A duplicate of what the process has in slot num, O_CLOEXEC; when all its threads stand. */
int stops_getfd(const struct job *job, int num, int *fd, struct err *err);

/* Until the thread stops for exactly this signal; everything else is an error, in words. */
int stops_wait(const struct job *job, pid_t tid, int signal, struct err *err);
/* The error for a process that ended, and for a stop that only a defect of ours explains. */
int stops_ended(const struct job *job, int status, struct err *err);
int stops_unexpected(const struct job *job, pid_t tid, int signal, struct err *err);
int stops_continue(pid_t tid, struct err *err);

/*
 * A system call in job's leader (parked) at the `syscall` instruction at insn; *ret is what the
 * kernel returned. Registers are left as the call leaves them.
 */
struct remote {
	long nr;
	uint64_t args[6];
};
/* Registers for the call, which happens when the thread goes on. */
int stops_begin(pid_t tid, uint64_t insn, const struct remote *call, struct err *err);
int stops_syscall(const struct job *job, uint64_t insn, const struct remote *call, int64_t *ret,
	struct err *err);
/* The same at the instruction of the blob; a negative result is an error named `what`. */
int stops_blob_syscall(const struct job *job, const struct remote *call, const char *what,
	int64_t *ret, struct err *err);
/* clone, fork or vfork: gives the new process, traced and stopped, by our own pid for it. */
int stops_clone(const struct job *job, const struct remote *call, pid_t *pid, struct err *err);
/* execve and execveat: stopped right behind it, with the new program. */
int stops_exec(const struct job *job, uint64_t insn, const struct remote *call, struct err *err);
/* It exits, and is a zombie of its parent when this returns. */
int stops_exit(pid_t pid, uint64_t insn, int status, struct err *err);

#endif
