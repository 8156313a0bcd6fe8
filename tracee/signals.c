/* Signal mask and queues of one stopped thread. */
#include "tracee/tracee.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#include "base/err.h"

/* PTRACE_GETSIGMASK and _SETSIGMASK want the size of the kernel's set in addr. */
int thread_get_sigmask(pid_t tid, uint64_t *mask, struct err *err)
{
	if (ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof *mask, mask) < 0)
		return err_sys(err, "read the signal mask of thread %d", tid);
	return 0;
}

int thread_set_sigmask(pid_t tid, uint64_t mask, struct err *err)
{
	if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof mask, &mask) < 0)
		return err_sys(err, "set the signal mask of thread %d", tid);
	return 0;
}

enum { PEEK_BATCH = 64 };

int thread_get_pending(pid_t tid, bool shared, siginfo_t **infos, size_t *nr, struct err *err)
{
	struct __ptrace_peeksiginfo_args args = {
		.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
		.nr = PEEK_BATCH,
	};
	siginfo_t *all = NULL;

	for (;;) {
		siginfo_t *more = reallocarray(all, args.off + PEEK_BATCH, sizeof *all);
		long got;

		if (!more) {
			free(all);
			return err_nomem(err);
		}
		all = more;
		got = ptrace(PTRACE_PEEKSIGINFO, tid, &args, all + args.off);
		if (got < 0) {
			free(all);
			return err_sys(err, "read the pending signals of thread %d", tid);
		}
		args.off += (uint64_t)got;
		if (got == 0)
			break;
	}
	*infos = all;
	*nr = args.off;
	return 0;
}
