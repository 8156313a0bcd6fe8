/* Threads whose system calls are judged: what judges them is read, and remote calls get through. */
#include "test/unit/helpers/tracee_target.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SET_DISPATCH = 59 /* PR_SET_SYSCALL_USER_DISPATCH */ };

static char selector;

/* ---- seccomp ----------------------------------------------------------------------------- */

static void install(uint32_t action, unsigned flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, insns };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0)
		_exit(9);
}

static int run_filters(void *arg)
{
	(void)arg;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install(SECCOMP_RET_ERRNO | 7, SECCOMP_FILTER_FLAG_LOG);
	install(SECCOMP_RET_KILL_PROCESS, 0);
	pause();
	return 0;
}

static void test_filters(void **state)
{
	struct target x;
	struct thread_filter filter;
	struct err err = { 0 };
	bool there;
	int64_t ret;

	(void)state;
	if (geteuid() != 0)
		skip();
	x = target_frozen(run_filters, NULL, SYS_pause);
	/* The oldest comes first. */
	assert_ok(thread_get_seccomp(x.pid, 0, &filter, &there, &err), err);
	assert_true(there);
	assert_int_equal(filter.nr_insns, 4);
	assert_int_equal(filter.insns[2].k, SECCOMP_RET_ERRNO | 7);
	assert_int_equal(filter.flags, SECCOMP_FILTER_FLAG_LOG);
	free(filter.insns);
	assert_ok(thread_get_seccomp(x.pid, 1, &filter, &there, &err), err);
	assert_true(there);
	assert_int_equal(filter.insns[2].k, SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(filter.flags, 0);
	free(filter.insns);
	assert_ok(thread_get_seccomp(x.pid, 2, &filter, &there, &err), err);
	assert_false(there);
	/* It would be killed if the filters saw this. */
	assert_ok(tracee_syscall(x.t, x.t->threads, SYS_getppid, (uint64_t[6]){ 0 }, &ret, &err),
		err);
	assert_int_equal(ret, getpid());
	target_finish(&x);
}

/* ---- syscall user dispatch ------------------------------------------------------------------ */

static int run_dispatched(void *arg)
{
	(void)arg;
	if (prctl(SET_DISPATCH, 1, 0x1000, 0x2000, &selector) != 0)
		_exit(9);
	pause();
	return 0;
}

static void test_dispatch(void **state)
{
	struct target x;
	struct thread_dispatch dispatch;
	struct err err = { 0 };
	char block = 1;
	int64_t ret;

	(void)state;
	if (prctl(SET_DISPATCH, 0, 0, 0, 0) != 0)
		skip();
	x = target_frozen(run_dispatched, NULL, SYS_pause);
	assert_ok(tracee_write(x.t, (uintptr_t)&selector, &block, 1, &err), err);
	assert_ok(tracee_syscall(x.t, x.t->threads, SYS_getppid, (uint64_t[6]){ 0 }, &ret, &err),
		err);
	assert_int_equal(ret, getpid());
	/* As before: a call that is made for it leaves no trace. */
	assert_ok(thread_get_dispatch(x.pid, &dispatch, &err), err);
	assert_int_equal(dispatch.mode, 1);
	assert_int_equal(dispatch.offset, 0x1000);
	assert_int_equal(dispatch.len, 0x2000);
	assert_int_equal(dispatch.selector, (uintptr_t)&selector);
	dispatch = (struct thread_dispatch){ 0 };
	assert_ok(thread_set_dispatch(x.pid, &dispatch, &err), err);
	dispatch.mode = 5;
	assert_ok(thread_get_dispatch(x.pid, &dispatch, &err), err);
	assert_int_equal(dispatch.mode, 0);
	target_finish(&x);
}

/* ---- several calls at once ----------------------------------------------------------------- */

static int run_pausing(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static void test_several(void **state)
{
	struct target x = target_frozen(run_pausing, NULL, SYS_pause);
	struct user_regs_struct before, after;
	struct tracee_call calls[] = {
		{ SYS_getpid, { 0 }, 0 },
		{ SYS_close, { 12345 }, 0 },
		{ SYS_getppid, { 0 }, 0 },
	};
	struct err err = { 0 };

	(void)state;
	assert_ok(thread_get_regs(x.pid, &before, &err), err);
	assert_ok(tracee_syscalls(x.t, x.t->threads, calls, 3, &err), err);
	assert_int_equal(calls[0].ret, x.pid);
	assert_int_equal(calls[1].ret, -EBADF);
	assert_int_equal(calls[2].ret, getpid());
	assert_ok(thread_get_regs(x.pid, &after, &err), err);
	assert_memory_equal(&before, &after, sizeof before);
	target_finish(&x);
}

/* ---- no room for a page of scratch memory --------------------------------------------------- */

static int run_cramped(void *arg)
{
	(void)arg;
	setrlimit(RLIMIT_AS, &(struct rlimit){ 1 << 20, 1 << 20 });
	pause();
	return 0;
}

static void test_cramped(void **state)
{
	struct target x = target_frozen(run_cramped, NULL, SYS_pause);
	struct user_regs_struct regs;
	struct err err = { 0 };
	uint8_t was[4096], now[4096];
	uint64_t addr;
	size_t len;

	(void)state;
	assert_ok(thread_get_regs(x.pid, &regs, &err), err);
	assert_ok(tracee_scratch(x.t, &addr, &len, &err), err);
	assert_true(addr + len <= regs.rsp - 128);
	memcpy(was, x.t->scratch_was, len);
	memset(now, 0xa5, sizeof now);
	assert_ok(tracee_write(x.t, addr, now, len, &err), err);
	assert_ok(tracee_scratch_end(x.t, &err), err);
	assert_ok(tracee_read(x.t, addr, now, len, &err), err);
	assert_memory_equal(was, now, len);
	target_finish(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_cramped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
