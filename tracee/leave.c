/*
 * The end of a process whose parent is another one. While somebody traces it, it is a zombie that
 * its parent cannot wait for, but that its pidfds and its parent's poll(2) tell of already: who
 * asks once (EPOLLONESHOT, WNOHANG) is told that there is nothing, and never asks again. So it is
 * let go right before it ends (PTRACE_EVENT_EXIT), and ends as it would without us.
 */
#include "tracee/internal.h"

#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "tracee/proc.h"

enum { END_LIMIT_MS = 10000 }; /* for what the kernel does at an exit: memory, files */

/* Others of its process end with a leader that nobody can wait for before them. */
static bool thread_is_only(const struct tracee *t, const struct tracee_thread *th)
{
	struct arena *a = arena_create();
	size_t nr = 0;
	pid_t *tids;
	bool only;

	only = th->tid == t->pid && proc_tasks(t->procfd, a, &tids, &nr, NULL) >= 0 && nr == 1;
	arena_destroy(a);
	return only;
}

/* Then its status is for us to wait for. */
static bool tracee_is_own_child(const struct tracee *t)
{
	struct proc_stat stat;

	return proc_stat(t->procfd, "stat", &stat, NULL) < 0 || stat.ppid == getpid();
}

bool thread_leave(const struct tracee *t, const struct tracee_thread *th, int *status)
{
	OWNED_FD pidfd = -1;
	unsigned long message = 0;
	struct pollfd ended;

	if (!thread_is_only(t, th) || tracee_is_own_child(t) ||
		ptrace(PTRACE_GETEVENTMSG, th->tid, NULL, &message) < 0)
		return false;
	pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (pidfd < 0 || ptrace_tid(PTRACE_DETACH, th->tid, 0, 0) < 0)
		return false;
	/* Whoever looks at the tree next shall find a zombie, or nothing. */
	ended = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	poll(&ended, 1, END_LIMIT_MS);
	*status = (int)message;
	return true;
}
