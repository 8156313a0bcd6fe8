/* dump/restart: what becomes of a system call that our stop interrupted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "dump/restart.h"
#include "images/snap.h"

static const uint64_t BEHIND_SYSCALL = 0x1002;

static struct snap_regs stopped_in(long nr, int64_t answer)
{
	return (struct snap_regs){
		.rip = BEHIND_SYSCALL,
		.orig_rax = (uint64_t)nr,
		.rax = (uint64_t)answer,
	};
}

static void assert_rewound(long nr, int64_t answer, struct restart_signal sig)
{
	struct snap_regs regs = stopped_in(nr, answer);

	restart_apply(&regs, &sig);
	assert_int_equal(regs.rip, BEHIND_SYSCALL - 2);
	assert_int_equal(regs.rax, nr);
	assert_int_equal((int64_t)regs.orig_rax, -1);
}

static void assert_returned(long nr, int64_t answer, struct restart_signal sig, int64_t expected)
{
	struct snap_regs regs = stopped_in(nr, answer);

	restart_apply(&regs, &sig);
	assert_int_equal(regs.rip, BEHIND_SYSCALL);
	assert_int_equal((int64_t)regs.rax, expected);
	assert_int_equal((int64_t)regs.orig_rax, -1);
}

static const struct restart_signal none = { false, false }, handler = { true, false },
				   restarting = { true, true };

static void restart_codes_make_the_call_again(void **state)
{
	static const int codes[] = { 512, 513, 514, 516 };

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		assert_rewound(SYS_futex, -codes[i], none);
}

static void a_handler_ends_what_the_kernel_would_end(void **state)
{
	(void)state;
	assert_returned(SYS_pause, -514, handler, -EINTR);
	assert_returned(SYS_pause, -514, restarting, -EINTR);
	assert_returned(SYS_nanosleep, -516, restarting, -EINTR);
	assert_returned(SYS_read, -512, handler, -EINTR);
	assert_rewound(SYS_read, -512, restarting);
	assert_rewound(SYS_futex, -513, handler);
}

static void an_eintr_that_nothing_explains_is_taken_back(void **state)
{
	(void)state;
	assert_rewound(SYS_epoll_wait, -EINTR, none);
	assert_rewound(SYS_rt_sigtimedwait, -EINTR, none);
	assert_returned(SYS_epoll_wait, -EINTR, handler, -EINTR);
	assert_returned(SYS_close, -EINTR, none, -EINTR);
}

static void results_stay(void **state)
{
	struct snap_regs computing = {
		.rip = 0x5000, .orig_rax = (uint64_t)-1, .rax = (uint64_t)-512
	};

	(void)state;
	assert_returned(SYS_read, 17, none, 17);
	assert_returned(SYS_read, -EAGAIN, none, -EAGAIN);
	restart_apply(&computing, &none);
	assert_int_equal(computing.rip, 0x5000);
	assert_int_equal((int64_t)computing.rax, -512);
}

static void tells_who_waits_in_what(void **state)
{
	struct snap_regs waits = stopped_in(SYS_accept, -512), back = stopped_in(SYS_accept, 5),
			 epoll = stopped_in(SYS_epoll_wait, -EINTR);

	(void)state;
	assert_int_equal(restart_waiting_in(&waits), SYS_accept);
	assert_int_equal(restart_waiting_in(&epoll), SYS_epoll_wait);
	assert_int_equal(restart_waiting_in(&back), -1);
}

static void finds_the_call_behind_restart_syscall(void **state)
{
	/* xor %edx,%edx; mov $0xca,%eax; mov %rbx,%rdi, as glibc has it around futex. */
	static const uint8_t futex[] = { 0x31, 0xd2, 0xb8, 0xca, 0, 0, 0, 0x48, 0x89, 0xdf };
	static const uint8_t write_call[] = { 0x90, 0xb8, 0x01, 0, 0, 0 };

	(void)state;
	assert_int_equal(restart_call_before(futex, sizeof futex), SYS_futex);
	assert_int_equal(restart_call_before(write_call, sizeof write_call), -1);
	assert_int_equal(restart_call_before(futex, 3), -1);
	assert_returned(SYS_restart_syscall, -516, none, -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_codes_make_the_call_again),
		cmocka_unit_test(a_handler_ends_what_the_kernel_would_end),
		cmocka_unit_test(an_eintr_that_nothing_explains_is_taken_back),
		cmocka_unit_test(results_stay),
		cmocka_unit_test(tells_who_waits_in_what),
		cmocka_unit_test(finds_the_call_behind_restart_syscall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
