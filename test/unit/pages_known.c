/* Stored pages are found again by address and contents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "images/pages.h"
#include "images/pages_known.h"

static int known_setup(void **state)
{
	*state = pages_known_create(NULL);
	return *state ? 0 : -1;
}

static int known_teardown(void **state)
{
	pages_known_destroy(*state);
	return 0;
}

static void add(struct pages_known *k, uint64_t addr, uint64_t hash, uint32_t offset)
{
	struct known_page page = { .addr = addr, .hash = hash, .offset = offset };

	assert_int_equal(pages_known_add(k, &page, NULL), 0);
}

static void test_empty(void **state)
{
	assert_null(pages_known_find(*state, 0x1000, 7, NULL));
}

/* Neither the address alone nor the contents alone are enough. */
static void test_both(void **state)
{
	add(*state, 0x1000, 7, 1);
	assert_non_null(pages_known_find(*state, 0x1000, 7, NULL));
	assert_null(pages_known_find(*state, 0x2000, 7, NULL));
	assert_null(pages_known_find(*state, 0x1000, 8, NULL));
}

/* Contents with one hash may differ, so all of them are to be looked at. */
static void test_all_of_one_hash(void **state)
{
	const struct known_page *page = NULL;
	uint32_t seen = 0;

	for (uint32_t i = 0; i < 5; i++) {
		add(*state, 0x1000, 7, 1u << i);
		add(*state, 0x1000 + i * 0x1000, 8, 0);
	}
	while ((page = pages_known_find(*state, 0x1000, 7, page)))
		seen |= page->offset;
	assert_int_equal(seen, 0x1f);
}

/* The table grows, and what was in it stays. */
static void test_many(void **state)
{
	enum { MANY = 50000 };

	for (uint32_t i = 0; i < MANY; i++)
		add(*state, (uint64_t)i * 0x1000, i % 100 + 1, i);
	for (uint32_t i = 0; i < MANY; i++) {
		const struct known_page *page = pages_known_find(
			*state, (uint64_t)i * 0x1000, i % 100 + 1, NULL);

		assert_non_null(page);
		assert_int_equal(page->offset, i);
		assert_null(pages_known_find(*state, (uint64_t)i * 0x1000, i % 100 + 1, page));
	}
}

static void test_hash(void **state)
{
	char a[PAGES_PAGE] = { 0 }, b[PAGES_PAGE] = { 0 };

	(void)state;
	assert_int_not_equal(pages_known_hash(a), 0);
	assert_int_equal(pages_known_hash(a), pages_known_hash(b));
	b[PAGES_PAGE - 1] = 1;
	assert_int_not_equal(pages_known_hash(a), pages_known_hash(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, known_setup, known_teardown),
		cmocka_unit_test_setup_teardown(test_both, known_setup, known_teardown),
		cmocka_unit_test_setup_teardown(test_all_of_one_hash, known_setup, known_teardown),
		cmocka_unit_test_setup_teardown(test_many, known_setup, known_teardown),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
