/* restore/cpu.c: a program only runs where the CPU has what it may be using. */
#include "restore/cpu.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "dump/dumping.h"
#include "images/snap.h"

/* As a dump made here records it. */
static int setup(void **state)
{
	struct snap *snap = snap_create();
	struct err err = { 0 };

	assert_int_equal(cpu_collect(snap, &err), 0);
	assert_true(snap->cpu.nr_features > 0);
	*state = snap;
	return 0;
}

static int teardown(void **state)
{
	snap_destroy(*state);
	return 0;
}

static void refused(struct snap *snap, const char *words)
{
	struct err err = { 0 };

	assert_int_equal(cpu_check(snap, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, words));
	assert_non_null(strstr(err.hint, snap->cpu.model));
}

static void the_same_cpu_will_do(void **state)
{
	struct err err = { 0 };

	assert_int_equal(cpu_check(*state, &err), 0);
}

static bool has_feature(const struct snap *snap, const char *name)
{
	for (size_t i = 0; i < snap->cpu.nr_features; i++)
		if (!strcmp(snap->cpu.features[i], name))
			return true;
	return false;
}

/* No CPU has both: one was AMD's alone, the other is Intel's. */
static void lacking_instructions_are_named(void **state)
{
	struct snap *snap = *state;
	char xop[] = "xop", amx[] = "amx_tile", *lacking = has_feature(snap, xop) ? amx : xop;

	snap->cpu.features[snap->cpu.nr_features / 2] = lacking;
	refused(snap, lacking);
}

/* Whatever is no instruction of programs: names of defects and of what kernels use. */
static void other_flags_do_not_matter(void **state)
{
	struct snap *snap = *state;
	struct err err = { 0 };
	char flag[] = "flag_of_the_future";

	snap->cpu.features[0] = flag;
	assert_int_equal(cpu_check(snap, &err), 0);
}

static void lacking_registers_are_named(void **state)
{
	struct snap *snap = *state;

	snap->cpu.xcr0 |= UINT64_C(1) << 62;
	refused(snap, "xcr0 bits 4000000000000000");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_same_cpu_will_do),
		TEST(lacking_instructions_are_named),
		TEST(other_flags_do_not_matter),
		TEST(lacking_registers_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
