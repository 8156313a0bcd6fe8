#ifndef TEST_UNIT_HELPERS_TRACEE_TARGET_H
#define TEST_UNIT_HELPERS_TRACEE_TARGET_H

/* Small programs to be traced: a fork of the test that runs one function and dies with the test. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "tracee/proc.h"
#include "tracee/tracee.h"

enum { TARGET_LIMIT_S = 60 };

#define UNUSED __attribute__((unused))
/* Of a function of ours: prints why. */
#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		int ok_ = (call);                                                                  \
		if (ok_ < 0)                                                                       \
			fail_msg("%s: %d: %s (%s)", #call, ok_, (err).msg, (err).hint);            \
	} while (0)

/* Memory that test and target share. */
UNUSED static void *shared_alloc(size_t len)
{
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		abort();
	return mem;
}

UNUSED static pid_t target_start(int (*run)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(99);
	alarm(2 * TARGET_LIMIT_S);
	_exit(run(arg));
}

UNUSED static void target_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

UNUSED static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Poll a condition; the test fails if it does not come true. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		time_t end_ = now_s() + TARGET_LIMIT_S;                                            \
		while (!(condition)) {                                                             \
			if (now_s() > end_)                                                        \
				fail_msg("waited in vain for: %s", #condition);                    \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)

UNUSED static char target_state(pid_t pid, pid_t tid)
{
	struct proc_stat stat = { .state = '?' };
	char name[64];
	int fd = -1;

	if (proc_open(pid, &fd, NULL) < 0)
		return '?';
	snprintf(name, sizeof name, "task/%d/stat", tid);
	proc_stat(fd, name, &stat, NULL);
	close(fd);
	return stat.state;
}

/* Does it sleep in this system call? */
UNUSED static bool target_in(pid_t pid, pid_t tid, long nr)
{
	struct proc_syscall in = { .nr = -3 };
	int fd = -1;

	if (target_state(pid, tid) != 'S' || proc_open(pid, &fd, NULL) < 0)
		return false;
	proc_syscall(fd, tid, &in, NULL);
	close(fd);
	return in.nr == nr;
}

/* Until the first tracee has ended; gives its wait status. */
UNUSED static int tracer_wait_end(struct tracer *tr)
{
	struct err err = { 0 };
	time_t end = now_s() + TARGET_LIMIT_S;
	int status = -1;

	while (status == -1) {
		assert_ok(tracer_poll(tr, 1000, &status, &err), err);
		if (now_s() > end)
			fail_msg("the target did not end");
	}
	return status;
}

UNUSED static int64_t remote(
	struct tracee *t, struct tracee_thread *th, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t args[6] = { a, b, c, 0, 0, 0 };
	struct err err = { 0 };
	int64_t ret = 0;

	assert_ok(tracee_syscall(t, th, nr, args, &ret, &err), err);
	return ret;
}

/* ---- one that is stopped -----------------------------------------------------------------------
 */

struct target {
	struct tracer *tr;
	struct tracee *t;
	pid_t pid;
};

/* Run in a target, frozen where its first thread waits in system call nr, or anywhere: -1. */
UNUSED static struct target target_frozen(int (*run)(void *), void *arg, long nr)
{
	struct target x = { .tr = tracer_create() };
	struct err err = { 0 };

	x.pid = target_start(run, arg);
	if (nr >= 0)
		wait_until(target_in(x.pid, x.pid, nr));
	assert_ok(tracee_seize(x.tr, x.pid, &x.t, &err), err);
	assert_ok(tracer_freeze(x.tr, &err), err);
	return x;
}

UNUSED static void target_finish(struct target *x)
{
	tracer_destroy(x->tr);
	target_end(x->pid);
}

/* The word at fs_base + offset: TLS. */
UNUSED static uint64_t target_tls(struct target *x, pid_t tid, int64_t offset)
{
	struct user_regs_struct regs;
	struct err err = { 0 };
	uint64_t word = 0;

	assert_ok(thread_get_regs(tid, &regs, &err), err);
	assert_ok(
		tracee_read(x->t, regs.fs_base + (uint64_t)offset, &word, sizeof word, &err), err);
	return word;
}

#endif
