/* Families of odd births: siblings made by siblings, tables shared across, threads as parents. */
#include "gate.h"
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- threads that share what the first one does not have ----------------------------------------
 */

static int thread_flags;

static void *second_thread(void *arg)
{
	(void)arg;
	thread_arrived();
	gate_await();
	if (thread_flags & CLONE_FILES)
		must(dup2(gate[0], 302));
	else
		must(chdir("/proc"));
	must(write(word[1], "d", 1));
	return NULL;
}

static void *first_thread(void *arg)
{
	pthread_t second;
	char byte, path[256];

	(void)arg;
	must(unshare(thread_flags));
	second = thread_start(second_thread, NULL);
	thread_arrived();
	must(read(word[0], &byte, 1));
	if (thread_flags & CLONE_FILES)
		expect(fcntl(302, F_GETFD) == 0, "what the other thread opened is not there");
	else
		expect(getcwd(path, sizeof path) && !strcmp(path, "/proc"), "it is in %s", path);
	thread_join(second);
	return NULL;
}

static void threads_share(int flags)
{
	pthread_t first;
	char path[256];

	gate_make();
	thread_flags = flags;
	first = thread_start(first_thread, NULL);
	target_wait();
	gate_open(1);
	thread_join(first);
	expect(fcntl(302, F_GETFD) < 0, "the first thread has it, too");
	expect(getcwd(path, sizeof path) && strcmp(path, "/proc"), "it is in %s", path);
}

static void treeodd_threads_files(void)
{
	threads_share(CLONE_FILES);
}

static void treeodd_threads_fs(void)
{
	threads_share(CLONE_FS);
}

/* ---- parents that are threads ------------------------------------------------------------------
 */

static pid_t forked_by_thread;

static void *forks_and_ends(void *arg)
{
	(void)arg;
	forked_by_thread = (pid_t)must(fork());
	if (forked_by_thread == 0) {
		gate_await();
		_exit(0);
	}
	return NULL;
}

static void treeodd_fork_thread_gone(void)
{
	pthread_t thread;

	gate_make();
	must(-pthread_create(&thread, NULL, forks_and_ends, NULL));
	pthread_join(thread, NULL);
	state_stands(forked_by_thread, 'S');
	target_wait();
	gate_open(1);
	ended_with(forked_by_thread, 0);
}

static void *outlives_leader(void *arg)
{
	pid_t kid = *(pid_t *)arg;

	must(write(word[1], "r", 1));
	gate_await();
	ended_with(kid, 0);
	_exit(0);
}

static void kid_without_leader(void *arg)
{
	static pid_t own;
	pthread_t thread;

	(void)arg;
	own = (pid_t)must(fork());
	if (own == 0) {
		gate_await();
		_exit(0);
	}
	kid_ready();
	must(-pthread_create(&thread, NULL, outlives_leader, &own));
	pthread_exit(NULL);
}

/* A child whose first thread has ended, and which has a child itself. */
static void treeodd_leaderless_parent(void)
{
	pid_t pid;
	char byte;

	gate_make();
	pid = kid(kid_without_leader, NULL);
	must(read(word[0], &byte, 1));
	state_stands(pid, 'Z');
	target_wait();
	gate_open(2);
	ended_with(pid, 0);
}

/* ---- stops -------------------------------------------------------------------------------------
 */

static void kid_await(void *arg)
{
	(void)arg;
	kid_ready();
	gate_await();
}

/* One that was stopped, which is told already, and goes on. */
static pid_t kid_continued(void)
{
	int status;
	pid_t pid;

	gate_make();
	pid = kid(kid_await, NULL);
	must(kill(pid, SIGSTOP));
	must(waitpid(pid, &status, WUNTRACED));
	must(kill(pid, SIGCONT));
	return pid;
}

static void treeodd_continued(void)
{
	pid_t pid = kid_continued();
	siginfo_t info;
	int status;

	must(waitid(P_PID, (id_t)pid, &info, WCONTINUED | WNOWAIT));
	target_wait();
	expect(waitpid(pid, &status, WCONTINUED | WNOHANG) == pid && WIFCONTINUED(status),
		"that it was continued is not told");
	expect(waitpid(pid, &status, WCONTINUED | WNOHANG) == 0, "it is told twice");
	gate_open(1);
	ended_with(pid, 0);
}

static void treeodd_continued_told(void)
{
	pid_t pid = kid_continued();
	int status;

	must(waitpid(pid, &status, WCONTINUED));
	target_wait();
	expect(waitpid(pid, &status, WCONTINUED | WUNTRACED | WNOHANG) == 0, "it is told again");
	gate_open(1);
	ended_with(pid, 0);
}

static volatile sig_atomic_t nr_conts, nr_childs;

static void on_cont(int sig)
{
	(void)sig;
	nr_conts++;
}

static void on_child(int sig)
{
	(void)sig;
	nr_childs++;
}

static void *idle_thread(void *arg)
{
	thread_arrived();
	gate_await();
	return arg;
}

static void kid_handles_cont(void *arg)
{
	pthread_t thread;

	(void)arg;
	signal(SIGCONT, on_cont);
	thread = thread_start(idle_thread, NULL);
	kid_ready();
	gate_await();
	thread_join(thread);
	expect(nr_conts == 1, "SIGCONT came %d times", nr_conts);
}

/* Nobody is told again: neither the child by SIGCONT, nor the parent by SIGCHLD. */
static void treeodd_continued_quietly(void)
{
	siginfo_t info;
	int status;
	pid_t pid;

	gate_make();
	signal(SIGCHLD, on_child);
	pid = kid(kid_handles_cont, NULL);
	must(kill(pid, SIGSTOP));
	while (waitpid(pid, &status, WUNTRACED) < 0)
		;
	must(kill(pid, SIGCONT));
	while (waitid(P_PID, (id_t)pid, &info, WCONTINUED | WNOWAIT) < 0)
		;
	while (nr_childs < 2)
		sched_yield();
	target_wait();
	expect(nr_childs == 2, "SIGCHLD came %d times", nr_childs);
	expect(waitpid(pid, &status, WCONTINUED | WNOHANG) == pid, "it is not told");
	gate_open(2);
	while (waitpid(pid, &status, 0) < 0)
		;
	expect(status == 0, "status %#x", status);
}

static void kid_leads_stopped(void *arg)
{
	(void)arg;
	must(setsid());
	kid_ready();
	raise(SIGSTOP);
	gate_await();
}

/* A stopped leader of a session, in a group that is orphaned by nature. */
static void treeodd_stopped_session(void)
{
	int status;
	pid_t pid;

	gate_make();
	pid = kid(kid_leads_stopped, NULL);
	must(waitpid(pid, &status, WUNTRACED));
	target_wait();
	state_stands(pid, 'T');
	must(kill(pid, SIGCONT));
	gate_open(1);
	ended_with(pid, 0);
}

/* ---- adoption ----------------------------------------------------------------------------------
 */

static void kid_orphaned(void *arg)
{
	pid_t top = *(pid_t *)arg;

	kid_wait();
	while (getppid() != top)
		sched_yield();
}

static void kid_adopts(void *arg)
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	word_tell(kid_orphan(kid_orphaned, arg));
	kid_ready();
	gate_await(); /* and ends, with a child that goes on to the next subreaper */
}

/* Subreapers below each other: what one leaves goes to the next. */
static void treeodd_subreaper_chain(void)
{
	pid_t self = getpid(), middle, orphan;
	int status;

	gate_make();
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = kid(kid_adopts, &self);
	orphan = word_hear();
	target_wait();
	gate_open(1);
	ended_with(middle, 0);
	expect(waitpid(orphan, &status, 0) == orphan, "the orphan did not come: %s",
		strerror(errno));
}

/* ---- pidfds ------------------------------------------------------------------------------------
 */

static void kid_watches(void *arg)
{
	struct pollfd poll_fd = { *(int *)arg, POLLIN, 0 };

	kid_wait();
	expect(poll(&poll_fd, 1, 20000) == 1, "the sibling's end is not told");
}

static void treeodd_pidfd_sibling(void)
{
	int pidfd, status;
	pid_t first, second;

	first = kid(kid_idle, NULL);
	pidfd = (int)must(syscall(SYS_pidfd_open, first, 0));
	second = kid(kid_watches, &pidfd);
	close(pidfd);
	target_wait();
	kid_tell(second);
	state_stands(second, 'S');
	must(kill(first, SIGKILL));
	must(waitpid(first, &status, 0));
	kid_reap(second, 0);
}

/* ---- the init of a namespace
 * ---------------------------------------------------------------------
 */

static void kid_leaves_orphan(void *arg)
{
	pid_t orphan;

	(void)arg;
	kid_ready();
	gate_await();
	orphan = (pid_t)must(fork());
	if (orphan == 0) {
		gate_await();
		_exit(0);
	}
	word_tell(orphan);
}

/* It is process 1, to whom orphans come, and whom no signal from inside ends. */
static void treeodd_init(void)
{
	pid_t first, orphan, adopted, last;

	if (getpid() != 1)
		target_skip("process 1: unshare --pid --fork --mount-proc");
	gate_make();
	first = kid(kid_leaves_orphan, NULL);
	adopted = kid_orphan(kid_idle, NULL);
	last = kid(kid_idle, NULL);
	target_wait();
	expect(getpid() == 1, "it is process %d", getpid());
	gate_open(1);
	orphan = word_hear();
	ended_with(first, 0);
	must(kill(1, SIGTERM));
	must(kill(1, SIGKILL));
	gate_open(1);
	ended_with(orphan, 0);
	kid_check(adopted);
	kid_check(last);
	expect(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, "there is somebody else");
}

const struct target targets_tree_odd[] = {
	{ "treeodd_init", treeodd_init, "the init of a namespace", TARGET_EITHER },
	{ "treeodd_threads_files", treeodd_threads_files, "threads with a table of two",
		TARGET_EITHER },
	{ "treeodd_threads_fs", treeodd_threads_fs, "threads with a directory of two",
		TARGET_EITHER },
	{ "treeodd_fork_thread_gone", treeodd_fork_thread_gone, "the forking thread is gone", 0 },
	{ "treeodd_leaderless_parent", treeodd_leaderless_parent, "a parent without leader", 0 },
	{ "treeodd_continued", treeodd_continued, "WCONTINUED not waited for", 0 },
	{ "treeodd_continued_told", treeodd_continued_told, "WCONTINUED waited for", 0 },
	{ "treeodd_continued_quietly", treeodd_continued_quietly, "and no signal for it", 0 },
	{ "treeodd_stopped_session", treeodd_stopped_session, "a stopped session leader", 0 },
	{ "treeodd_subreaper_chain", treeodd_subreaper_chain, "subreapers below each other", 0 },
	{ "treeodd_pidfd_sibling", treeodd_pidfd_sibling, "a pidfd of a sibling", 0 },
	{ NULL, NULL, NULL, 0 },
};
