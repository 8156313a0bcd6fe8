/* Seizing, freezing, thawing and releasing processes that do their best to get away. */
#include "test/unit/helpers/tracee_target.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "base/text.h"

/* ---- checks ------------------------------------------------------------- */

static bool tracee_knows(struct tracee *t, pid_t tid)
{
	for (size_t i = 0; i < t->nr_threads; i++)
		if (t->threads[i].tid == tid)
			return true;
	return false;
}

/* Every task of the process is known and stands in a ptrace-stop; only a leader may be a zombie. */
static void assert_frozen(struct tracee *t)
{
	struct arena *a = arena_create();
	struct err err = { 0 };
	pid_t *tids;
	size_t nr, live = 0;

	assert_ok(proc_tasks(t->procfd, a, &tids, &nr, &err), err);
	for (size_t i = 0; i < nr; i++) {
		char state = target_state(t->pid, tids[i]);

		assert_true(tracee_knows(t, tids[i]));
		if (state == 'Z' && tids[i] == t->pid)
			assert_int_equal(t->threads[0].state, TRACEE_EXITED);
		else if (state != 't')
			fail_msg("thread %d of %d: state %c", tids[i], t->pid, state);
	}
	for (size_t i = 0; i < t->nr_threads; i++) {
		struct user_regs_struct regs;

		if (t->threads[i].state == TRACEE_EXITED) {
			assert_int_equal(i, 0);
			continue;
		}
		assert_ok(thread_get_regs(t->threads[i].tid, &regs, &err), err);
		live++;
	}
	assert_true(live > 0);
	arena_destroy(a);
}

static void target_seize(struct target *x)
{
	struct err err = { 0 };

	assert_ok(tracee_seize(x->tr, x->pid, &x->t, &err), err);
}

static void target_freeze(struct target *x)
{
	struct err err = { 0 };

	assert_ok(tracer_freeze(x->tr, &err), err);
	assert_frozen(x->t);
}

static void target_thaw(struct target *x)
{
	struct err err = { 0 };

	assert_ok(tracer_thaw(x->tr, &err), err);
}

static void target_poll(struct target *x, int ms)
{
	struct err err = { 0 };

	assert_ok(tracer_poll(x->tr, ms, NULL, &err), err);
}

/* ---- threads that come and go ------------------------------------------- */

struct churn {
	atomic_ulong made;
	atomic_int ready;
	int nr;
	bool leader_exits;
};

static struct churn *churn;

static void *churn_child(void *arg)
{
	(void)arg;
	churn->made++;
	return NULL;
}

/* Each makes short-lived threads as fast as it can. */
static void *churn_thread(void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	churn->ready++;
	for (;;)
		if (pthread_create(&thread, &attr, churn_child, NULL) == 0)
			pthread_join(thread, NULL);
	return NULL;
}

static int run_churn(void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < churn->nr; i++)
		if (pthread_create(&thread, &attr, churn_thread, NULL))
			return 1;
	if (churn->leader_exits)
		pthread_exit(NULL);
	churn_thread(NULL);
	return 0;
}

static struct target churn_start(int nr, bool leader_exits)
{
	struct target x = { .tr = tracer_create() };

	*churn = (struct churn){ .nr = nr, .leader_exits = leader_exits };
	x.pid = target_start(run_churn, NULL);
	wait_until(churn->ready == nr + !leader_exits);
	if (leader_exits)
		wait_until(target_state(x.pid, x.pid) == 'Z');
	return x;
}

/* Nothing moves while frozen, and everything goes on afterwards. */
static void churn_round(struct target *x)
{
	unsigned long made;

	target_freeze(x);
	made = churn->made;
	assert_frozen(x->t);
	assert_int_equal(churn->made, made);
	target_thaw(x);
	while (churn->made < made + 10)
		target_poll(x, 100);
}

static void test_churn(void **state)
{
	struct target x = churn_start(200, false);

	(void)state;
	for (int i = 0; i < 10; i++) {
		unsigned long made;

		target_seize(&x);
		churn_round(&x);
		made = churn->made;
		tracee_release(x.t);
		wait_until(churn->made > made + 10);
	}
	target_seize(&x);
	for (int i = 0; i < 40; i++)
		churn_round(&x);
	tracer_destroy(x.tr);
	target_end(x.pid);
}

static void test_leader_exited(void **state)
{
	struct target x = churn_start(5, true);
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct tracee_thread *th = NULL;
		const uint64_t none[6] = { 0 };
		int64_t ret;

		target_seize(&x);
		target_freeze(&x);
		assert_int_equal(x.t->threads[0].tid, x.pid);
		assert_int_equal(x.t->threads[0].state, TRACEE_EXITED);
		th = &x.t->threads[1];
		assert_ok(tracee_syscall(x.t, th, SYS_getpid, none, &ret, &err), err);
		assert_int_equal(ret, x.pid);
		tracee_release(x.t);
	}
	target_seize(&x);
	kill(x.pid, SIGKILL);
	assert_int_equal(WTERMSIG(tracer_wait_end(x.tr)), SIGKILL);
	tracer_destroy(x.tr);
}

/* The leader exits while we trace it. */
struct exiting {
	atomic_int go, gone, end;
};

static struct exiting *exiting;

static void *exiting_thread(void *arg)
{
	(void)arg;
	while (!exiting->end)
		usleep(1000);
	_exit(5);
}

static int run_exiting(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_create(&thread, NULL, exiting_thread, NULL);
	exiting->gone = 1;
	while (!exiting->go)
		usleep(1000);
	pthread_exit(NULL);
}

static void test_leader_exits(void **state)
{
	struct target x = { .tr = tracer_create() };

	(void)state;
	memset(exiting, 0, sizeof *exiting);
	x.pid = target_start(run_exiting, NULL);
	wait_until(exiting->gone);
	target_seize(&x);
	exiting->go = 1;
	while (target_state(x.pid, x.pid) != 'Z')
		target_poll(&x, 10);
	target_freeze(&x);
	assert_int_equal(x.t->threads[0].state, TRACEE_EXITED);
	assert_int_equal(x.t->nr_threads, 2);
	target_thaw(&x);
	exiting->end = 1;
	assert_int_equal(WEXITSTATUS(tracer_wait_end(x.tr)), 5);
	tracer_destroy(x.tr);
}

/* ---- stopped processes -------------------------------------------------- */

static void *spin_thread(void *arg)
{
	atomic_ulong *rounds = arg;

	for (;;)
		(*rounds)++;
	return NULL;
}

static int run_spin(void *arg)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, spin_thread, arg);
	spin_thread(arg);
	return 0;
}

static bool all_tasks_in(pid_t pid, char state)
{
	struct arena *a = arena_create();
	bool all = true;
	pid_t *tids;
	int fd = -1;
	size_t nr = 0;

	if (proc_open(pid, &fd, NULL) == 0)
		proc_tasks(fd, a, &tids, &nr, NULL);
	for (size_t i = 0; i < nr; i++)
		all &= target_state(pid, tids[i]) == state;
	close(fd);
	arena_destroy(a);
	return all && nr == 4;
}

static struct target spin_start(atomic_ulong *rounds)
{
	struct target x = { .tr = tracer_create() };

	x.pid = target_start(run_spin, rounds);
	wait_until(all_tasks_in(x.pid, 'R'));
	return x;
}

static void assert_group_stopped(struct tracee *t, int sig)
{
	for (size_t i = 0; i < t->nr_threads; i++) {
		assert_int_equal(t->threads[i].state, TRACEE_GROUP_STOPPED);
		assert_int_equal(t->threads[i].stop_signal, sig);
	}
}

static void test_stopped_comes_back_stopped(void **state)
{
	atomic_ulong *rounds = shared_alloc(sizeof *rounds);
	struct target x = spin_start(rounds);

	(void)state;
	kill(x.pid, SIGSTOP);
	wait_until(all_tasks_in(x.pid, 'T'));
	for (int i = 0; i < 20; i++) {
		unsigned long before = *rounds;

		target_seize(&x);
		if (i % 2)
			target_poll(&x, 10);
		target_freeze(&x);
		assert_group_stopped(x.t, SIGSTOP);
		if (i % 3 == 0) {
			target_thaw(&x);
			target_poll(&x, 10);
			target_freeze(&x);
			assert_group_stopped(x.t, SIGSTOP);
		}
		tracee_release(x.t);
		wait_until(all_tasks_in(x.pid, 'T'));
		assert_int_equal(*rounds, before);
	}
	kill(x.pid, SIGCONT);
	wait_until(all_tasks_in(x.pid, 'R'));
	tracer_destroy(x.tr);
	target_end(x.pid);
}

/* Stopped and continued while traced, seen through the listening state. */
static void test_stop_and_continue_traced(void **state)
{
	atomic_ulong *rounds = shared_alloc(sizeof *rounds);
	struct target x = spin_start(rounds);

	(void)state;
	target_seize(&x);
	for (int i = 0; i < 20; i++) {
		unsigned long before;

		kill(x.pid, SIGTSTP);
		/* All four listen when all four have reported their group-stop. */
		do
			target_poll(&x, 20);
		while (!all_tasks_in(x.pid, 't'));
		target_poll(&x, 0);
		target_freeze(&x);
		assert_group_stopped(x.t, SIGTSTP);
		if (i % 2)
			target_thaw(&x);
		before = *rounds;
		kill(x.pid, SIGCONT);
		if (i % 2 == 0)
			target_thaw(&x);
		while (*rounds < before + 100)
			target_poll(&x, 20);
	}
	tracer_destroy(x.tr);
	target_end(x.pid);
}

/* SIGSTOP sent while frozen takes effect when it runs on. */
static void test_stop_while_frozen(void **state)
{
	atomic_ulong *rounds = shared_alloc(sizeof *rounds);
	struct target x = spin_start(rounds);

	(void)state;
	target_seize(&x);
	target_freeze(&x);
	kill(x.pid, SIGSTOP);
	tracee_release(x.t);
	wait_until(all_tasks_in(x.pid, 'T'));
	tracer_destroy(x.tr);
	target_end(x.pid);
}

/* ---- exec, fork, vfork -------------------------------------------------- */

static int run_exec(void *arg)
{
	char counter[32];

	snprintf(counter, sizeof counter, "%lu", (unsigned long)arg);
	execl("/proc/self/exe", "tracee_freeze", "exec-target", counter, NULL);
	return 1;
}

static void *exec_thread(void *arg)
{
	while (pause() < 0)
		;
	return arg;
}

/* In the execed program: some threads, one of which execs the next one. */
static void *exec_again(void *arg)
{
	char **argv = arg;

	execl("/proc/self/exe", "tracee_freeze", "exec-target", argv[2], NULL);
	_exit(1);
}

static int exec_target(char **argv)
{
	atomic_ulong *count;
	int fd = atoi(argv[2]);
	pthread_t thread;

	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* An exec by another thread than the leader clears the death signal: look who the parent
	 * is. */
	if (count == MAP_FAILED || (unsigned long)getppid() != count[1])
		return 1;
	count[0]++;
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, exec_thread, NULL);
	pthread_create(&thread, NULL, exec_again, argv);
	exec_thread(NULL);
	return 0;
}

static void test_exec_loop(void **state)
{
	int fd = memfd_create("count", 0);
	struct target x = { .tr = tracer_create() };
	atomic_ulong *count;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	count[1] = (unsigned long)getpid();
	x.pid = target_start(run_exec, (void *)(uintptr_t)fd);
	wait_until(*count > 3);
	for (int i = 0; i < 60; i++) {
		unsigned long before;

		target_seize(&x);
		target_freeze(&x);
		before = *count;
		assert_frozen(x.t);
		target_thaw(&x);
		while (*count < before + (i % 3))
			target_poll(&x, 20);
		before = *count;
		tracee_release(x.t);
		wait_until(*count > before);
	}
	tracer_destroy(x.tr);
	target_end(x.pid);
	close(fd);
}

struct forks {
	atomic_ulong made;
};

static struct forks *forks;

static int run_forks(void *arg)
{
	bool vforks = arg;
	char *argv[] = { "true", NULL };

	for (;;) {
		pid_t pid = vforks ? vfork() : fork();

		if (pid == 0 && vforks)
			execv("/bin/true", argv);
		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
		forks->made++;
	}
}

static void forks_with(bool vforks)
{
	struct target x = { .tr = tracer_create() };

	x.pid = target_start(run_forks, (void *)(uintptr_t)vforks);
	forks->made = 0;
	wait_until(forks->made > 3);
	target_seize(&x);
	for (int i = 0; i < 30; i++) {
		unsigned long made;

		target_freeze(&x);
		made = forks->made;
		for (size_t j = 0; j < x.tr->nr_tracees; j++)
			if (!x.tr->tracees[j]->ended)
				assert_frozen(x.tr->tracees[j]);
		target_thaw(&x);
		while (forks->made < made + 3)
			target_poll(&x, 20);
	}
	tracer_destroy(x.tr);
	target_end(x.pid);
}

static void test_forks(void **state)
{
	(void)state;
	forks_with(false);
	forks_with(true);
}

/* ---- other children of the caller are left alone ------------------------ */

static int run_exit7(void *arg)
{
	(void)arg;
	return 7;
}

static void test_other_children(void **state)
{
	pid_t other = target_start(run_exit7, NULL);
	struct target x = churn_start(3, false);
	int status;

	(void)state;
	wait_until(target_state(other, other) == 'Z');
	target_seize(&x);
	for (int i = 0; i < 10; i++)
		churn_round(&x);
	tracer_destroy(x.tr);
	target_end(x.pid);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(WEXITSTATUS(status), 7);
}

/* Killed at any time: nobody hangs, and the status is right. */
static void test_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct target x = churn_start(10, false);
		struct err err = { 0 };

		if (i % 2)
			kill(x.pid, SIGKILL);
		if (tracee_seize(x.tr, x.pid, &x.t, &err) == 0) {
			if (i % 4 == 0)
				target_freeze(&x);
			kill(x.pid, SIGKILL);
			if (i % 3 == 0)
				tracer_freeze(x.tr, &err);
			assert_int_equal(WTERMSIG(tracer_wait_end(x.tr)), SIGKILL);
		}
		tracer_destroy(x.tr);
		waitpid(x.pid, NULL, 0); /* where it ended before it was ours */
	}
}

static void test_errors(void **state)
{
	atomic_ulong *rounds = shared_alloc(sizeof *rounds);
	struct target x = spin_start(rounds);
	struct err err = { 0 };
	struct tracee *t;

	(void)state;
	target_seize(&x);
	assert_int_equal(tracee_seize(x.tr, x.pid, &t, &err), -EEXIST);
	assert_int_equal(tracee_seize(x.tr, getpid(), &t, &err), -EINVAL);
	assert_int_equal(tracee_seize(x.tr, 0x7ffffff0, &t, &err), -ESRCH);
	assert_ptr_equal(tracer_find(x.tr, x.pid), x.t);
	assert_null(tracer_find(x.tr, 1));
	tracer_destroy(x.tr);
	target_end(x.pid);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_leader_exited),
		cmocka_unit_test(test_leader_exits),
		cmocka_unit_test(test_stopped_comes_back_stopped),
		cmocka_unit_test(test_stop_and_continue_traced),
		cmocka_unit_test(test_stop_while_frozen),
		cmocka_unit_test(test_exec_loop),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_other_children),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_errors),
	};

	if (argc > 2 && !strcmp(argv[1], "exec-target"))
		return exec_target(argv);
	churn = shared_alloc(sizeof *churn);
	exiting = shared_alloc(sizeof *exiting);
	forks = shared_alloc(sizeof *forks);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
