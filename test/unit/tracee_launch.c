/* Launching programs under our eyes. */
#include "test/unit/helpers/tracee_target.h"

#include <sys/stat.h>
#include <sys/syscall.h>

static struct tracee *launch(struct tracer *tr, const char *const *argv)
{
	const struct tracee_launch what = { .argv = (char *const *)argv };
	struct tracee *t = NULL;
	struct err err = { 0 };

	assert_ok(tracee_launch(tr, &what, &t, &err), err);
	return t;
}

static int launch_fails(const char *const *argv, struct err *err)
{
	const struct tracee_launch what = { .argv = (char *const *)argv };
	struct tracer *tr = tracer_create();
	struct tracee *t = NULL;
	int ret = tracee_launch(tr, &what, &t, err);

	assert_null(t);
	assert_int_equal(tr->nr_tracees, 0);
	tracer_destroy(tr);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing left of the child */
	return ret;
}

static int run_to_end(const char *const *argv)
{
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	int status;

	launch(tr, argv);
	assert_ok(tracer_thaw(tr, &err), err);
	status = tracer_wait_end(tr);
	tracer_destroy(tr);
	return status;
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(run_to_end(ARGV("true")), 0);
	assert_int_equal(WEXITSTATUS(run_to_end(ARGV("sh", "-c", "exit 42"))), 42);
	assert_int_equal(WTERMSIG(run_to_end(ARGV("sh", "-c", "kill -TERM $$"))), SIGTERM);
	assert_int_equal(WEXITSTATUS(run_to_end(ARGV("sh", "-c",
				 "for i in 1 2 3 4 5 6 7 8; do true | cat; (exit 3) & wait $!; "
				 "done; exit $?"))),
		3);
}

static void test_failures(void **state)
{
	char dir[] = "/tmp/tracee-launch-XXXXXX", path[64];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(launch_fails(ARGV("no-such-program-here"), &err), -ENOENT);
	assert_string_equal(err.msg, "run no-such-program-here: No such file or directory");
	assert_int_equal(err.code, ENOENT);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(launch_fails(ARGV(dir), &err), -EACCES);
	snprintf(path, sizeof path, "%s/plain", dir);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	assert_int_equal(launch_fails(ARGV(path), &err), -EACCES);
	unlink(path);
	rmdir(dir);
}

/* execvp(3) gives such a file to /bin/sh. */
static void test_script_without_interpreter(void **state)
{
	char path[] = "/tmp/tracee-launch-XXXXXX";
	int fd = mkstemp(path), status;

	(void)state;
	assert_int_equal(write(fd, "exit 7\n", 7), 7);
	fchmod(fd, 0755);
	close(fd);
	status = run_to_end(ARGV(path));
	unlink(path);
	assert_int_equal(WEXITSTATUS(status), 7);
}

static int prepare_fails(void *arg)
{
	(void)arg;
	return EOVERFLOW;
}

static int prepare_dup(void *arg)
{
	return dup2(*(int *)arg, 1) < 0 ? errno : 0;
}

/* What the program writes to its standard output. */
static void output_of(struct tracee_launch *what, char *text, size_t len)
{
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	struct tracee *t;
	size_t used = 0;
	int pipes[2];
	ssize_t n;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	what->prepare = prepare_dup;
	what->arg = &pipes[1];
	assert_ok(tracee_launch(tr, what, &t, &err), err);
	close(pipes[1]);
	assert_ok(tracer_thaw(tr, &err), err);
	assert_int_equal(tracer_wait_end(tr), 0);
	while ((n = read(pipes[0], text + used, len - used - 1)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(pipes[0]);
	tracer_destroy(tr);
}

static void test_prepare(void **state)
{
	char *argv[] = { "printenv", "WORD", NULL }, *envp[] = { "WORD=hello", NULL };
	struct tracee_launch what = { .argv = argv, .envp = envp, .prepare = prepare_fails };
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	struct tracee *t;
	char text[64];

	(void)state;
	assert_int_equal(tracee_launch(tr, &what, &t, &err), -EOVERFLOW);
	assert_non_null(strstr(err.msg, "prepare to run printenv"));
	tracer_destroy(tr);
	output_of(&what, text, sizeof text);
	assert_string_equal(text, "hello\n");
}

/* The program gets what the caller had before tracer_create, not what the tracer needs. */
/* The two lines of our own status: whoever runs the test may ignore signals, too. */
static void own_signals(char *text, size_t len)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];

	assert_non_null(status);
	text[0] = '\0';
	while (fgets(line, sizeof line, status))
		if (strstr(line, "SigBlk:") == line || strstr(line, "SigIgn:") == line)
			strncat(text, line, len - strlen(text) - 1);
	fclose(status);
}

static void test_inherits_signals(void **state)
{
	char *argv[] = { "grep", "-E", "SigBlk|SigIgn", "/proc/self/status", NULL };
	struct tracee_launch what = { .argv = argv };
	char text[128], own[128];
	sigset_t usr1;

	(void)state;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	signal(SIGCHLD, SIG_IGN);
	own_signals(own, sizeof own);
	output_of(&what, text, sizeof text);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	signal(SIGCHLD, SIG_DFL);
	assert_string_equal(text, own);
}

/* Stopped at the first instruction of the program, with final registers. */
static void test_stopped_after_exec(void **state)
{
	struct tracer *tr = tracer_create();
	struct tracee *t = launch(tr, ARGV("sleep", "100"));
	struct user_regs_struct regs;
	struct arena *a = arena_create();
	struct err err = { 0 };
	char *exe;

	(void)state;
	assert_true(t->launched);
	assert_int_equal(t->nr_threads, 1);
	assert_int_equal(t->threads[0].state, TRACEE_STOPPED);
	assert_ok(thread_get_regs(t->pid, &regs, &err), err);
	assert_int_equal(regs.rax, 0);
	assert_ok(proc_link(t->procfd, "exe", a, &exe, &err), err);
	assert_non_null(strstr(exe, "sleep"));
	assert_int_equal(remote(t, t->threads, SYS_getpid, 0, 0, 0), t->pid);
	assert_ok(tracer_thaw(tr, &err), err);
	while (!target_in(t->pid, t->pid, SYS_clock_nanosleep))
		assert_ok(tracer_poll(tr, 1, NULL, &err), err);
	assert_ok(tracer_freeze(tr, &err), err);
	assert_int_equal(remote(t, t->threads, SYS_getpid, 0, 0, 0), t->pid);
	arena_destroy(a);
	tracer_destroy(tr); /* kills it */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Children are taken in, and leave the list when they end. */
static void test_children(void **state)
{
	struct tracer *tr = tracer_create();
	struct err err = { 0 };
	bool seen = false;
	time_t end = now_s() + TARGET_LIMIT_S;

	(void)state;
	launch(tr, ARGV("sh", "-c", "sleep 1000 & sleep 1000 & wait"));
	assert_ok(tracer_thaw(tr, &err), err);
	while (!seen && now_s() < end) {
		assert_ok(tracer_poll(tr, 10, NULL, &err), err);
		seen = tr->nr_tracees == 3 &&
		       target_in(tr->tracees[1]->pid, tr->tracees[1]->pid, SYS_clock_nanosleep) &&
		       target_in(tr->tracees[2]->pid, tr->tracees[2]->pid, SYS_clock_nanosleep);
	}
	assert_true(seen);
	assert_ok(tracer_freeze(tr, &err), err);
	for (size_t i = 0; i < 3; i++) {
		struct tracee *t = tr->tracees[i];

		assert_true(t->launched);
		assert_int_equal(remote(t, t->threads, SYS_getpid, 0, 0, 0), t->pid);
	}
	assert_ok(tracer_thaw(tr, &err), err);
	kill(tr->tracees[1]->pid, SIGKILL);
	while (tr->nr_tracees == 3 && now_s() < end)
		assert_ok(tracer_poll(tr, 100, NULL, &err), err);
	assert_int_equal(tr->nr_tracees, 2);
	tracer_destroy(tr);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_released_runs_on(void **state)
{
	struct tracer *tr = tracer_create();
	struct tracee *t = launch(tr, ARGV("sleep", "100"));
	pid_t pid = t->pid;

	(void)state;
	tracee_release(t);
	tracer_destroy(tr);
	wait_until(target_in(pid, pid, SYS_clock_nanosleep));
	target_end(pid);
}

/* ---- the launched program dies with its tracer -------------------------- */

static int run_tracer(void *arg)
{
	int *pipes = arg;
	char *argv[] = { "sh", "-c", "sleep 1000 & echo ready; wait", NULL };
	const struct tracee_launch what = {
		.argv = argv, .prepare = prepare_dup, .arg = &pipes[1]
	};
	struct tracer *tr = tracer_create();
	struct tracee *t;

	if (tracee_launch(tr, &what, &t, NULL) < 0 || tracer_thaw(tr, NULL) < 0)
		return 1;
	close(pipes[1]);
	while (tracer_poll(tr, 1000, NULL, NULL) >= 0)
		;
	return 0;
}

static void test_exitkill(void **state)
{
	char text[8];
	int pipes[2];
	pid_t tracer;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	tracer = target_start(run_tracer, pipes);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], text, sizeof text), 6);
	target_end(tracer);
	/* The end of the file comes when shell and sleep are gone, which hold the other end. */
	assert_int_equal(read(pipes[0], text, sizeof text), 0);
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_script_without_interpreter),
		cmocka_unit_test(test_prepare),
		cmocka_unit_test(test_inherits_signals),
		cmocka_unit_test(test_stopped_after_exec),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_released_runs_on),
		cmocka_unit_test(test_exitkill),
	};

	/* Another PATH may name directories that we may not look into: then execvp(3) says EACCES.
	 */
	setenv("PATH", "/usr/bin:/bin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
