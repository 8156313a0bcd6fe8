/* The filter that lets most system calls pass; see sieve.h. */
#include "dump/until/sieve.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "tracee/access.h"
#include "tracee/proc.h"

enum { NUMBERS_END = 1024, HEAD = 4 };

bool sieve_is_possible(void)
{
	const uint32_t trace = SECCOMP_RET_TRACE;
	struct arena *a = arena_create();
	struct proc_status own;
	OWNED_FD self = -1;
	bool possible = proc_open(getpid(), &self, NULL) == 0 &&
			proc_status(self, "status", a, &own, NULL) == 0 &&
			(own.cap_eff >> CAP_SYS_ADMIN & 1) && !own.seccomp &&
			access_userns_is_initial() &&
			syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trace) == 0;

	arena_destroy(a);
	return possible;
}

static const struct sock_filter trace = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
static const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

/* Runs of numbers with the same answer, in their order: "from here on the next one", or the answer.
 * Calls of another architecture (int 0x80) have numbers of their own: all are looked at. */
void sieve_make(struct sock_fprog *out, struct arena *a, bool (*wants)(const void *arg, int64_t nr),
	const void *arg)
{
	const struct sock_filter head[HEAD] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		trace,
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_filter *insns = arena_array(a, HEAD + 2 * NUMBERS_END + 1, sizeof *insns);
	size_t nr = 0;

	for (; nr < HEAD; nr++)
		insns[nr] = head[nr];
	for (uint32_t call = 1; call <= NUMBERS_END; call++) {
		if (wants(arg, call) == wants(arg, call - 1))
			continue;
		insns[nr++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, call, 1, 0);
		insns[nr++] = wants(arg, call - 1) ? trace : allow;
	}
	insns[nr++] = wants(arg, NUMBERS_END) ? trace : allow;
	*out = (struct sock_fprog){ (unsigned short)nr, insns };
}

int sieve_enter(const struct sock_fprog *sieve)
{
	/* SPEC_ALLOW: kernels before 5.16 would change its speculation control, for good. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       sieve) < 0
		       ? errno
		       : 0;
}
