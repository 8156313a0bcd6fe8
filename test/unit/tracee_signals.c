/* Signals of a traced process: none lost, none reordered, all shown. */
#include "test/unit/helpers/tracee_target.h"

#include <pthread.h>
#include <sys/syscall.h>

enum { STORM = 20000, STORM_SIG = 40 };

struct shared {
	atomic_int handled, disorder, last, ready, finale, other, sender_pid, bad_code;
	pid_t tid;
};

static struct shared *shm;

static struct target target_traced(int (*run)(void *), void *arg)
{
	struct target x = { .tr = tracer_create() };
	struct err err = { 0 };

	memset(shm, 0, sizeof *shm);
	x.pid = target_start(run, arg);
	wait_until(shm->ready);
	assert_ok(tracee_seize(x.tr, x.pid, &x.t, &err), err);
	return x;
}

static void freeze(struct target *x)
{
	struct err err = { 0 };

	assert_ok(tracer_freeze(x->tr, &err), err);
}

static void thaw(struct target *x)
{
	struct err err = { 0 };

	assert_ok(tracer_thaw(x->tr, &err), err);
}

/* ---- a storm of queued signals ------------------------------------------ */

static void storm_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_value.sival_int != shm->last + 1)
		shm->disorder++;
	if (info->si_code != SI_QUEUE || info->si_pid != shm->sender_pid)
		shm->bad_code++;
	shm->last = info->si_value.sival_int;
	shm->handled++;
}

static void storm_prepare(void)
{
	struct sigaction sa = { .sa_sigaction = storm_handler,
		.sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(STORM_SIG, &sa, NULL);
	shm->ready = 1;
}

static int run_storm_waiting(void *arg)
{
	(void)arg;
	storm_prepare();
	while (shm->handled < STORM)
		pause();
	return shm->disorder || shm->bad_code;
}

static int run_storm_computing(void *arg)
{
	uint64_t x = 1;

	(void)arg;
	storm_prepare();
	while (shm->handled < STORM)
		x = x * 3 + 1;
	return shm->disorder || shm->bad_code || x == 0;
}

/* Open only inside sigsuspend, as careful programs do it. */
static int run_storm_sigsuspend(void *arg)
{
	sigset_t storm, none;

	(void)arg;
	sigemptyset(&none);
	sigemptyset(&storm);
	sigaddset(&storm, STORM_SIG);
	sigprocmask(SIG_BLOCK, &storm, NULL);
	storm_prepare();
	while (shm->handled < STORM)
		sigsuspend(&none);
	return shm->disorder || shm->bad_code;
}

static int run_sender(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	shm->sender_pid = getpid();
	for (int i = 1; i <= STORM; i++) {
		union sigval value = { .sival_int = i };

		while (sigqueue(pid, STORM_SIG, value) < 0)
			if (errno != EAGAIN)
				return 1;
		/* The last ones only when nobody freezes any more: the target ends with them. */
		while (i == STORM * 9 / 10 && !shm->finale)
			sched_yield();
		if (i % 64 == 0)
			sched_yield();
	}
	return 0;
}

static void storm_disturb(struct target *x, int round)
{
	struct err err = { 0 };

	freeze(x);
	for (int i = 0; i < round % 3; i++)
		remote(x->t, x->t->threads, SYS_getpid, 0, 0, 0);
	if (round % 2)
		thaw(x);
	else {
		tracee_release(x->t);
		assert_ok(tracee_seize(x->tr, x->pid, &x->t, &err), err);
	}
	assert_ok(tracer_poll(x->tr, 1, NULL, &err), err);
}

static void storm(int (*run)(void *))
{
	struct target x = target_traced(run, NULL);
	pid_t sender = target_start(run_sender, &x.pid);
	time_t end = now_s() + TARGET_LIMIT_S;
	int held = 0, status;

	for (int round = 0; shm->handled < STORM * 9 / 10; round++) {
		storm_disturb(&x, round);
		freeze(&x);
		held += x.t->threads[0].held_signal == STORM_SIG;
		thaw(&x);
		if (now_s() > end)
			fail_msg("only %d handled", shm->handled);
	}
	shm->finale = 1;
	status = tracer_wait_end(x.tr);
	assert_int_equal(shm->disorder, 0);
	assert_int_equal(shm->bad_code, 0);
	assert_int_equal(shm->handled, STORM);
	assert_int_equal(status, 0);
	tracer_destroy(x.tr);
	assert_int_equal(waitpid(sender, &status, 0), sender);
	assert_int_equal(status, 0);
	print_message("# %d of the freezes met a signal in delivery\n", held);
}

static void test_storm_waiting(void **state)
{
	(void)state;
	storm(run_storm_waiting);
}

static void test_storm_computing(void **state)
{
	(void)state;
	storm(run_storm_computing);
}

static void test_storm_sigsuspend(void **state)
{
	(void)state;
	storm(run_storm_sigsuspend);
}

/* ---- a signal held in its delivery -------------------------------------- */

static void other_handler(int sig)
{
	(void)sig;
	shm->other++;
}

static int run_spin(void *arg)
{
	(void)arg;
	signal(SIGUSR2, other_handler);
	storm_prepare();
	for (;;)
		;
	return 0;
}

/* Nobody looks while it stops for the signal, so the freeze finds it there. */
static void hold_one(struct target *x)
{
	union sigval value = { .sival_int = shm->last + 1 };

	shm->sender_pid = getpid();
	assert_int_equal(sigqueue(x->pid, STORM_SIG, value), 0);
	wait_until(target_state(x->pid, x->pid) == 't');
	freeze(x);
	assert_int_equal(x->t->threads[0].held_signal, STORM_SIG);
}

static void held_and(bool use, bool release)
{
	struct target x = target_traced(run_spin, NULL);
	struct tracee_thread *th = x.t->threads;
	union sigval value;

	hold_one(&x);
	assert_int_equal(th->held_info.si_value.sival_int, shm->last + 1);
	value.sival_int = shm->last + 2;
	assert_int_equal(sigqueue(x.pid, STORM_SIG, value), 0);
	if (use)
		assert_int_equal(remote(x.t, th, SYS_getpid, 0, 0, 0), x.pid);
	assert_int_equal(th->held_signal, STORM_SIG);
	kill(x.pid, SIGUSR2);
	if (release)
		tracee_release(x.t);
	else
		thaw(&x);
	while (shm->last != value.sival_int || !shm->other)
		assert_true(tracer_poll(x.tr, 1, NULL, NULL) >= 0);
	assert_int_equal(shm->disorder, 0);
	assert_int_equal(shm->bad_code, 0);
	assert_int_equal(shm->handled, shm->last);
	target_finish(&x);
}

static void test_held(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		held_and(i & 1, i & 2);
}

/* ---- pending signals ---------------------------------------------------- */

static int run_blocked(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	shm->ready = 1;
	for (;;)
		pause();
	return 0;
}

static void test_pending(void **state)
{
	struct target x = target_traced(run_blocked, NULL);
	struct err err = { 0 };
	siginfo_t *infos, info = { .si_code = SI_QUEUE, .si_signo = STORM_SIG };
	uint64_t mask;
	size_t nr;

	(void)state;
	freeze(&x);
	assert_ok(thread_get_pending(x.pid, true, &infos, &nr, &err), err);
	assert_int_equal(nr, 0);
	free(infos);
	for (int i = 0; i < 200; i++) {
		union sigval value = { .sival_int = i };

		assert_int_equal(sigqueue(x.pid, STORM_SIG, value), 0);
		info.si_value.sival_int = 1000 + i;
		assert_int_equal(
			syscall(SYS_rt_tgsigqueueinfo, x.pid, x.pid, STORM_SIG + 1, &info), 0);
	}
	kill(x.pid, SIGTERM);
	assert_ok(thread_get_pending(x.pid, true, &infos, &nr, &err), err);
	assert_int_equal(nr, 201);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(infos[i].si_signo, STORM_SIG);
		assert_int_equal(infos[i].si_value.sival_int, i);
		assert_int_equal(infos[i].si_pid, getpid());
	}
	assert_int_equal(infos[200].si_signo, SIGTERM);
	assert_int_equal(infos[200].si_code, SI_USER);
	free(infos);
	assert_ok(thread_get_pending(x.pid, false, &infos, &nr, &err), err);
	assert_int_equal(nr, 200);
	assert_int_equal(infos[199].si_value.sival_int, 1199);
	free(infos);
	assert_ok(thread_get_sigmask(x.pid, &mask, &err), err);
	assert_int_equal(mask & ~(3ULL << 31),
		~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1) | 3ULL << 31));
	target_finish(&x);
}

/* ---- signals that end it, or that it ignores ---------------------------- */

static int run_wait(void *arg)
{
	(void)arg;
	shm->ready = 1;
	for (;;)
		pause();
	return 0;
}

static void test_fatal(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct target x = target_traced(run_wait, NULL);

		if (i > 0)
			freeze(&x);
		if (i > 1)
			remote(x.t, x.t->threads, SYS_getpid, 0, 0, 0);
		kill(x.pid, SIGTERM);
		if (i > 0)
			thaw(&x);
		assert_int_equal(WTERMSIG(tracer_wait_end(x.tr)), SIGTERM);
		tracer_destroy(x.tr);
	}
}

static void chld_handler(int sig)
{
	(void)sig;
}

/* The caller's mask and action of SIGCHLD are put back. */
static void test_caller_unchanged(void **state)
{
	struct sigaction sa = { .sa_handler = chld_handler, .sa_flags = SA_RESTART }, now;
	struct tracer *tr;
	sigset_t mask;

	(void)state;
	sigaction(SIGCHLD, &sa, NULL);
	tr = tracer_create();
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_true(sigismember(&mask, SIGCHLD));
	tracer_destroy(tr);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGCHLD));
	sigaction(SIGCHLD, NULL, &now);
	assert_ptr_equal(now.sa_handler, chld_handler);
	signal(SIGCHLD, SIG_DFL);
	tracer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm_waiting),
		cmocka_unit_test(test_storm_computing),
		cmocka_unit_test(test_storm_sigsuspend),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_caller_unchanged),
	};

	shm = shared_alloc(sizeof *shm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
