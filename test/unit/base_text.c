/* base/text: cursors over the texts of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/text.h"

static void numbers_are_read_in_their_base(void **state)
{
	struct text t = { "7ffc10-7ffc31 r 0755 -12" };
	uint64_t a, b, mode;
	int64_t n;

	(void)state;
	assert_true(text_hex(&t, &a) && text_char(&t, '-') && text_hex(&t, &b));
	assert_true(a == 0x7ffc10 && b == 0x7ffc31);
	text_blanks(&t);
	assert_true(text_word(&t, "r "));
	assert_true(text_oct(&t, &mode) && mode == 0755);
	text_blanks(&t);
	assert_true(text_int(&t, &n) && n == -12);
	assert_string_equal(t.at, "");
}

static void refusal_does_not_move(void **state)
{
	struct text t = { "abc" };
	uint64_t value = 99;
	int64_t n;

	(void)state;
	assert_false(text_dec(&t, &value));
	assert_false(text_int(&t, &n));
	assert_false(text_char(&t, 'x'));
	assert_false(text_word(&t, "abd"));
	assert_string_equal(t.at, "abc");
	assert_int_equal(value, 99);
}

static void a_lone_minus_is_no_number(void **state)
{
	struct text t = { "-" };
	int64_t n;

	(void)state;
	assert_false(text_int(&t, &n));
	assert_string_equal(t.at, "-");
}

static void too_large_numbers_are_refused(void **state)
{
	struct text largest = { "18446744073709551615" }, more = { "18446744073709551616" };
	struct text hex = { "10000000000000000" }, negative = { "-9223372036854775809" };
	uint64_t value;
	int64_t n;

	(void)state;
	assert_true(text_dec(&largest, &value) && value == UINT64_MAX);
	assert_false(text_dec(&more, &value));
	assert_false(text_hex(&hex, &value));
	assert_false(text_int(&negative, &n));
}

static void char_never_passes_the_end(void **state)
{
	struct text t = { "" };

	(void)state;
	assert_false(text_char(&t, '\0'));
}

static void lines_with_and_without_a_last_newline(void **state)
{
	struct text t = { "one\n\nthree" };
	const char *line;
	size_t len;

	(void)state;
	assert_true(text_line(&t, &line, &len) && len == 3 && !memcmp(line, "one", 3));
	assert_true(text_line(&t, &line, &len) && len == 0);
	assert_true(text_line(&t, &line, &len) && len == 5 && !memcmp(line, "three", 5));
	assert_false(text_line(&t, &line, &len));
}

static const char status[] = "Name:\tNot: a Key\n"
			     "Umask:\t0022\n"
			     "NSpid:\t42\t7\n"
			     "SigBlk:\t0000000000010000\n";

static void fields_are_found_at_line_starts_only(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(text_field_oct(status, "Umask", &value) && value == 022);
	assert_true(text_field_dec(status, "NSpid", &value) && value == 42);
	assert_true(text_field_hex(status, "SigBlk", &value) && value == 0x10000);
	assert_null(text_field(status, "Not"));
	assert_null(text_field(status, "Uma"));
	assert_false(text_field_dec(status, "Name", &value));
	assert_null(text_field("", "Name"));
}

static void escapes_are_undone_in_place(void **state)
{
	char path[] = "/tmp/a\\040b\\011c\\134d", newline[] = "x\\012", odd[] = "a\\04",
	     end[] = "b\\";
	char more[] = "\\777";

	(void)state;
	text_unescape(path);
	assert_string_equal(path, "/tmp/a b\tc\\d");
	text_unescape(newline);
	assert_string_equal(newline, "x\n");
	text_unescape(odd);
	assert_string_equal(odd, "a\\04");
	text_unescape(end);
	assert_string_equal(end, "b\\");
	text_unescape(more);
	assert_string_equal(more, "\\777");
}

static void prefixes_and_suffixes(void **state)
{
	(void)state;
	assert_true(text_starts("/memfd:x", "/memfd:"));
	assert_false(text_starts("/mem", "/memfd:"));
	assert_true(text_ends("/x (deleted)", " (deleted)"));
	assert_false(text_ends("d)", " (deleted)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_in_their_base),
		cmocka_unit_test(refusal_does_not_move),
		cmocka_unit_test(a_lone_minus_is_no_number),
		cmocka_unit_test(too_large_numbers_are_refused),
		cmocka_unit_test(char_never_passes_the_end),
		cmocka_unit_test(lines_with_and_without_a_last_newline),
		cmocka_unit_test(fields_are_found_at_line_starts_only),
		cmocka_unit_test(escapes_are_undone_in_place),
		cmocka_unit_test(prefixes_and_suffixes),
	};

	return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
