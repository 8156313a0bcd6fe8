/* dump: programs that are launched until they are quiet, or are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "dump/dump.h"
#include "images/image.h"
#include "images/snap.h"

struct place {
	char dir[64], image[80];
};

static void place_make(struct place *p)
{
	strcpy(p->dir, "/tmp/dump_launch.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->image, sizeof p->image, "%s/image", p->dir);
}

/* Removes an image if there is one; fails if anything else was left. */
static void place_remove(struct place *p)
{
	static const char *const files[] = { "inventory", "state", "pages" };
	char path[128];

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", p->image, files[i]);
		unlink(path);
	}
	rmdir(p->image);
	if (rmdir(p->dir) < 0)
		fail_msg("%s is not empty: half an image was left", p->dir);
}

static int launch(const struct place *p, const char *script, unsigned timeout_ms,
	struct dump_result *result, struct err *err)
{
	char *const argv[] = { "/bin/sh", "-c", (char *)script, NULL };
	const struct dump_opts opts = {
		.argv = argv,
		.image = p->image,
		.settle_ms = 100,
		.timeout_ms = timeout_ms,
		.level = 1,
	};

	*err = (struct err){ 0 };
	return dump_run(&opts, result, err);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void waiting_program_is_dumped_and_ended(void **state)
{
	struct dump_result result;
	struct image img = { 0 };
	struct place p;
	struct err err;

	(void)state;
	place_make(&p);
	if (launch(&p, "exec sleep 1000", 20000, &result, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(result.found, "quiescent: 1 thread: clock_nanosleep");
	assert_int_equal(image_open(p.image, &img, &err), 0);
	assert_true(img.snap->info.launched);
	assert_string_equal(img.snap->info.argv[0], "/bin/sh");
	assert_string_equal(img.snap->procs[0].tasks[0].comm, "sleep");
	assert_true(img.snap->procs[0].session_inherited);
	/* Signal mask as ours, not as it is while we hold back requests to stop. */
	assert_int_equal(img.snap->procs[0].tasks[0].sigmask, 0);
	assert_true(kill(img.snap->procs[0].pid, 0) < 0 && errno == ESRCH);
	image_close(&img);
	place_remove(&p);
}

static void busy_program_is_named(void **state)
{
	struct dump_result result;
	struct place p;
	struct err err;

	(void)state;
	place_make(&p);
	assert_int_equal(launch(&p, "while :; do :; done", 300, &result, &err), -ETIMEDOUT);
	if (!strstr(err.msg, "(sh) used") || !strstr(err.msg, "of a CPU") ||
		!strstr(err.hint, "--timeout"))
		fail_msg("%s / %s", err.msg, err.hint);
	place_remove(&p);
}

static void end_of_the_program_is_told(void **state)
{
	struct dump_result result;
	struct place p;
	struct err err;

	(void)state;
	place_make(&p);
	assert_int_equal(launch(&p, "exit 3", 20000, &result, &err), -ECHILD);
	assert_true(result.ended && WIFEXITED(result.wait_status));
	assert_int_equal(WEXITSTATUS(result.wait_status), 3);
	assert_int_equal(launch(&p, "kill -9 $$", 20000, &result, &err), -ECHILD);
	assert_true(result.ended && WIFSIGNALED(result.wait_status));
	assert_non_null(strstr(err.msg, "signal 9"));
	place_remove(&p);
}

static void missing_program_is_told(void **state)
{
	char *const argv[] = { "/nonexistent/program", NULL };
	struct dump_opts opts = { .argv = argv, .timeout_ms = 1000, .level = 1 };
	struct dump_result result;
	struct err err = { 0 };
	struct place p;

	(void)state;
	place_make(&p);
	opts.image = p.image;
	assert_int_equal(dump_run(&opts, &result, &err), -ENOENT);
	assert_true(result.not_launched);
	place_remove(&p);
}

static void trees_are_counted(void **state)
{
	struct dump_result result;
	struct place p;
	struct err err;

	(void)state;
	place_make(&p);
	assert_int_equal(launch(&p, "sleep 1000 & wait", 20000, &result, &err), 0);
	if (!strstr(result.found, "quiescent: 2 processes, 2 threads: "))
		fail_msg("%s", result.found);
	place_remove(&p);
}

/* Three sleeps at one place are a start-up as far as anybody can tell; what follows them is what
 * counts. */
static void sleeps_of_the_start_are_not_quiet(void **state)
{
	struct dump_result result;
	struct image img = { 0 };
	struct place p;
	struct err err;
	double start = now();

	(void)state;
	place_make(&p);
	/* exec: one process; each sleeps less than two seconds, in a fresh program. */
	if (launch(&p, "exec /bin/sh -c 'sleep 0.4; sleep 0.4; exec sleep 1000'", 20000, &result,
		    &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(now() - start > 0.8);
	assert_int_equal(image_open(p.image, &img, &err), 0);
	assert_string_equal(img.snap->procs[0].tasks[0].comm, "sleep");
	image_close(&img);
	place_remove(&p);
}

/* Whoever asks snapctl to end gets that, and the program and the half image go too. */
static void request_to_stop_is_followed(void **state)
{
	struct place p;
	int status;
	pid_t pid;

	(void)state;
	place_make(&p);
	pid = fork();
	if (pid == 0) {
		struct dump_result result;
		struct err err;

		alarm(20);
		kill(getppid(), 0);
		_exit(launch(&p, "kill -TERM $(ps -o ppid= -p $PPID); exec sleep 1000", 20000,
			      &result, &err) < 0
				? 1
				: 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_program_is_dumped_and_ended),
		cmocka_unit_test(busy_program_is_named),
		cmocka_unit_test(end_of_the_program_is_told),
		cmocka_unit_test(missing_program_is_told),
		cmocka_unit_test(trees_are_counted),
		cmocka_unit_test(sleeps_of_the_start_are_not_quiet),
		cmocka_unit_test(request_to_stop_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
