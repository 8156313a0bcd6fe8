/* images/makers: which thread makes which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h"
#include "images/makers.h"
#include "images/snap.h"

enum { NR = 6, LEADER = 100 };

/* Of each thread but the first: who lists its table and its directory; 0: they are the first's. */
struct has {
	int32_t files, fs;
};

/* Who makes threads 1 and on, as digits; "" where nobody can. */
static const char *made_by(const struct has *has, size_t nr, char out[NR + 1])
{
	struct arena *a = arena_create();
	struct snap_task tasks[NR] = { { .tid = LEADER } };
	struct snap_thread_files files[NR];
	struct snap_thread_fs fs[NR];
	struct snap_proc proc = {
		.tasks = tasks, .nr_tasks = nr + 1, .thread_files = files, .thread_fs = fs
	};
	uint32_t *makers;

	for (size_t i = 0; i < nr; i++) {
		int32_t tid = tasks[i + 1].tid = LEADER + (int32_t)i + 1;

		if (has[i].files)
			files[proc.nr_thread_files++] = (struct snap_thread_files){ .tid = tid,
				.with = has[i].files == tid ? 0 : has[i].files };
		if (has[i].fs)
			fs[proc.nr_thread_fs++] = (struct snap_thread_fs){ .tid = tid,
				.with = has[i].fs == tid ? 0 : has[i].fs };
	}
	makers = makers_of(a, &proc);
	memset(out, 0, NR + 1);
	for (size_t i = 0; makers && i < nr; i++)
		out[i] = (char)('0' + makers[i + 1]);
	arena_destroy(a);
	return out;
}

static void the_first_makes_what_shares_with_nobody_else(void **state)
{
	const struct has has[] = { { 0, 0 }, { 102, 0 }, { 0, 103 }, { 104, 104 } };
	char out[NR + 1];

	(void)state;
	assert_string_equal(made_by(has, 4, out), "0000");
}

static void sharers_make_each_other(void **state)
{
	const struct has pair[] = { { 101, 0 }, { 101, 0 }, { 101, 103 } };
	const struct has chain[] = { { 101, 101 }, { 101, 102 }, { 103, 102 }, { 103, 104 } };
	const struct has middle[] = { { 101, 101 }, { 102, 102 }, { 101, 102 } };
	char out[NR + 1];

	(void)state;
	assert_string_equal(made_by(pair, 3, out), "011");
	assert_string_equal(made_by(chain, 4, out), "0123");
	/* The second one is reached by way of the third. */
	assert_string_equal(made_by(middle, 3, out), "031");
}

static void circles_cannot_be(void **state)
{
	const struct has first[] = { { 101, 0 }, { 0, 102 }, { 101, 102 } };
	const struct has others[] = { { 101, 101 }, { 101, 102 }, { 103, 101 }, { 103, 102 } };
	char out[NR + 1];

	(void)state;
	assert_string_equal(made_by(first, 3, out), "");
	assert_string_equal(made_by(others, 4, out), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_makes_what_shares_with_nobody_else),
		cmocka_unit_test(sharers_make_each_other),
		cmocka_unit_test(circles_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
