/* The plan of the blob, built and run for real: in a child, whose end is the SIGTRAP of parking. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "restore/plan.h"

enum { ROOM = 1 << 20 };

static void *blob_room(void)
{
	void *room = mmap(
		NULL, ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(room, MAP_FAILED);
	return room;
}

/* As the tracer does it: rip at the blob, rdi the plan, rsi the thread, rsp its stack. */
static _Noreturn void blob_enter(const struct plan *p)
{
	uint64_t plan = p->base + plan_code_size();

	__asm__ volatile("mov %0, %%rsp\n\tjmp *%1"
			 :
			 : "r"(plan + p->threads[0].stack_top), "r"(p->base), "D"(plan), "S"(0L)
			 : "memory");
	__builtin_unreachable();
}

/* Lay the plan out in its room, run it in a child, give back the leader's entry. */
static struct blob_thread blob_run(struct plan *p)
{
	struct buf bytes = BUF_EMPTY;
	struct blob_thread out;
	int status;
	pid_t pid;

	plan_layout(p, &bytes);
	assert_true(plan_size(p) <= ROOM);
	memcpy((void *)p->base, bytes.data, bytes.len);
	buf_finish(&bytes);
	pid = fork();
	if (pid == 0)
		blob_enter(p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP);
	memcpy(&out, (void *)plan_threads_addr(p), sizeof out);
	return out;
}

static int64_t step_result(const struct plan *p, size_t step)
{
	return ((struct blob_step *)plan_step_addr(p, 0, step))->result;
}

static void steps_run_in_order(void **state)
{
	char text[16] = "";
	struct plan p;
	uint64_t data;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	plan_init(&p, (uint64_t)blob_room(), 1);
	data = plan_data(&p, "firstsecond", 11);
	plan_syscall(&p, 0, SYS_write, (struct plan_args){ { (uint64_t)pipes[1], data, 5 } });
	plan_syscall(&p, 0, SYS_write, (struct plan_args){ { (uint64_t)pipes[1], data + 5, 6 } });
	assert_int_equal(blob_run(&p).failed_step, 0);
	assert_int_equal(step_result(&p, 0), 5);
	assert_int_equal(step_result(&p, 1), 6);
	assert_int_equal(read(pipes[0], text, sizeof text - 1), 11);
	assert_string_equal(text, "firstsecond");
	close(pipes[0]);
	close(pipes[1]);
	plan_finish(&p);
}

static void failure_names_the_step(void **state)
{
	struct blob_thread t;
	struct plan p;

	(void)state;
	plan_init(&p, (uint64_t)blob_room(), 1);
	plan_syscall(&p, 0, SYS_getpid, (struct plan_args){ { 0 } });
	plan_syscall(&p, 0, SYS_close, (struct plan_args){ { 9999 } });
	plan_syscall(&p, 0, SYS_getppid, (struct plan_args){ { 0 } });
	t = blob_run(&p);
	assert_int_equal(t.failed_step, 2);
	assert_int_equal(t.failed_errno, EBADF);
	assert_int_equal(step_result(&p, 2), 0);
	plan_finish(&p);
}

static void failures_can_be_tolerated(void **state)
{
	static const uint32_t tolerated[] = { EBADF, BLOB_ANY_ERRNO, EPERM };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct plan p;

		plan_init(&p, (uint64_t)blob_room(), 1);
		plan_syscall(&p, 0, SYS_close, (struct plan_args){ { 9999 } })->tolerate =
			tolerated[i];
		assert_int_equal(blob_run(&p).failed_errno, i < 2 ? 0 : EBADF);
		assert_int_equal(step_result(&p, 0), -EBADF);
		plan_finish(&p);
	}
}

static void results_can_be_demanded(void **state)
{
	struct blob_step *step;
	struct plan p;

	(void)state;
	plan_init(&p, (uint64_t)blob_room(), 1);
	step = plan_step(&p, 0, BLOB_SYSCALL_IS);
	step->nr = SYS_getppid;
	step->expect = -1;
	assert_int_equal(blob_run(&p).failed_errno, EBADE);
	plan_finish(&p);
}

/* A cached word is replaced only if it is the expected one. */
static void words_are_compared(void **state)
{
	uint32_t words[2] = { 7, 8 };
	struct blob_step *step;
	struct plan p;
	uint64_t data;

	(void)state;
	plan_init(&p, (uint64_t)blob_room(), 1);
	data = plan_data(&p, words, sizeof words);
	for (uint64_t i = 0; i < 2; i++) {
		step = plan_step(&p, 0, BLOB_STORE32);
		step->args[0] = data + 4 * i;
		step->args[1] = 42;
		step->args[2] = 7;
	}
	assert_int_equal(blob_run(&p).failed_step, 0);
	memcpy(words, (void *)data, sizeof words);
	assert_int_equal(words[0], 42);
	assert_int_equal(words[1], 8);
	plan_finish(&p);
}

/* Data keeps the address it was given however much comes behind it. */
static void data_stays_where_it_is(void **state)
{
	struct plan p;
	uint64_t first;
	char big[5000];

	(void)state;
	memset(big, 'b', sizeof big);
	plan_init(&p, (uint64_t)blob_room(), 3);
	first = plan_data(&p, "here", 5);
	for (int i = 0; i < 20; i++)
		plan_data(&p, big, sizeof big - (size_t)i);
	assert_int_equal(blob_run(&p).failed_step, 0);
	assert_string_equal((const char *)first, "here");
	plan_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_run_in_order),
		cmocka_unit_test(failure_names_the_step),
		cmocka_unit_test(failures_can_be_tolerated),
		cmocka_unit_test(results_can_be_demanded),
		cmocka_unit_test(words_are_compared),
		cmocka_unit_test(data_stays_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
