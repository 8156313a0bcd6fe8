/* `snapctl show`: the tables, the JSON, and that nothing in an image reaches the terminal as a
 * command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "images/image.h"
#include "images/show.h"
#include "images/table.h"
#include "test/unit/images_sample.h"

struct shown {
	struct image img;
	struct err err;
	char *text;
	size_t len;
};

static int shown_setup(void **state)
{
	static struct page_run runs[] = { { SAMPLE_PRIVATE, 3, SAMPLE_HEAP, 0, 0 } };
	static struct page_frame frames[] = { { 0, 1000, 0x3000, PAGES_ZSTD, 1 } };
	struct shown *s = calloc(1, sizeof *s);

	s->img = (struct image){
		.dirfd = -1,
		.pages_fd = -1,
		.snap = sample_create(),
		.path = "image\x1b[2J",
		.index = { runs, 1, frames, 1, 1000 },
	};
	*state = s;
	return 0;
}

static int shown_teardown(void **state)
{
	struct shown *s = *state;

	snap_destroy(s->img.snap);
	free(s->text);
	free(s);
	return 0;
}

static void show(struct shown *s, bool json)
{
	FILE *out = open_memstream(&s->text, &s->len);

	assert_int_equal(image_show(&s->img, json, out, &s->err), 0);
	fclose(out);
}

static void has(const struct shown *s, const char *line)
{
	if (!strstr(s->text, line))
		fail_msg("no \"%s\" in:\n%s", line, s->text);
}

static void tables_say_what_there_is(void **state)
{
	struct shown *s = *state;

	show(s, false);
	has(s, "/usr/bin/thing --port 7777");
	has(s, "2025-11-21T03:08:11Z by user 1000 with snapctl 0.1.0, which launched it");
	has(s, "Linux 6.18.0");
	has(s, "reason   quiescent: 2 threads: epoll_wait, futex");
	has(s, "listens  127.0.0.1:7777");
	has(s, "0102030405060708090a0b0c0d0e0ff0");
	has(s, " PID  PPID  PGID   SID  THREADS  FDS  STATE    EXECUTABLE\n"
	       "4242  4000  4241  4240        2    3  stopped  /usr/bin/thing\n");
	has(s, "4242  4242  fifteen-bytes-x  epoll_wait\n");
	has(s, "4242  4243  worker\\377\\033   computing\n");
	has(s, "1000          1  eventfd  rdwr nonblock");
	has(s, "eventfd, count 7, semaphore\n");
	has(s, "(descriptor 0 of whoever restores)");
	has(s, "3 pages, 12.0 KiB, stored as 1000 B in 1 frames");
}

/* Column for column as the kernel prints them. */
static void mappings_look_like_proc_maps(void **state)
{
	struct shown *s = *state;

	show(s, false);
	has(s, "\n555555554000-555555558000 r-xp 00001000 08:01 1000                       "
	       "/usr/bin/thing\n");
	has(s, "\n555555600000-555555700000 rw-p 00000000 00:00 0                          "
	       "[heap]\n");
	has(s, "\n7ffff1000000-7ffff1004000 rw-s 00000000 00:00 0                          "
	       "/dev/zero (deleted)\n");
	has(s, " /memfd:buffer (deleted)\n");
	has(s, " [anon:arena \\001]\n");
	has(s, " [vvar]\n");
	has(s, " [vdso]\n");
	has(s, " [stack]\n");
	has(s, "\nffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  "
	       "[vsyscall]\n");
}

static void nothing_reaches_the_terminal(void **state)
{
	struct shown *s = *state;

	show(s, false);
	for (size_t i = 0; i < s->len; i++)
		assert_true(s->text[i] == '\n' || (unsigned char)s->text[i] >= 0x20);
	assert_non_null(strstr(s->text, "image\\033[2J:"));
	assert_non_null(strstr(s->text, "caf\xc3\xa9\\377"));
}

static const char *text_at(struct json_object *o, const char *key)
{
	struct json_object *member = json_object_object_get(o, key);

	if (!member)
		fail_msg("no member %s", key);
	return json_object_get_string(member);
}

static struct json_object *item(struct json_object *o, const char *key, size_t index)
{
	return json_object_array_get_idx(json_object_object_get(o, key), index);
}

static void json_says_the_same(void **state)
{
	struct shown *s = *state;
	struct json_object *o, *proc, *vma;

	show(s, true);
	o = json_tokener_parse(s->text);
	assert_non_null(o);
	assert_string_equal(text_at(o, "created"), "2025-11-21T03:08:11Z");
	assert_string_equal(text_at(o, "reason"), "quiescent: 2 threads: epoll_wait, futex");
	assert_string_equal(json_object_get_string(item(o, "argv", 4)), "caf\xc3\xa9\xef\xbf\xbd");
	proc = item(o, "processes", 0);
	assert_string_equal(text_at(proc, "pid"), "4242");
	assert_string_equal(text_at(item(proc, "threads", 0), "waiting_in"), "epoll_wait");
	assert_string_equal(text_at(item(proc, "threads", 1), "waiting_nr"), "-1");
	vma = item(proc, "mappings", 11);
	assert_string_equal(text_at(vma, "start"), "0xffffffffff600000");
	assert_string_equal(text_at(vma, "name"), "[vsyscall]");
	assert_string_equal(text_at(item(proc, "descriptors", 2), "fd"), "1000");
	assert_string_equal(text_at(item(o, "open_files", 0), "detail"), "count 7, semaphore");
	assert_string_equal(text_at(item(o, "open_files", 1), "inherited"), "0");
	assert_string_equal(text_at(item(o, "files", 1), "path"), "/srv/a b\n\x1b[31m");
	assert_string_equal(text_at(json_object_object_get(o, "memory"), "stored_bytes"), "1000");
	json_object_put(o);
}

static void inherited_without_kind_is_shown(void **state)
{
	struct shown *s = *state;

	s->img.snap->ofds[1].kind = NULL;
	s->img.snap->ofds[1].priv = NULL;
	show(s, false);
	free(s->text);
	show(s, true);
	assert_non_null(strstr(s->text, "\"kind\":null"));
}

static void broken_utf8_is_found(void **state)
{
	static const char *const cases[][3] = {
		/* input, for the terminal, for JSON */
		{ "plain", "plain", "plain" },
		{ "\xc3\xa9", "\xc3\xa9", "\xc3\xa9" },
		{ "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80",
			"\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\x7f", "\\177", "\x7f" },
		{ "\xc2\x9b", "\\302\\233", "\xc2\x9b" },
		{ "\xc0\xaf", "\\300\\257", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\\355\\240\\200", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\\364\\220\\200\\200",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x80\x80\x80", "\\360\\200\\200\\200",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "a\xe2\x82", "a\\342\\202", "a\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xff", "\\377", "\xef\xbf\xbd" },
	};
	struct arena *a = arena_create();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_string_equal(show_clean(a, cases[i][0]), cases[i][1]);
		assert_string_equal(show_utf8(a, cases[i][0]), cases[i][2]);
	}
	assert_string_equal(show_clean(a, NULL), "");
	arena_destroy(a);
}

static void tables_are_aligned(void **state)
{
	static const char *const titles[] = { ">N", "NAME", "X", NULL };
	struct arena *a = arena_create();
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct table t;
	const char **row;

	(void)state;
	table_init(&t, a, titles);
	row = table_row(&t);
	row[0] = "5";
	row[1] = "\xc3\xa9t\xc3\xa9";
	row[2] = "y";
	row = table_row(&t);
	row[0] = "100";
	table_print(&t, out);
	fclose(out);
	assert_string_equal(text, "  N  NAME  X\n  5  \xc3\xa9t\xc3\xa9   y\n100\n");
	free(text);
	arena_destroy(a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, shown_setup, shown_teardown)
	const struct CMUnitTest tests[] = {
		TEST(tables_say_what_there_is),
		TEST(mappings_look_like_proc_maps),
		TEST(nothing_reaches_the_terminal),
		TEST(json_says_the_same),
		TEST(inherited_without_kind_is_shown),
		cmocka_unit_test(broken_utf8_is_found),
		cmocka_unit_test(tables_are_aligned),
	};

	return cmocka_run_group_tests_name("images_show", tests, NULL, NULL);
}
