/* Observers: what they are told, and threads that are kept right before a call. */
#include "test/unit/helpers/tracee_target.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "dump/until/sieve.h"

struct watcher {
	enum tracee_event stop_at;
	int64_t stop_nr;
	unsigned calls, execs, signals, ends;
	bool take_signal, stopped;
	uint64_t args[6];
};

static bool watch(void *arg, const struct tracee_note *note)
{
	struct watcher *w = arg;

	w->calls += note->event == TRACEE_CALL;
	w->execs += note->event == TRACEE_EXEC;
	w->signals += note->event == TRACEE_SIGNAL;
	w->ends += note->event == TRACEE_END;
	if (note->event == TRACEE_SIGNAL && w->take_signal)
		note->th->held_signal = 0;
	if (w->stopped || note->event != w->stop_at ||
		(note->event == TRACEE_CALL && note->nr != w->stop_nr))
		return false;
	memcpy(w->args, note->args, sizeof w->args);
	return w->stopped = true;
}

/* With a filter for what tells of calls, where wants is not NULL; see dump/until/sieve.h. */
static struct tracee *launch_with(struct tracer *tr, struct watcher *w, bool calls,
	struct sock_fprog *sieve, const char *const *argv)
{
	const struct tracee_launch what = { .argv = (char *const *)argv,
		.prepare = sieve ? (int (*)(void *))sieve_enter : NULL,
		.arg = sieve };
	const struct tracer_observer observer = { watch, w, calls, sieve != NULL };
	struct tracee *t = NULL;
	struct err err = { 0 };

	tracer_observe(tr, &observer);
	assert_ok(tracee_launch(tr, &what, &t, &err), err);
	assert_ok(tracer_thaw(tr, &err), err);
	return t;
}

static struct tracee *launch(
	struct tracer *tr, struct watcher *w, bool calls, const char *const *argv)
{
	return launch_with(tr, w, calls, NULL, argv);
}

static bool wants_dirs(const void *arg, int64_t nr)
{
	(void)arg;
	return nr == SYS_mkdir || nr == SYS_rmdir || nr == SYS_write;
}

/* Skips where there can be none. */
static struct tracee *launch_sieved(
	struct tracer *tr, struct watcher *w, struct arena *a, const char *const *argv)
{
	struct sock_fprog sieve;

	if (!sieve_is_possible()) {
		print_message("# needs CAP_SYS_ADMIN, and no seccomp filter of our own\n");
		skip();
	}
	sieve_make(&sieve, a, wants_dirs, NULL);
	return launch_with(tr, w, true, &sieve, argv);
}

static void poll_until_stopped(struct tracer *tr, const struct watcher *w)
{
	struct err err = { 0 };
	int exited = -1;

	while (!w->stopped && exited == -1)
		if (tracer_poll(tr, 1000, &exited, &err) < 0)
			fail_msg("%s", err.msg);
	assert_true(w->stopped);
	assert_ok(tracer_freeze(tr, &err), err);
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NOWHERE   ((enum tracee_event)99)

static void test_tells(void **state)
{
	struct watcher w = { .stop_at = NOWHERE };
	struct tracer *tr = tracer_create();

	(void)state;
	launch(tr, &w, true,
		ARGV("sh", "-c", "kill -WINCH $$; sh -c 'exit 3'; true; exec sh -c :"));
	assert_int_equal(tracer_wait_end(tr), 0);
	assert_true(w.calls > 50);
	assert_int_equal(w.execs, 2); /* the launch itself is not told */
	assert_true(w.signals >= 2);  /* WINCH, CHLD */
	assert_int_equal(w.ends, 2);
	tracer_destroy(tr);
}

static void test_no_calls_unless_asked(void **state)
{
	struct watcher w = { .stop_at = NOWHERE };
	struct tracer *tr = tracer_create();

	(void)state;
	launch(tr, &w, false, ARGV("sh", "-c", "exit 5"));
	assert_int_equal(WEXITSTATUS(tracer_wait_end(tr)), 5);
	assert_int_equal(w.calls, 0);
	tracer_destroy(tr);
}

/* It has not happened when it stops, and happens when it goes on. */
static void stops_before_call(bool sieved)
{
	struct watcher w = { .stop_at = TRACEE_CALL, .stop_nr = SYS_mkdir };
	char dir[] = "/tmp/tracee-observe-XXXXXX", made[64];
	struct tracer *tr = tracer_create();
	struct user_regs_struct regs;
	struct err err = { 0 };
	struct arena *a = arena_create();
	struct tracee *t;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(made, sizeof made, "%s/made", dir);
	t = sieved ? launch_sieved(tr, &w, a, ARGV("mkdir", made))
		   : launch(tr, &w, true, ARGV("mkdir", made));
	poll_until_stopped(tr, &w);
	assert_int_equal(stat(made, &st), -1);
	assert_ok(thread_get_regs(t->pid, &regs, &err), err);
	assert_int_equal(regs.rax, SYS_mkdir);
	assert_int_equal(regs.orig_rax, -1);
	assert_int_equal(regs.rdi, w.args[0]);
	/* What a dump does with such a thread: remote calls, and no rewinding. */
	assert_false(syscall_rewind(&regs));
	tracer_observe(tr, NULL);
	assert_ok(tracer_thaw(tr, &err), err);
	assert_int_equal(tracer_wait_end(tr), 0);
	assert_int_equal(stat(made, &st), 0);
	rmdir(made);
	rmdir(dir);
	tracer_destroy(tr);
	arena_destroy(a);
}

static void test_stops_before_call(void **state)
{
	(void)state;
	stops_before_call(false);
}

static void test_stops_before_call_sieved(void **state)
{
	(void)state;
	stops_before_call(true);
}

/* Nobody asks any more: the filter still does, and all calls are made. */
static void test_sieved_tells_what_is_wanted(void **state)
{
	struct watcher w = { .stop_at = NOWHERE };
	struct tracer *tr = tracer_create();
	struct arena *a = arena_create();

	(void)state;
	launch_sieved(tr, &w, a,
		ARGV("sh", "-c",
			"(rmdir /no/where; true) 2>/dev/null; mkdir /no/where/x 2>/dev/null; :"));
	assert_int_equal(tracer_wait_end(tr), 0);
	assert_in_range(w.calls, 4, 12); /* two calls, and what they write about it */
	tracer_destroy(tr);
	tr = tracer_create();
	launch_sieved(tr, &w, a, ARGV("sh", "-c", "rmdir /no/where; exit 7"));
	tracer_observe(tr, NULL);
	assert_int_equal(WEXITSTATUS(tracer_wait_end(tr)), 7);
	tracer_destroy(tr);
	arena_destroy(a);
}

/* Others are kept from their calls as well: the first to write is the only one. */
static void all_stand_still(bool sieved)
{
	struct watcher w = { .stop_at = TRACEE_CALL, .stop_nr = SYS_rmdir };
	char path[] = "/tmp/tracee-observe-XXXXXX", script[256];
	struct tracer *tr = tracer_create();
	struct arena *a = arena_create();
	struct stat before, after;

	close(mkstemp(path));
	snprintf(script, sizeof script,
		"(while :; do echo x >>%s; done) & (while :; do echo x >>%s; done) & "
		"rmdir /no/where; wait",
		path, path);
	if (sieved)
		launch_sieved(tr, &w, a, ARGV("sh", "-c", script));
	else
		launch(tr, &w, true, ARGV("sh", "-c", script));
	poll_until_stopped(tr, &w);
	assert_true(tr->nr_tracees >= 3);
	assert_int_equal(stat(path, &before), 0);
	poll(NULL, 0, 20);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	tracer_destroy(tr); /* launched ones end with it */
	unlink(path);
	arena_destroy(a);
}

static void test_all_stand_still(void **state)
{
	(void)state;
	all_stand_still(false);
}

static void test_all_stand_still_sieved(void **state)
{
	(void)state;
	all_stand_still(true);
}

static void test_signal_taken_away(void **state)
{
	struct watcher w = { .stop_at = NOWHERE, .take_signal = true };
	struct tracer *tr = tracer_create();

	(void)state;
	launch(tr, &w, false, ARGV("sh", "-c", "kill -USR1 $$; exit 6"));
	assert_int_equal(WEXITSTATUS(tracer_wait_end(tr)), 6); /* it would have been its end */
	tracer_destroy(tr);
}

static void test_stops_at_exec(void **state)
{
	struct watcher w = { .stop_at = TRACEE_EXEC };
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	struct tracee *t;
	char exe[256] = "";

	(void)state;
	t = launch(tr, &w, false, ARGV("sh", "-c", "exec sleep 0"));
	poll_until_stopped(tr, &w);
	assert_true(readlinkat(t->procfd, "exe", exe, sizeof exe - 1) > 0);
	assert_non_null(strstr(exe, "sleep"));
	tracer_observe(tr, NULL);
	assert_ok(tracer_thaw(tr, &err), err);
	assert_int_equal(tracer_wait_end(tr), 0);
	tracer_destroy(tr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_no_calls_unless_asked),
		cmocka_unit_test(test_stops_before_call),
		cmocka_unit_test(test_stops_before_call_sieved),
		cmocka_unit_test(test_sieved_tells_what_is_wanted),
		cmocka_unit_test(test_all_stand_still),
		cmocka_unit_test(test_all_stand_still_sieved),
		cmocka_unit_test(test_signal_taken_away),
		cmocka_unit_test(test_stops_at_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
