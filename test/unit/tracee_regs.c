/* Registers of a stopped thread: what is written is what it computes with. */
#include "test/unit/helpers/tracee_target.h"

#include <pthread.h>
#include <sys/syscall.h>

struct shared {
	uint64_t robust, rseq;
	atomic_int tid;
};

static struct shared *shm;

static struct target frozen_in(int (*run)(void *), long nr)
{
	memset(shm, 0, sizeof *shm);
	return target_frozen(run, NULL, nr);
}

/* rbx and xmm15 are changed while it waits; it ends with 0 if it sees both changes. */
static int run_judge(void *arg)
{
	uint64_t rbx = 1, xmm = 2;
	long ret = 34; /* pause */

	(void)arg;
	__asm__ volatile("mov $1, %%rbx\n\t movq %%rbx, %%xmm15\n\t syscall\n\t mov %%rbx, %1\n\t"
			 "movq %%xmm15, %2"
			 : "+a"(ret), "=r"(rbx), "=r"(xmm)
			 :
			 : "rbx", "rcx", "r11", "xmm15", "memory");
	return rbx == 0x1234567890 && xmm == 0xabcdef && ret == 77 ? 0 : 1;
}

static void test_round_trip(void **state)
{
	struct target x = frozen_in(run_judge, SYS_pause);
	struct user_regs_struct regs, again;
	unsigned char *xstate = malloc(65536), *after = malloc(65536);
	uint64_t value = 0xabcdef;
	size_t len = 65536, len_after = 65536;
	struct err err = { 0 };

	(void)state;
	assert_ok(thread_get_regs(x.pid, &regs, &err), err);
	assert_int_equal(regs.orig_rax, SYS_pause);
	assert_int_equal((int64_t)regs.rax, -514); /* ERESTARTNOHAND */
	assert_true(regs.fs_base != 0);
	regs.rbx = 0x1234567890;
	regs.rax = 77;
	regs.orig_rax = (uint64_t)-1;
	assert_ok(thread_set_regs(x.pid, &regs, &err), err);
	assert_ok(thread_get_regs(x.pid, &again, &err), err);
	assert_memory_equal(&regs, &again, sizeof regs);
	assert_ok(thread_get_xstate(x.pid, xstate, &len, &err), err);
	assert_true(len >= 576 && len < 65536);
	memcpy(xstate + 160 + 15 * 16, &value, 8); /* xmm15 of the legacy area */
	assert_ok(thread_set_xstate(x.pid, xstate, len, &err), err);
	assert_int_equal(remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0), x.pid);
	assert_ok(thread_get_xstate(x.pid, after, &len_after, &err), err);
	assert_int_equal(len, len_after);
	assert_memory_equal(xstate, after, len);
	assert_ok(tracer_thaw(x.tr, &err), err);
	assert_int_equal(tracer_wait_end(x.tr), 0);
	tracer_destroy(x.tr);
	free(xstate);
	free(after);
}

static int run_pause(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static void test_xstate_room(void **state)
{
	struct target x = frozen_in(run_pause, SYS_pause);
	unsigned char xstate[65536];
	size_t len = sizeof xstate, exact;
	struct err err = { 0 };

	(void)state;
	assert_ok(thread_get_xstate(x.pid, xstate, &len, &err), err);
	exact = len;
	assert_ok(thread_get_xstate(x.pid, xstate, &exact, &err), err);
	assert_int_equal(exact, len);
	exact = len - 64;
	assert_int_equal(thread_get_xstate(x.pid, xstate, &exact, &err), -ENOSPC);
	target_finish(&x);
}

static void test_not_stopped(void **state)
{
	struct target x = frozen_in(run_pause, SYS_pause);
	struct user_regs_struct regs;
	struct err err = { 0 };

	(void)state;
	assert_ok(tracer_thaw(x.tr, &err), err);
	assert_int_equal(thread_get_regs(x.pid, &regs, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "read registers of thread"));
	target_finish(&x);
}

static void *pause_thread(void *arg)
{
	shm->tid = gettid();
	run_pause(arg);
	return arg;
}

static int run_thread(void *arg)
{
	void *head;
	size_t len;
	pthread_t thread;

	syscall(SYS_get_robust_list, 0, &head, &len);
	shm->robust = (uint64_t)head;
	pthread_create(&thread, NULL, pause_thread, NULL);
	return run_pause(arg);
}

static void test_lists(void **state)
{
	struct target x = frozen_in(run_thread, SYS_pause);
	struct thread_rseq mine, other;
	struct err err = { 0 };
	uint64_t head, len;

	(void)state;
	assert_ok(tracer_thaw(x.tr, &err), err);
	while (!shm->tid || !target_in(x.pid, shm->tid, SYS_pause))
		assert_ok(tracer_poll(x.tr, 1, NULL, &err), err);
	assert_ok(tracer_freeze(x.tr, &err), err);
	assert_int_equal(x.t->nr_threads, 2);
	assert_ok(thread_get_robust_list(x.pid, &head, &len, &err), err);
	assert_int_equal(head, shm->robust);
	assert_int_equal(len, 24);
	assert_ok(thread_get_rseq(x.pid, &mine, &err), err);
	assert_ok(thread_get_rseq(shm->tid, &other, &err), err);
	assert_true(mine.addr && other.addr && mine.addr != other.addr);
	assert_int_equal(mine.sig, 0x53053053);
	assert_int_equal(mine.len, other.len);
	/* The thread's own pointer is the first word of glibc's thread control block. */
	assert_int_equal(target_tls(&x, shm->tid, 0), target_tls(&x, shm->tid, 16));
	target_finish(&x);
}

static void test_vpid(void **state)
{
	struct target x = frozen_in(run_pause, SYS_pause);
	struct err err = { 0 };
	pid_t vpid = 0;

	(void)state;
	assert_ok(tracee_vpid(x.t, x.pid, &vpid, &err), err);
	assert_int_equal(vpid, x.pid);
	target_finish(&x);
}

static void test_rewind(void **state)
{
	static const struct {
		int64_t nr, rax;
		bool rewinds;
	} cases[] = {
		{ SYS_read, -512, true },
		{ SYS_nanosleep, -516, true },
		{ SYS_pause, -514, true },
		{ SYS_futex, -513, true },
		{ SYS_epoll_wait, -EINTR, true },
		{ SYS_splice, -EINTR, true },
		{ SYS_ppoll, -EINTR, true },
		{ SYS_close, -EINTR, false },
		{ SYS_read, 5, false },
		{ SYS_read, -EAGAIN, false },
		{ -1, -512, false },
		{ -1, -EINTR, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct user_regs_struct regs = { 0 }, before;

		regs.orig_rax = (uint64_t)cases[i].nr;
		regs.rax = (uint64_t)cases[i].rax;
		regs.rip = 0x1000;
		before = regs;
		assert_int_equal(syscall_rewind(&regs), cases[i].rewinds);
		if (!cases[i].rewinds) {
			assert_memory_equal(&regs, &before, sizeof regs);
			continue;
		}
		assert_int_equal(regs.rax, cases[i].nr);
		assert_int_equal(regs.rip, 0xffe);
		assert_int_equal(regs.orig_rax, UINT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_xstate_room),
		cmocka_unit_test(test_not_stopped),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_vpid),
		cmocka_unit_test(test_rewind),
	};

	shm = shared_alloc(sizeof *shm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
