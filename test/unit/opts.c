/* opts: the command line becomes one struct, and slips get a helpful answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "opts.h"

enum { MAX_ARGS = 80 };

/* Parses words (ended by NULL) as a command line of the command with this table. */
static int parse(struct opts *o, struct err *err, const struct opt *table, ...)
{
	char *argv[MAX_ARGS + 1] = { (char[]){ "command" } };
	int argc = 1;
	va_list ap;

	va_start(ap, table);
	while ((argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	opts_init(o);
	*err = (struct err){ 0 };
	return opts_parse(o, table, table != opts_dump, argc, argv, err);
}

static void defaults(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, &err, opts_dump, "prog", NULL), 1);
	assert_string_equal(o.dump.image, "image");
	assert_int_equal(o.dump.settle_ms, 250);
	assert_int_equal(o.dump.timeout_ms, 60000);
	assert_int_equal(o.dump.pid, 0);
	assert_false(o.dump.force || o.dump.leave_running || o.dump.tcp_close || o.dump.embed);
	assert_int_equal(o.restore.pids, PIDS_AUTO);
	assert_false(o.restore.detach);
}

static void options_of_the_program_are_its_own(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(
		parse(&o, &err, opts_dump, "-o", "d", "redis-server", "--pid", "7", NULL), 3);
	assert_string_equal(o.dump.image, "d");
	assert_int_equal(o.dump.pid, 0);
	assert_int_equal(parse(&o, &err, opts_dump, "--", "--force", NULL), 2);
	assert_false(o.dump.force);
}

static void options_behind_an_image_are_ours(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, &err, opts_restore, "image", "-d", NULL), 2);
	assert_true(o.restore.detach);
}

static void durations_have_units(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, &err, opts_dump, "--settle", "300", NULL), 3);
	assert_int_equal(o.dump.settle_ms, 300);
	assert_int_equal(parse(&o, &err, opts_dump, "--settle=2s", "--timeout=90", NULL), 3);
	assert_int_equal(o.dump.settle_ms, 2000);
	assert_int_equal(o.dump.timeout_ms, 90000);
	assert_int_equal(parse(&o, &err, opts_dump, "--timeout=0.5s", "--settle=1m", NULL), 3);
	assert_int_equal(o.dump.timeout_ms, 500);
	assert_int_equal(o.dump.settle_ms, 60000);
}

static void bad_durations_are_refused(void **state)
{
	static const char *const bad[] = { "", "-1", "x", "5x", "inf", "nan", " 5", "1e99", "5 s" };
	struct opts o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(parse(&o, &err, opts_dump, "--settle", bad[i], NULL), -EINVAL);
		assert_non_null(strstr(err.msg, "--settle"));
		assert_non_null(strstr(err.hint, "250ms"));
	}
}

static void bad_numbers_are_refused(void **state)
{
	static const char *const bad[] = { "", "0", "-4", "x", "4x", " 4", "99999999999999999999" };
	struct opts o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(&o, &err, opts_dump, "--pid", bad[i], NULL), -EINVAL);
	assert_int_equal(parse(&o, &err, opts_dump, "--pid", "4242", NULL), 3);
	assert_int_equal(o.dump.pid, 4242);
}

static void pids_are_chosen_by_name(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	parse(&o, &err, opts_restore, "--pids=ns", "i", NULL);
	assert_int_equal(o.restore.pids, PIDS_NS);
	parse(&o, &err, opts_restore, "--pids", "new", "i", NULL);
	assert_int_equal(o.restore.pids, PIDS_NEW);
	assert_int_equal(parse(&o, &err, opts_restore, "--pids=kepe", NULL), -EINVAL);
	assert_string_equal(err.hint, "did you mean --pids=keep?");
}

static void changed_files_are_a_choice(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	parse(&o, &err, opts_restore, "i", NULL);
	assert_int_equal(o.restore.files, FILES_AUTO);
	parse(&o, &err, opts_restore, "--files=keep", NULL);
	assert_int_equal(o.restore.files, FILES_KEEP);
	assert_int_equal(parse(&o, &err, opts_restore, "--files=refuse", NULL), -EINVAL);
}

static void inherit_is_a_list(void **state)
{
	static const char *const bad[] = { "", "3", "3=", "=4", "3=x", "3=4=5", "-1=2", "3:4" };
	struct opts o;
	struct err err;

	(void)state;
	parse(&o, &err, opts_restore, "--inherit", "3=4", "--inherit=5=6", "i", NULL);
	assert_string_equal(o.restore.inherit[0], "3=4");
	assert_string_equal(o.restore.inherit[1], "5=6");
	assert_null(o.restore.inherit[2]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(&o, &err, opts_restore, "--inherit", bad[i], NULL), -EINVAL);
}

static void too_many_inherits_are_refused(void **state)
{
	char word[] = "--inherit=3=4", *argv[OPTS_INHERIT + 3] = { word };
	struct err err = { 0 };
	struct opts o;

	(void)state;
	for (int i = 1; i < OPTS_INHERIT + 2; i++)
		argv[i] = word;
	opts_init(&o);
	assert_int_equal(
		opts_parse(&o, opts_restore, true, OPTS_INHERIT + 1, argv, &err), OPTS_INHERIT + 1);
	opts_init(&o);
	assert_int_equal(opts_parse(&o, opts_restore, true, OPTS_INHERIT + 2, argv, &err), -E2BIG);
}

static void slips_name_the_nearest_option(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, &err, opts_dump, "--tiemout=3", NULL), -EINVAL);
	assert_string_equal(err.msg, "there is no option --tiemout");
	assert_string_equal(err.hint, "did you mean --timeout?");
	assert_int_equal(parse(&o, &err, opts_dump, "-X", NULL), -EINVAL);
	assert_string_equal(err.msg, "there is no option -X");
	assert_int_equal(parse(&o, &err, opts_dump, "--xyzzyplugh", NULL), -EINVAL);
	assert_null(strstr(err.hint, "did you mean"));
	assert_int_equal(parse(&o, &err, opts_dump, "-o", NULL), -EINVAL);
	assert_string_equal(err.msg, "-o needs an argument");
	assert_int_equal(parse(&o, &err, opts_dump, "--force=1", NULL), -EINVAL);
	assert_string_equal(err.msg, "--force takes no argument");
}

static void common_options_add_up(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	parse(&o, &err, opts_show, "-vv", "-q", "--json", "i", NULL);
	assert_int_equal(o.verbose, 2);
	assert_true(o.quiet && o.json);
}

static void help_shows_all_but_the_hidden(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	opts_print(opts_restore, out);
	fclose(out);
	assert_non_null(strstr(text, "-d, --detach"));
	assert_non_null(strstr(text, "--pids MODE"));
	assert_null(strstr(text, "vdso"));
	free(text);
}

static void words_far_away_are_not_near(void **state)
{
	static const char *const words[] = { "dump", "restore", "show" };

	(void)state;
	assert_string_equal(opts_nearest("dmup", words, 3), "dump");
	assert_string_equal(opts_nearest("retsore", words, 3), "restore");
	assert_string_equal(opts_nearest("sho", words, 3), "show");
	assert_null(opts_nearest("checkpoint", words, 3));
	assert_null(opts_nearest("", words, 3));
}

static void conditions_add_up(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_true(parse(&o, &err, opts_dump, "--until=ready", "--until", "listen=80", "--warmup",
			    "true", "prog", NULL) > 0);
	assert_string_equal(o.dump.until[0], "ready");
	assert_string_equal(o.dump.until[1], "listen=80");
	assert_null(o.dump.until[2]);
	assert_string_equal(o.dump.warmup, "true");
	assert_int_equal(o.dump.probe_interval_ms, 500);
	assert_true(parse(&o, &err, opts_dump, "--until=redy", "prog", NULL) < 0);
	assert_non_null(strstr(err.msg, "redy"));
	assert_non_null(strstr(err.hint, "ready"));
}

static void asking_names_the_process(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_true(parse(&o, &err, opts_dump, "--ask", "42", NULL) > 0);
	assert_true(o.dump.ask);
	assert_int_equal(o.dump.pid, 42);
	assert_true(parse(&o, &err, opts_dump, "--ask", "0", NULL) < 0);
}

static void what_a_restore_tells(void **state)
{
	struct opts o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, &err, opts_restore, "--setenv", "A=1", "image", "--setenv",
				 "B=", "--", "-d", "x", NULL),
		6);
	assert_true(o.dashes);
	assert_false(o.restore.detach);
	assert_string_equal(o.restore.setenv[0], "A=1");
	assert_string_equal(o.restore.setenv[1], "B=");
	assert_null(o.restore.setenv[2]);
	assert_int_equal(parse(&o, &err, opts_restore, "image", NULL), 1);
	assert_false(o.dashes);
	assert_true(parse(&o, &err, opts_restore, "--setenv", "A", "image", NULL) < 0);
	assert_true(parse(&o, &err, opts_restore, "--setenv", "=1", "image", NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(options_of_the_program_are_its_own),
		cmocka_unit_test(options_behind_an_image_are_ours),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(bad_durations_are_refused),
		cmocka_unit_test(bad_numbers_are_refused),
		cmocka_unit_test(pids_are_chosen_by_name),
		cmocka_unit_test(changed_files_are_a_choice),
		cmocka_unit_test(inherit_is_a_list),
		cmocka_unit_test(too_many_inherits_are_refused),
		cmocka_unit_test(slips_name_the_nearest_option),
		cmocka_unit_test(common_options_add_up),
		cmocka_unit_test(help_shows_all_but_the_hidden),
		cmocka_unit_test(words_far_away_are_not_near),
		cmocka_unit_test(conditions_add_up),
		cmocka_unit_test(asking_names_the_process),
		cmocka_unit_test(what_a_restore_tells),
	};

	return cmocka_run_group_tests_name("opts", tests, NULL, NULL);
}
