/* Who is whose child: wide, deep, orphaned, adopted; how ends are told. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- shapes ------------------------------------------------------------------------------------
 */

struct place {
	pid_t parent;
	int value;
};

static void kid_in_place(void *arg)
{
	struct place *place = arg;
	pid_t self = getpid();

	kid_wait();
	expect(getpid() == self && (pid_t)syscall(SYS_gettid) == self, "pid");
	expect(getppid() == place->parent, "parent is %d, not %d", getppid(), place->parent);
	expect(place->value == 4711, "value %d", place->value);
}

static void tree_children(void)
{
	struct place place = { getpid(), 4711 };

	for (int i = 0; i < 3; i++)
		kid(kid_in_place, &place);
	place.value = 1; /* in their copies it is as it was */
	target_wait();
	kids_check();
	expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is another child");
}

static void kid_with_kids(void *arg)
{
	struct place place = { getpid(), 4711 };

	(void)arg;
	for (int i = 0; i < 2; i++)
		kid(kid_in_place, &place);
	kid_wait();
	kids_check();
	expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is another child");
}

static void tree_grandchildren(void)
{
	kid(kid_with_kids, NULL);
	kid(kid_with_kids, NULL);
	target_wait();
	kids_check();
}

static void tree_wide(void)
{
	struct place place = { getpid(), 4711 };

	for (int i = 0; i < 200; i++)
		kid(kid_in_place, &place);
	target_wait();
	kids_check();
}

static void kid_deep(void *arg)
{
	int *left = arg;
	pid_t parent = getppid();

	if (--*left > 0)
		kid(kid_deep, left);
	kid_wait();
	expect(getppid() == parent, "parent");
	kids_check();
}

static void tree_deep(void)
{
	int left = 100;

	kid(kid_deep, &left);
	target_wait();
	kids_check();
}

static void kid_of_ten(void *arg)
{
	struct place place = { getpid(), 4711 };

	(void)arg;
	for (int i = 0; i < 13; i++)
		kid(kid_in_place, &place);
	kid_wait();
	kids_check();
}

static void tree_bushy(void)
{
	for (int i = 0; i < 14; i++)
		kid(kid_of_ten, NULL);
	target_wait();
	kids_check();
}

static void *sleeper(void *arg)
{
	int *gate = arg;
	char byte;

	thread_arrived();
	return read(gate[0], &byte, 1) == 1 ? arg : NULL;
}

static void kid_with_threads(void *arg)
{
	pthread_t threads[3];
	void *result;
	int gate[2];

	(void)arg;
	must(pipe(gate));
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(sleeper, gate);
	kid_wait();
	must(write(gate[1], "xxx", 3));
	for (int i = 0; i < 3; i++)
		expect(pthread_join(threads[i], &result) == 0 && result == gate, "thread %d", i);
}

static void tree_threads(void)
{
	kid(kid_with_threads, NULL);
	kid(kid_with_threads, NULL);
	target_wait();
	kids_check();
}

static void *forks(void *arg)
{
	int *gate = arg;
	struct place place = { getpid(), 4711 };
	char byte;

	kid(kid_in_place, &place);
	thread_arrived();
	must(read(gate[0], &byte, 1));
	return NULL;
}

/* Its parent is the process, whichever thread forked. */
static void tree_fork_thread(void)
{
	pthread_t thread;
	int gate[2];

	must(pipe(gate));
	thread = thread_start(forks, gate);
	target_wait();
	kids_check();
	must(write(gate[1], "x", 1));
	thread_join(thread);
}

/* ---- orphans -----------------------------------------------------------------------------------
 */

static void tree_subreaper(void)
{
	struct place place = { getpid(), 4711 };
	pid_t adopted;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	adopted = kid_orphan(kid_in_place, &place);
	kid(kid_with_kids, NULL);
	target_wait();
	kid_check(adopted);
	kids_check();
}

static void kid_that_reaps(void *arg)
{
	struct place place = { getpid(), 4711 };

	(void)arg;
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	kid_orphan(kid_in_place, &place);
	kid_wait();
	kids_check();
}

static void tree_subreaper_child(void)
{
	kid(kid_that_reaps, NULL);
	target_wait();
	kids_check();
}

static void kid_ends_early(void *arg)
{
	int *to = arg;
	pid_t grandchild = (pid_t)must(fork());

	if (grandchild == 0) {
		pid_t parent = getppid();
		char byte = 'x';

		while (getppid() == parent)
			usleep(1000);
		must(write(to[1], &byte, 1));
		_exit(9);
	}
	must(write(to[1], &grandchild, sizeof grandchild));
	kid_wait();
}

/* Adoption works after the restore: the subreaper gets the grandchild when its parent ends. */
static void tree_adopts_later(void)
{
	pid_t child, grandchild;
	int to[2], status;
	char byte;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(pipe(to));
	child = kid(kid_ends_early, to);
	must(read(to[0], &grandchild, sizeof grandchild));
	target_wait();
	kid_check(child);
	must(read(to[0], &byte, 1));
	expect(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 9,
		"the grandchild is not ours: %s", strerror(errno));
}

/* Its parent has ended and nobody of the tree adopts: launched dumps hold such ones, too. */
static void kid_daemon(void *arg)
{
	int *said = arg;

	must(setsid());
	kid_wait();
	expect(getsid(0) == getpid() && getpgrp() == getpid(), "session");
	must(write(said[1], "g", 1));
}

static void tree_daemon(void)
{
	int said[2];
	char byte = 0;
	pid_t pid;

	must(pipe(said));
	pid = kid_orphan(kid_daemon, said);
	target_wait();
	kid_tell(pid);
	expect(read(said[0], &byte, 1) == 1 && byte == 'g', "the daemon is not well");
}

/* daemon(3) by two forks: the leader of its session has ended. */
static void tree_daemon_twice(void)
{
	int said[2], tell[2];
	char byte = 0;
	pid_t middle;

	must(pipe(said));
	must(pipe(tell));
	middle = (pid_t)must(fork());
	if (middle == 0) {
		must(setsid());
		if (must(fork()) == 0) {
			pid_t leader = getsid(0);

			while (getppid() == middle)
				usleep(1000);
			must(write(said[1], "r", 1));
			must(read(tell[0], &byte, 1));
			expect(getsid(0) == leader && getpid() != leader, "session");
			must(write(said[1], "g", 1));
		}
		_exit(0);
	}
	must(waitpid(middle, NULL, 0));
	must(read(said[0], &byte, 1));
	target_wait();
	must(write(tell[1], "x", 1));
	expect(read(said[0], &byte, 1) == 1 && byte == 'g', "the daemon is not well");
}

/* ---- how an end is told ------------------------------------------------------------------------
 */

static volatile sig_atomic_t nr_usr1;

static void count_usr1(int signal)
{
	(void)signal;
	nr_usr1++;
}

/* clone(2) with another exit signal: only __WCLONE waits for such children. */
static void tree_exit_signal(void)
{
	struct sigaction action = { .sa_handler = count_usr1, .sa_flags = SA_RESTART };
	pid_t usr1, none;

	must(sigaction(SIGUSR1, &action, NULL));
	usr1 = kid_clone(SIGUSR1, kid_idle, NULL);
	none = kid_clone(0, kid_idle, NULL);
	target_wait();
	expect(nr_usr1 == 0, "%d signals before anybody ended", nr_usr1);
	kid_tell(usr1);
	expect(waitpid(usr1, NULL, WNOHANG) == -1 && errno == ECHILD, "it is an ordinary child");
	kid_reap(usr1, __WCLONE);
	expect(nr_usr1 == 1, "%d signals", nr_usr1);
	kid_tell(none);
	kid_reap(none, __WCLONE);
	expect(nr_usr1 == 1, "a signal for the one without");
}

static void dies_with_parent(void *arg)
{
	int *to = arg;
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		int signal;
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		must(sigprocmask(SIG_BLOCK, &set, NULL));
		must(prctl(PR_SET_PDEATHSIG, SIGUSR2));
		must(write(to[1], "r", 1));
		expect(sigwait(&set, &signal) == 0 && signal == SIGUSR2, "sigwait");
		must(write(to[1], "d", 1));
		_exit(0);
	}
	kid_wait();
}

static void tree_pdeathsig(void)
{
	char byte = 0;
	pid_t child;
	int to[2];

	must(pipe(to));
	child = kid(dies_with_parent, to);
	must(read(to[0], &byte, 1));
	target_wait();
	kid_check(child);
	expect(read(to[0], &byte, 1) == 1 && byte == 'd', "no signal at the parent's end");
}

/* Blocked in each of the ways to wait for a child. */
struct waits {
	int how, gate[2];
};

static void waits_for(void *arg)
{
	struct waits *w = arg;
	siginfo_t info = { 0 };
	int status = 0;
	pid_t pid;
	char byte;

	must(setpgid(
		0, 0)); /* an id that stays: that of the launcher's group is the caller's later */
	pid = (pid_t)must(fork());
	if (pid == 0)
		_exit(read(w->gate[0], &byte, 1) == 1 ? 33 : 34);
	kid_ready();
	if (w->how == 0)
		must(waitpid(pid, &status, 0));
	else if (w->how == 1)
		must(waitpid(-1, &status, WUNTRACED));
	else if (w->how == 2)
		must(waitpid(0, &status, __WALL));
	else
		must(waitid(w->how == 3 ? P_PID : P_PGID, (id_t)(w->how == 3 ? pid : getpgrp()),
			&info, WEXITED));
	if (w->how < 3)
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 33, "status %x", status);
	else
		expect(info.si_pid == pid && info.si_status == 33 && info.si_code == CLD_EXITED,
			"siginfo %d %d %d", info.si_pid, info.si_status, info.si_code);
}

static void tree_waiting(void)
{
	struct waits w = { 0 };
	pid_t pids[5];

	must(pipe(w.gate));
	for (w.how = 0; w.how < 5; w.how++) {
		pids[w.how] = kid(waits_for, &w);
		process_waits_in(pids[w.how], w.how < 3 ? SYS_wait4 : SYS_waitid);
	}
	target_wait();
	must(write(w.gate[1], "xxxxx", 5));
	for (int i = 0; i < 5; i++)
		kid_reap(pids[i], 0);
}

const struct target targets_tree_family[] = {
	{ "tree_children", tree_children, "three children", 0 },
	{ "tree_grandchildren", tree_grandchildren, "children with children", 0 },
	{ "tree_wide", tree_wide, "200 children", 0 },
	{ "tree_deep", tree_deep, "100 generations", 0 },
	{ "tree_bushy", tree_bushy, "14 children with 13 each", 0 },
	{ "tree_threads", tree_threads, "children with threads", 0 },
	{ "tree_fork_thread", tree_fork_thread, "a child of a thread", 0 },
	{ "tree_subreaper", tree_subreaper, "an adopted child", 0 },
	{ "tree_subreaper_child", tree_subreaper_child, "a child that has adopted", 0 },
	{ "tree_adopts_later", tree_adopts_later, "adoption goes on working", 0 },
	{ "tree_daemon", tree_daemon, "an orphan that leads a session", 0 },
	{ "tree_daemon_twice", tree_daemon_twice, "an orphan whose session leader has ended", 0 },
	{ "tree_exit_signal", tree_exit_signal, "exit signals other than SIGCHLD", 0 },
	{ "tree_pdeathsig", tree_pdeathsig, "PR_SET_PDEATHSIG of a grandchild", 0 },
	{ "tree_waiting", tree_waiting, "blocked in wait4 and waitid", 0 },
	{ NULL, NULL, NULL, 0 },
};
