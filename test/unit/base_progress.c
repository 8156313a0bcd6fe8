/* base/progress: a line on a terminal, and on nothing else. */
/* not beside others: ptys */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/text.h"

struct terminal {
	int ours, its;
	char seen[4096];
};

static void terminal_open(struct terminal *t, unsigned short columns)
{
	struct winsize size = { .ws_row = 25, .ws_col = columns };

	assert_int_equal(openpty(&t->ours, &t->its, NULL, NULL, &size), 0);
	fcntl(t->ours, F_SETFL, O_NONBLOCK);
}

/* All that has come since the last time. */
static const char *terminal_read(struct terminal *t)
{
	ssize_t n = read(t->ours, t->seen, sizeof t->seen - 1);

	t->seen[n > 0 ? n : 0] = '\0';
	return t->seen;
}

static void terminal_close(struct terminal *t)
{
	close(t->ours);
	close(t->its);
}

static void none_is_none(void **state)
{
	(void)state;
	progress_phase(NULL, "x", 1);
	progress_add(NULL, 1);
	progress_tick(NULL);
	progress_end(NULL);
	assert_true(progress_took(NULL) == 0);
	assert_string_equal(progress_cleaner(NULL), "");
}

static void the_line_comes_and_goes(void **state)
{
	struct progress p;
	struct terminal t;

	(void)state;
	terminal_open(&t, 100);
	progress_begin(&p, t.its);
	progress_at_once(&p);
	assert_string_equal(progress_cleaner(&p), "");
	progress_phase(&p, "reading", 4096);
	assert_string_equal(terminal_read(&t), "\r\033[Ksnapctl: reading");
	assert_string_equal(progress_cleaner(&p), "\r\033[K");
	progress_add(&p, 1024);
	assert_non_null(strstr(terminal_read(&t), "snapctl: reading: 1.0 KiB of 4.0 KiB (25%)"));
	progress_add(&p, 8192); /* more than was announced */
	assert_non_null(strstr(terminal_read(&t), "9.0 KiB of 4.0 KiB (100%)"));
	progress_end(&p);
	assert_string_equal(terminal_read(&t), "\r\033[K");
	assert_string_equal(progress_cleaner(&p), "");
	progress_add(&p, 1);
	progress_end(&p);
	assert_string_equal(terminal_read(&t), "");
	terminal_close(&t);
}

static void nothing_in_the_first_second(void **state)
{
	struct progress p;
	struct terminal t;

	(void)state;
	terminal_open(&t, 100);
	progress_begin(&p, t.its);
	progress_phase(&p, "reading", 0);
	for (int i = 0; i < 1000; i++)
		progress_add(&p, 1);
	assert_true(progress_took(&p) == 0);
	progress_end(&p);
	assert_string_equal(terminal_read(&t), "");
	/* As if it had begun before. */
	progress_phase(&p, "writing", 0);
	p.begun_ms -= 5000;
	p.next_ms -= 5000;
	progress_add(&p, 1);
	assert_non_null(strstr(terminal_read(&t), "snapctl: writing: 1 bytes"));
	progress_add(&p, 1); /* the next one is due in a moment */
	assert_string_equal(terminal_read(&t), "");
	assert_true(progress_took(&p) >= 5);
	terminal_close(&t);
}

static void it_fits_into_a_line(void **state)
{
	struct progress p;
	struct terminal t;

	(void)state;
	terminal_open(&t, 20);
	progress_begin(&p, t.its);
	progress_at_once(&p);
	progress_phase(&p, "a phase with a name that is longer than the terminal is wide", 0);
	assert_string_equal(terminal_read(&t), "\r\033[Ksnapctl: a phase wi");
	terminal_close(&t);
}

static void pipes_see_nothing(void **state)
{
	struct progress p;
	char byte;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	progress_begin(&p, ends[1]);
	progress_at_once(&p);
	progress_phase(&p, "reading", 0);
	progress_add(&p, 1);
	assert_string_equal(progress_cleaner(&p), "");
	assert_true(progress_took(&p) == 0);
	progress_end(&p);
	assert_true(read(ends[0], &byte, 1) < 0);
	close(ends[0]);
	close(ends[1]);
}

static void sizes_have_units(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(text_size(0, buf, sizeof buf), "0 bytes");
	assert_string_equal(text_size(1023, buf, sizeof buf), "1023 bytes");
	assert_string_equal(text_size(1536, buf, sizeof buf), "1.5 KiB");
	assert_string_equal(text_size(UINT64_C(5) << 30, buf, sizeof buf), "5.0 GiB");
	assert_string_equal(text_size(UINT64_C(5) << 50, buf, sizeof buf), "5120.0 TiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_none),
		cmocka_unit_test(the_line_comes_and_goes),
		cmocka_unit_test(nothing_in_the_first_second),
		cmocka_unit_test(it_fits_into_a_line),
		cmocka_unit_test(pipes_see_nothing),
		cmocka_unit_test(sizes_have_units),
	};

	return cmocka_run_group_tests_name("base_progress", tests, NULL, NULL);
}
