/* What judges the system calls of one stopped thread: seccomp filters, syscall user dispatch. */
#include "tracee/tracee.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "base/err.h"
#include "tracee/kernel_abi.h"

enum { DISPATCH_INCLUSIVE = 2 }; /* PR_SYS_DISPATCH_INCLUSIVE_ON, linux/prctl.h */

static long request(int number, pid_t tid, uint64_t addr, void *data)
{
	return ptrace((enum __ptrace_request)number, tid, (void *)(uintptr_t)addr, data);
}

/* Filters count from the oldest; ENOENT is behind the newest (kernel/seccomp.c, get_nth_filter). */
int thread_get_seccomp(
	pid_t tid, size_t index, struct thread_filter *out, bool *there, struct err *err)
{
	struct abi_seccomp_metadata meta = { .filter_off = index };
	long nr = request(ABI_PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);

	*there = nr >= 0;
	if (nr < 0)
		return errno == ENOENT
			       ? 0
			       : err_sys(err, "read seccomp filter %zu of thread %d", index, tid);
	out->insns = calloc((size_t)nr + 1, sizeof *out->insns);
	if (!out->insns)
		return err_nomem(err);
	if (request(ABI_PTRACE_SECCOMP_GET_FILTER, tid, index, out->insns) != nr ||
		request(ABI_PTRACE_SECCOMP_GET_METADATA, tid, sizeof meta, &meta) < 0) {
		int ret = err_sys(err, "read seccomp filter %zu of thread %d", index, tid);

		free(out->insns);
		return ret;
	}
	out->nr_insns = (size_t)nr;
	out->flags = (uint32_t)meta.flags;
	return 0;
}

int thread_get_dispatch(pid_t tid, struct thread_dispatch *out, struct err *err)
{
	struct abi_sud_config config = { 0 };

	/* EIO: a kernel older than 6.4. It cannot be seen there. */
	if (request(ABI_PTRACE_GET_SUD_CONFIG, tid, sizeof config, &config) < 0 && errno != EIO)
		return err_sys(err, "read the syscall user dispatch of thread %d", tid);
	/* PR_SYS_DISPATCH_INCLUSIVE_ON (Linux 6.17) is kept as the range that is not meant. */
	if (config.mode == PR_SYS_DISPATCH_ON && config.len && config.offset &&
		config.offset + config.len <= config.offset)
		config = (struct abi_sud_config){ DISPATCH_INCLUSIVE, config.selector,
			config.offset + config.len, -config.len };
	*out = (struct thread_dispatch){ config.mode, config.selector, config.offset, config.len };
	return 0;
}

int thread_set_dispatch(pid_t tid, const struct thread_dispatch *dispatch, struct err *err)
{
	struct abi_sud_config config = { dispatch->mode, dispatch->selector, dispatch->offset,
		dispatch->len };

	if (request(ABI_PTRACE_SET_SUD_CONFIG, tid, sizeof config, &config) < 0)
		return err_sys(err, "set the syscall user dispatch of thread %d", tid);
	return 0;
}
