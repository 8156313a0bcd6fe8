/* restore/xstate.c: registers from a CPU that lays them out in another way. */
#include "restore/xstate.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/xstate.h"
#include "images/snap.h"
#include "tracee/tracee.h"

enum { ROOM = 16 * 1024 };

/* A thread stopped with something in each register set that this CPU has for programs. */
static pid_t child_start(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct fixture {
	struct xstate_layout here;
	struct snap *snap;
	pid_t child;
	uint8_t real[ROOM]; /* as ptrace shows it here */
	size_t len;
};

/* Numbers in all vector registers; PKRU (9) is left alone. */
static void fill(struct fixture *f)
{
	uint64_t in_use = 3;

	for (size_t i = 0; i < f->here.nr_parts; i++) {
		const struct xstate_part *part = &f->here.parts[i];

		if (!((1u << part->nr) & 0xe4))
			continue;
		in_use |= UINT64_C(1) << part->nr;
		for (uint32_t at = 0; at < part->size; at++)
			f->real[part->offset + at] = (uint8_t)(part->nr * 31 + at * 7 + 1);
	}
	memcpy(f->real + XSTATE_HEADER, &in_use, sizeof in_use);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = { 0 };
	struct snap_proc *proc;

	xstate_layout_read(&f->here);
	if (!f->here.xcr0)
		return -1;
	f->child = child_start();
	f->len = sizeof f->real;
	assert_int_equal(thread_get_xstate(f->child, f->real, &f->len, &err), 0);
	assert_int_equal(f->len, f->here.size);
	fill(f);
	assert_int_equal(thread_set_xstate(f->child, f->real, f->len, &err), 0);
	assert_int_equal(thread_get_xstate(f->child, f->real, &f->len, &err), 0);

	f->snap = snap_create();
	f->snap->cpu.model = arena_strdup(f->snap->arena, "another CPU");
	f->snap->cpu.xcr0 = f->here.xcr0;
	f->snap->cpu.xstate_size = f->here.size;
	f->snap->cpu.xstate_parts = arena_copy(f->snap->arena, f->here.parts, sizeof f->here.parts);
	f->snap->cpu.nr_xstate_parts = f->here.nr_parts;
	proc = snap_add_proc(f->snap);
	proc->tasks = arena_array(f->snap->arena, 1, sizeof *proc->tasks);
	proc->nr_tasks = 1;
	proc->tasks[0].xstate = arena_copy(f->snap->arena, f->real, f->len);
	proc->tasks[0].nr_xstate = f->len;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	child_end(f->child);
	snap_destroy(f->snap);
	free(f);
	return 0;
}

static struct snap_task *task_of(struct fixture *f)
{
	return &f->snap->procs[0].tasks[0];
}

/* As if the CPU of the dump had its parts in reverse order, with gaps, and more room at the end. */
static void lay_out_otherwise(struct fixture *f)
{
	struct snap_cpu *cpu = &f->snap->cpu;
	uint32_t at = XSTATE_FIRST_PART + 64;
	uint8_t *xstate = arena_alloc(f->snap->arena, ROOM);

	memset(xstate, 0, ROOM);
	memcpy(xstate, f->real, XSTATE_FIRST_PART);
	for (size_t i = cpu->nr_xstate_parts; i-- > 0;) {
		struct xstate_part *part = &cpu->xstate_parts[i];

		memcpy(xstate + at, f->real + part->offset, part->size);
		part->offset = at;
		at += (part->size + 127) / 64 * 64;
	}
	cpu->xstate_size = at;
	task_of(f)->xstate = xstate;
	task_of(f)->nr_xstate = at;
}

static void the_same_layout_stays(void **state)
{
	struct fixture *f = *state;
	const uint8_t *before = task_of(f)->xstate;
	struct err err = { 0 };

	assert_int_equal(xstate_fit(f->snap, &f->here, &err), 0);
	assert_ptr_equal(task_of(f)->xstate, before);
	assert_int_equal(task_of(f)->nr_xstate, f->len);
}

static void another_layout_is_put_right(void **state)
{
	struct fixture *f = *state;
	uint8_t after[ROOM];
	size_t len = sizeof after;
	struct err err = { 0 };

	lay_out_otherwise(f);
	/* The kernel cuts what is too long, and takes it for other registers. */
	assert_int_equal(
		thread_set_xstate(f->child, task_of(f)->xstate, task_of(f)->nr_xstate, &err), 0);
	assert_int_equal(thread_get_xstate(f->child, after, &len, &err), 0);
	assert_memory_not_equal(after, f->real, f->len);
	assert_int_equal(xstate_fit(f->snap, &f->here, &err), 0);
	assert_int_equal(task_of(f)->nr_xstate, f->len);
	assert_memory_equal(task_of(f)->xstate, f->real, f->len);
	assert_int_equal(
		thread_set_xstate(f->child, task_of(f)->xstate, task_of(f)->nr_xstate, &err), 0);
	assert_int_equal(thread_get_xstate(f->child, after, &len, &err), 0);
	assert_memory_equal(after, f->real, f->len);
}

/* An older CPU: x87 and SSE alone; everything else is in its initial state here. */
static void a_cpu_with_less_will_do(void **state)
{
	static const uint8_t zero[ROOM];
	struct fixture *f = *state;
	struct err err = { 0 };
	uint64_t in_use = 3;

	memcpy(f->real + XSTATE_HEADER, &in_use, sizeof in_use);
	f->snap->cpu.xcr0 = 7;
	f->snap->cpu.nr_xstate_parts = 1; /* AVX */
	f->snap->cpu.xstate_size = XSTATE_FIRST_PART + 256;
	task_of(f)->xstate = arena_copy(f->snap->arena, f->real, XSTATE_FIRST_PART + 256);
	task_of(f)->nr_xstate = XSTATE_FIRST_PART + 256;
	/* The kernel takes nothing that is too short, with words that help nobody. */
	assert_int_equal(
		thread_set_xstate(f->child, task_of(f)->xstate, XSTATE_FIRST_PART + 256, &err),
		-EFAULT);
	assert_int_equal(xstate_fit(f->snap, &f->here, &err), 0);
	assert_int_equal(task_of(f)->nr_xstate, f->len);
	assert_memory_equal(task_of(f)->xstate, f->real, XSTATE_FIRST_PART);
	assert_memory_equal(
		task_of(f)->xstate + XSTATE_FIRST_PART, zero, f->len - XSTATE_FIRST_PART);
	assert_int_equal(thread_set_xstate(f->child, task_of(f)->xstate, f->len, &err), 0);
}

static void refused(struct fixture *f, const char *words)
{
	struct err err = { 0 };

	assert_int_equal(xstate_fit(f->snap, &f->here, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, words));
	assert_non_null(strstr(err.hint, "another CPU"));
}

static void a_part_of_another_size_is_refused(void **state)
{
	struct fixture *f = *state;

	f->snap->cpu.xstate_parts[0].size -= 8;
	refused(f, "register set 2 (a bit of xcr0) has 248 bytes in the image, 256 here");
}

/* Images from before the layout was recorded. */
static void without_a_layout_the_size_counts(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };

	f->snap->cpu.nr_xstate_parts = 0;
	assert_int_equal(xstate_fit(f->snap, &f->here, &err), 0);
	f->snap->cpu.xstate_size -= 64;
	refused(f, "the image does not say where which is");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_same_layout_stays),
		TEST(another_layout_is_put_right),
		TEST(a_cpu_with_less_will_do),
		TEST(a_part_of_another_size_is_refused),
		TEST(without_a_layout_the_size_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
