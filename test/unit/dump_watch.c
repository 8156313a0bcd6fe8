/* What threads are seen doing. */
#include "test/unit/helpers/tracee_target.h"

#include "dump/watch.h"
#include "tracee/proc.h"

static struct tracee *sleeper(struct tracer *tr)
{
	char *argv[] = { "sleep", "1000", NULL };
	const struct tracee_launch what = { .argv = argv };
	struct tracee *t = NULL;
	struct err err = { 0 };

	assert_ok(tracee_launch(tr, &what, &t, &err), err);
	assert_ok(tracer_thaw(tr, &err), err);
	return t;
}

static char state_of(const struct tracee *t)
{
	struct proc_stat stat;
	struct err err = { 0 };

	assert_ok(proc_stat(t->procfd, "stat", &stat, &err), err);
	return stat.state;
}

static bool is_quiet(struct tracer *tr)
{
	struct watches w = { 0 };
	uint64_t signature;
	bool quiet = watches_sample(&w, tr, &signature);

	watches_finish(&w);
	return quiet;
}

/* Handle its stops until it is seen so. */
static void run_until(struct tracer *tr, const struct tracee *t, char state, bool quiet)
{
	struct err err = { 0 };
	int exited = -1;

	for (int i = 0; i < 5000 && (state_of(t) != state || is_quiet(tr) != quiet); i++)
		assert_true(tracer_poll(tr, 1, &exited, &err) >= 0);
	assert_int_equal(state_of(t), state);
	assert_int_equal(is_quiet(tr), quiet);
}

/* As when there are more stops than we come to on a busy machine. */
static void test_stopped_for_us(void **state)
{
	struct tracer *tr = tracer_create();
	struct tracee *t = sleeper(tr);

	(void)state;
	run_until(tr, t, 'S', true);
	kill(t->pid, SIGWINCH);
	while (state_of(t) != 't')
		sched_yield();
	assert_false(is_quiet(tr));
	run_until(tr, t, 'S', true);
	kill(t->pid, SIGKILL);
	tracer_wait_end(tr);
	tracer_destroy(tr);
}

static void test_stopped_by_others(void **state)
{
	struct tracer *tr = tracer_create();
	struct tracee *t = sleeper(tr);

	(void)state;
	run_until(tr, t, 'S', true);
	kill(t->pid, SIGSTOP);
	run_until(tr, t, 't', true);
	kill(t->pid, SIGCONT);
	run_until(tr, t, 'S', true);
	kill(t->pid, SIGKILL);
	tracer_wait_end(tr);
	tracer_destroy(tr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped_for_us),
		cmocka_unit_test(test_stopped_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
