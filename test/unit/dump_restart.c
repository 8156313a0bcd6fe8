/* dump/restart: what becomes of a system call that our stop interrupted. */
#include "test/unit/helpers/tracee_target.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/user.h>

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

static void assert_rewound(long nr, int64_t answer, struct restart_signal sig, uint32_t restart)
{
	struct snap_regs regs = stopped_in(nr, answer);

	assert_int_equal(restart_apply(&regs, &sig), restart);
	assert_int_equal(regs.rip, BEHIND_SYSCALL - 2);
	assert_int_equal(regs.rax, nr);
	assert_int_equal((int64_t)regs.orig_rax, -1);
}

static void assert_returned(long nr, int64_t answer, struct restart_signal sig, int64_t expected)
{
	struct snap_regs regs = stopped_in(nr, answer);

	assert_int_equal(restart_apply(&regs, &sig), 0);
	assert_int_equal(regs.rip, BEHIND_SYSCALL);
	assert_int_equal((int64_t)regs.rax, expected);
	assert_int_equal((int64_t)regs.orig_rax, -1);
}

static const struct restart_signal none = { false, false }, handler = { true, false },
				   restarting = { true, true };

static void restart_codes_make_the_call_again(void **state)
{
	(void)state;
	assert_rewound(SYS_futex, -512, none, SNAP_RESTART_SYS);
	assert_rewound(SYS_futex, -513, none, 0);
	assert_rewound(SYS_futex, -514, none, SNAP_RESTART_NOHAND);
	assert_rewound(SYS_futex, -516, none, SNAP_RESTART_NOHAND);
}

static void a_handler_ends_what_the_kernel_would_end(void **state)
{
	(void)state;
	assert_returned(SYS_pause, -514, handler, -EINTR);
	assert_returned(SYS_pause, -514, restarting, -EINTR);
	assert_returned(SYS_nanosleep, -516, restarting, -EINTR);
	assert_returned(SYS_read, -512, handler, -EINTR);
	assert_rewound(SYS_read, -512, restarting, SNAP_RESTART_SYS);
	assert_rewound(SYS_futex, -513, handler, 0);
}

static void an_eintr_that_nothing_explains_is_taken_back(void **state)
{
	(void)state;
	assert_rewound(SYS_epoll_wait, -EINTR, none, SNAP_RESTART_NOHAND);
	assert_rewound(SYS_rt_sigtimedwait, -EINTR, none, SNAP_RESTART_NOHAND);
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

/* ---- by arguments: a process in a real restart_syscall ---- */

/* What calls point to; the target has it at the same addresses. */
static struct {
	struct timespec time, rest;
	struct pollfd fds[70];
	uint32_t word[4];
} * mem;

struct wait {
	long nr;
	uint64_t args[6];
};

static uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static int mem_setup(void **state)
{
	(void)state;
	mem = shared_alloc(sizeof *mem);
	return 0;
}

static int mem_teardown(void **state)
{
	(void)state;
	return munmap(mem, sizeof *mem);
}

static void mem_reset(void)
{
	memset(mem, 0, sizeof *mem);
	mem->time = (struct timespec){ 3600, 5 };
}

static int run_wait(void *arg)
{
	const struct wait *w = arg;
	const uint64_t *a = w->args;

	syscall(w->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return 1;
}

struct stopped {
	struct tracer *tr;
	struct tracee *t;
	pid_t pid;
	struct snap_regs regs;
};

static void stopped_read_regs(struct stopped *s)
{
	struct user_regs_struct regs;
	struct err err = { 0 };

	assert_ok(tracer_freeze(s->tr, &err), err);
	assert_ok(thread_get_regs(s->pid, &regs, &err), err);
	assert_int_equal(sizeof regs, sizeof s->regs);
	memcpy(&s->regs, &regs, sizeof regs);
}

/* Frozen in this call. */
static struct stopped stopped_start(struct wait *w)
{
	struct stopped s = { .tr = tracer_create() };
	struct err err = { 0 };

	s.pid = target_start(run_wait, w);
	wait_until(target_in(s.pid, s.pid, w->nr));
	assert_ok(tracee_seize(s.tr, s.pid, &s.t, &err), err);
	stopped_read_regs(&s);
	return s;
}

static void stopped_end(struct stopped *s)
{
	tracee_kill(s->t);
	tracer_destroy(s->tr);
}

/* Frozen in it for the second time: in restart_syscall. */
static struct stopped stopped_again(struct wait *w)
{
	struct stopped s = stopped_start(w);
	struct err err = { 0 };

	assert_ok(tracer_thaw(s.tr, &err), err);
	wait_until(target_in(s.pid, s.pid, SYS_restart_syscall));
	stopped_read_regs(&s);
	assert_int_equal(s.regs.orig_rax, SYS_restart_syscall);
	assert_int_equal((int64_t)s.regs.rax, -516);
	return s;
}

static void assert_found(struct wait w, int64_t expected)
{
	struct stopped s = stopped_again(&w);
	int64_t nr = restart_call_by_args(s.t, &s.regs);

	stopped_end(&s);
	assert_int_equal(nr, expected);
}

static void finds_nanosleep(void **state)
{
	(void)state;
	mem_reset();
	assert_found((struct wait){ SYS_nanosleep, { at(&mem->time) } }, SYS_nanosleep);
	/* 77 is no timeout of a poll. */
	assert_found((struct wait){ SYS_nanosleep, { at(&mem->time), 0, 77 } }, SYS_nanosleep);
	mem->rest = (struct timespec){ -1, -1 }; /* the kernel writes it */
	assert_found((struct wait){ SYS_nanosleep, { at(&mem->time), at(&mem->rest), 77 } },
		SYS_nanosleep);
	assert_found(
		(struct wait){ SYS_nanosleep, { at(&mem->time), at(&mem->time) } }, SYS_nanosleep);
}

static void finds_clock_nanosleep(void **state)
{
	static const int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
		CLOCK_BOOTTIME, CLOCK_TAI };
	clockid_t cpu;

	(void)state;
	mem_reset();
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
		assert_found((struct wait){ SYS_clock_nanosleep,
				     { (uint64_t)clocks[i], 0, at(&mem->time) } },
			SYS_clock_nanosleep);
	assert_int_equal(clock_getcpuclockid(getppid(), &cpu), 0);
	assert_found((struct wait){ SYS_clock_nanosleep,
			     { (uint64_t)cpu, 0, at(&mem->time), at(&mem->rest) } },
		SYS_clock_nanosleep);
}

static void finds_futex(void **state)
{
	static const int ops[] = { FUTEX_WAIT, FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET,
		FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME };

	(void)state;
	mem_reset();
	clock_gettime(CLOCK_REALTIME, &mem->time);
	mem->time.tv_sec += 3600; /* for CLOCK_REALTIME; long enough for the others too */
	/* With zeros behind it, it is a timespec too: { 1, 0 }. */
	mem->word[0] = 1;
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		assert_found((struct wait){ SYS_futex, { at(mem->word), (uint64_t)ops[i], 1,
							       at(&mem->time), 0, ~0u } },
			SYS_futex);
}

static void finds_poll(void **state)
{
	(void)state;
	mem_reset();
	for (int i = 0; i < 70; i++)
		mem->fds[i] = (struct pollfd){ i % 2 ? -1 : ~i, POLLIN, POLLOUT };
	assert_found((struct wait){ SYS_poll, { at(mem->fds), 70, 3600000 } }, SYS_poll);
	assert_found((struct wait){ SYS_poll, { at(mem->fds), 1, (uint64_t)-1 } }, SYS_poll);
	assert_found((struct wait){ SYS_poll, { at(mem->fds), 1, UINT32_MAX } }, SYS_poll);
	assert_found((struct wait){ SYS_poll, { 0, 0, 3600000 } }, SYS_poll);
	/* A Rust slice that is empty. */
	assert_found((struct wait){ SYS_poll, { 4, 0, (uint64_t)-1 } }, SYS_poll);
}

/* ---- by arguments: which ones count ---- */

/* A frozen process whose registers we make up. */
static struct stopped any;

static int any_setup(void **state)
{
	static struct wait w = { .nr = SYS_pause };

	mem_setup(state);
	any = stopped_start(&w);
	return 0;
}

static int any_teardown(void **state)
{
	stopped_end(&any);
	return mem_teardown(state);
}

static int64_t call_of(uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10)
{
	struct snap_regs regs = any.regs;

	regs.rdi = rdi;
	regs.rsi = rsi;
	regs.rdx = rdx;
	regs.r10 = r10;
	return restart_call_by_args(any.t, &regs);
}

static void refuses_what_cannot_wait(void **state)
{
	uint64_t time, far = at(mem) << 1;

	(void)state;
	mem_reset();
	time = at(&mem->time);
	assert_int_equal(call_of(CLOCK_MONOTONIC, 0, time, 0), SYS_clock_nanosleep);
	assert_int_equal(call_of(CLOCK_MONOTONIC, TIMER_ABSTIME, time, 0), -1);
	assert_int_equal(call_of(CLOCK_MONOTONIC_RAW, 0, time, 0), -1);
	assert_int_equal(call_of(CLOCK_MONOTONIC, 0, far, 0), -1);
	assert_int_equal(call_of(CLOCK_MONOTONIC, 0, time, far), -1);
	mem->time.tv_nsec = 1000000000;
	assert_int_equal(call_of(CLOCK_MONOTONIC, 0, time, 0), -1);
	assert_int_equal(call_of(time, 0, 0, 0), -1);
	mem->time = (struct timespec){ -1, 0 };
	assert_int_equal(call_of(time, 0, 0, 0), -1);
	mem->time = (struct timespec){ 0, 0 };
	assert_int_equal(call_of(time, 0, 0, 0), -1);
}

static void refuses_other_polls_and_futexes(void **state)
{
	uint64_t word, fds;

	(void)state;
	mem_reset();
	word = at(mem->word), fds = at(mem->fds);
	assert_int_equal(call_of(word, FUTEX_WAIT_PRIVATE, 0, at(&mem->time)), SYS_futex);
	assert_int_equal(call_of(word, FUTEX_LOCK_PI_PRIVATE, 0, at(&mem->time)), -1);
	assert_int_equal(call_of(word + 1, FUTEX_WAIT_PRIVATE, 0, at(&mem->time)), -1);
	assert_int_equal(call_of(word, FUTEX_WAIT_PRIVATE, 0, 0), -1);
	assert_int_equal(call_of(fds, 70, 10, 0), SYS_poll);
	assert_int_equal(call_of(fds, 70, 0, 0), -1);
	assert_int_equal(call_of(fds, 70, at(mem), 0), -1);
	assert_int_equal(call_of(fds, 1 << 20, 10, 0), -1); /* not all mapped */
	mem->fds[69].revents = POLLIN;
	assert_int_equal(call_of(fds, 70, 10, 0), -1);
	assert_int_equal(call_of(fds, 69, 10, 0), SYS_poll);
	mem->fds[68].fd = 1 << 20;
	assert_int_equal(call_of(fds, 69, 10, 0), -1);
}

static void prefers_what_leftovers_cannot_be(void **state)
{
	uint64_t time;

	(void)state;
	mem_reset();
	time = at(&mem->time);
	/* Also a nanosleep of 9 s, also a poll of nothing. */
	mem->word[0] = 9;
	assert_int_equal(call_of(at(mem->word), FUTEX_WAIT, 9, time), SYS_futex);
	/* Also a poll of 128 times descriptor 0 (the first is 9). */
	assert_int_equal(call_of(at(mem->word), FUTEX_WAIT_PRIVATE, 9, time), SYS_futex);
	assert_int_equal(call_of(time, 0, 500, 0), SYS_nanosleep);
	assert_int_equal(call_of(CLOCK_REALTIME, 0, time, 0), SYS_clock_nanosleep);
}

static void decides_nothing_in_doubt(void **state)
{
	uint64_t time;

	(void)state;
	mem_reset();
	time = at(&mem->time);
	/* The word is being woken from 8; nobody may sleep for 9 s or poll for 8 ms. */
	mem->word[0] = 9;
	assert_int_equal(call_of(at(mem->word), FUTEX_WAIT, 8, time), -1);
	mem->word[3] = 1; /* no time any more */
	mem->word[2] = 1;
	assert_int_equal(call_of(at(mem->word), FUTEX_WAIT, 8, time), -1);
	assert_int_equal(call_of(at(mem->word), FUTEX_WAIT_PRIVATE, 8, time), -1);
	/* 136 years and more, or an array of one descriptor that poll is not to look at. */
	mem->fds[0] = (struct pollfd){ 3, POLLIN, 0 };
	assert_int_equal(call_of(at(mem->fds), 0, 500, 0), -1);
	assert_int_equal(call_of(at(mem->fds), 0, 0, 0), SYS_nanosleep);
	assert_int_equal(call_of(at(mem->fds), 1, 500, 0), SYS_poll);
}

/* A time at an address that is a negative clock too. */
static void decides_nothing_between_sleeps(void **state)
{
	void *want = (void *)0x90000000,
	     *low = mmap(want, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	static struct wait w = { .nr = SYS_pause };
	struct stopped s;
	int64_t nr;

	(void)state;
	if (low == MAP_FAILED && errno == EEXIST)
		skip(); /* a sanitizer's shadow memory lies there */
	assert_ptr_equal(low, want);
	mem_reset();
	*(struct timespec *)low = mem->time;
	s = stopped_start(&w);
	s.regs.rdi = at(low);
	s.regs.rsi = s.regs.r10 = 0;
	s.regs.rdx = at(&mem->time);
	nr = restart_call_by_args(s.t, &s.regs);
	stopped_end(&s);
	munmap(low, 4096);
	assert_int_equal(nr, -1);
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
		cmocka_unit_test_setup_teardown(finds_nanosleep, mem_setup, mem_teardown),
		cmocka_unit_test_setup_teardown(finds_clock_nanosleep, mem_setup, mem_teardown),
		cmocka_unit_test_setup_teardown(finds_futex, mem_setup, mem_teardown),
		cmocka_unit_test_setup_teardown(finds_poll, mem_setup, mem_teardown),
		cmocka_unit_test_setup_teardown(refuses_what_cannot_wait, any_setup, any_teardown),
		cmocka_unit_test_setup_teardown(
			refuses_other_polls_and_futexes, any_setup, any_teardown),
		cmocka_unit_test_setup_teardown(
			prefers_what_leftovers_cannot_be, any_setup, any_teardown),
		cmocka_unit_test_setup_teardown(decides_nothing_in_doubt, any_setup, any_teardown),
		cmocka_unit_test_setup_teardown(
			decides_nothing_between_sleeps, mem_setup, mem_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
