/* base/arena and base/buf: memory that grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"

static void objects_are_zeroed_aligned_and_apart(void **state)
{
	static const size_t sizes[] = { 1, 16, 100, 5000, 20000, 9000000, 3 };
	unsigned char *objects[sizeof sizes / sizeof *sizes];
	struct arena *a = arena_create();

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		objects[i] = arena_alloc(a, sizes[i]);
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		for (size_t j = 0; j < sizes[i]; j++)
			if (objects[i][j])
				fail_msg("byte %zu of object %zu is not zero", j, i);
		memset(objects[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_int_equal(objects[i][0], i + 1);
		assert_int_equal(objects[i][sizes[i] - 1], i + 1);
	}
	arena_destroy(a);
}

static void nothing_is_a_fine_arena_to_destroy(void **state)
{
	(void)state;
	arena_destroy(NULL);
}

static void texts_are_copied(void **state)
{
	struct arena *a = arena_create();
	char source[] = "epoll_wait";
	char *whole = arena_strdup(a, source), *part = arena_strndup(a, source, 5);
	char *printed = arena_printf(a, "%s: %d", source, 42);

	(void)state;
	memset(source, 'x', sizeof source - 1);
	assert_string_equal(whole, "epoll_wait");
	assert_string_equal(part, "epoll");
	assert_string_equal(printed, "epoll_wait: 42");
	assert_non_null(arena_copy(a, NULL, 0));
	arena_destroy(a);
}

static void growing_keeps_what_was_there(void **state)
{
	struct arena *a = arena_create();
	size_t nr = 0, cap = 0;
	uint64_t *values = NULL;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		values = arena_grow(a, values, nr, &cap, sizeof *values);
		assert_true(nr < cap);
		assert_int_equal(values[nr], 0);
		values[nr++] = i * i;
	}
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(values[i], i * i);
	arena_destroy(a);
}

static void buffers_grow_and_stay_terminated(void **state)
{
	struct buf b = BUF_EMPTY;
	char expected[32];

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%04d,", i);
	assert_int_equal(b.len, 5000);
	assert_int_equal(strlen(b.data), 5000);
	snprintf(expected, sizeof expected, "%04d,", 777);
	assert_memory_equal(b.data + 777 * 5, expected, 5);
	buf_append(&b, "tail\0end", 8);
	assert_int_equal(b.len, 5008);
	assert_memory_equal(b.data + 5000, "tail\0end", 8);
	buf_append(&b, NULL, 0);
	buf_finish(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	buf_finish(&b);
}

static void reserved_room_is_writable(void **state)
{
	struct buf b = BUF_EMPTY;

	(void)state;
	memset(buf_reserve(&b, 100000), 'r', 100000);
	b.len += 100000;
	buf_append(&b, "!", 1);
	assert_int_equal(b.len, 100001);
	assert_int_equal(b.data[99999], 'r');
	assert_int_equal(b.data[100000], '!');
	buf_finish(&b);
}

/* It says so on its standard error, and leaves no core file. */
static void no_memory_is_an_exit_status(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		close(2);
		arena_alloc(arena_create(), SIZE_MAX / 2);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), MEMORY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
		cmocka_unit_test(nothing_is_a_fine_arena_to_destroy),
		cmocka_unit_test(texts_are_copied),
		cmocka_unit_test(growing_keeps_what_was_there),
		cmocka_unit_test(no_memory_is_an_exit_status),
		cmocka_unit_test(buffers_grow_and_stay_terminated),
		cmocka_unit_test(reserved_room_is_writable),
	};

	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
