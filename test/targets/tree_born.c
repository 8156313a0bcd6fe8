/* Births that take more than one: into sessions of the ended, of those that share, in order. */
#include "gate.h"
#include "target.h"
#include "tree.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FOREIGN = 310, FAMILY = 320, STACK = 64 * 1024 };

/* ---- a fork of who shares memory ----------------------------------------------------------------
 */

static int *together;

static int forks(void *arg)
{
	(void)arg;
	if (syscall(SYS_fork) == 0) {
		word_tell((pid_t)syscall(SYS_getpid));
		gate_await();
		*together = 42;
		_exit(0);
	}
	gate_await();
	return wait(NULL) > 0 ? 0 : 1;
}

static void treeborn_vm_forks(void)
{
	char *stack = map_anon(STACK, PROT_READ | PROT_WRITE, 0);
	pid_t child, grandchild;

	gate_make();
	together = (int *)map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	child = (pid_t)must(clone(forks, stack + STACK, CLONE_VM | SIGCHLD, NULL));
	grandchild = word_hear();
	state_stands(grandchild, 'S');
	state_stands(child, 'S');
	target_wait();
	gate_open(2);
	ended_with(child, 0);
	expect(*together == 42, "the memory is not that of the grandchild any more");
}

/* ---- a thread's own table, beside one that is the parent's, too --------------------------------
 */

static void *has_table(void *arg)
{
	(void)arg;
	must(unshare(CLONE_FILES));
	must(dup2(gate[0], FOREIGN));
	close(word[0]);
	thread_arrived();
	gate_await();
	expect(fcntl(FOREIGN, F_GETFD) == 0, "what it opened is gone");
	expect(fcntl(FAMILY, F_GETFD) == 0, "what it had from the start is gone");
	expect(fcntl(word[0], F_GETFD) < 0, "what it closed is there");
	return NULL;
}

static void shares_table(void)
{
	pthread_t thread = thread_start(has_table, NULL);

	word_tell(getpid());
	thread_join(thread);
	expect(fcntl(FOREIGN, F_GETFD) < 0, "the thread's table is that of all");
	expect(fcntl(FAMILY, F_GETFD) == 0, "the process has lost what it had");
	_exit(0);
}

/* Two processes have one table, which is not that of the root; a thread of the second has another.
 */
static void treeborn_own_table(void)
{
	pid_t child;

	gate_make();
	child = (pid_t)must(fork());
	if (child == 0) {
		pid_t grandchild;

		must(dup2(gate[0], FAMILY));
		grandchild = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
		if (grandchild == 0)
			shares_table();
		ended_with(grandchild, 0);
		expect(fcntl(FOREIGN, F_GETFD) < 0, "the thread's table is its parent's");
		_exit(0);
	}
	state_stands(word_hear(), 'S');
	state_stands(child, 'S');
	target_wait();
	gate_open(1);
	ended_with(child, 0);
	expect(fcntl(FAMILY, F_GETFD) < 0, "their table is ours");
}

/* ---- adopted ------------------------------------------------------------------------------------
 */

/* Like a daemon: its session's leader ends, and nobody waits for that. */
static void daemon_run(pid_t root, pid_t leader)
{
	while (getppid() != root)
		sched_yield();
	word_tell(getpid());
	gate_await();
	expect(getppid() == root, "its parent is %d", getppid());
	expect(getsid(0) == leader && getpgrp() == leader, "session %d, group %d, not %d",
		getsid(0), getpgrp(), leader);
	_exit(0);
}

static void leaves_leader(pid_t root)
{
	pid_t leader = (pid_t)must(fork());

	if (leader == 0) {
		leader = (pid_t)must(setsid());
		if (must(fork()) == 0)
			daemon_run(root, leader);
		_exit(4);
	}
	gate_await();
	ended_with(leader, 4);
	_exit(0);
}

static void treeborn_adopted(void)
{
	pid_t root = getpid(), child, orphan;

	gate_make();
	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	child = (pid_t)must(fork());
	if (child == 0)
		leaves_leader(root);
	orphan = word_hear();
	state_stands(orphan, 'S');
	state_stands(child, 'S');
	target_wait();
	gate_open(2);
	ended_with(orphan, 0);
	ended_with(child, 0);
}

/* Its session is that of a leader with another exit signal. */
static void treeborn_exit_signal(void)
{
	pid_t root = getpid(), leader, orphan;
	int status = -1;

	gate_make();
	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	leader = (pid_t)must(syscall(SYS_clone, 0, 0, 0, 0, 0));
	if (leader == 0) {
		leader = (pid_t)must(setsid());
		if (must(fork()) == 0) {
			if (must(fork()) == 0) {
				must(setpgid(0, leader));
				daemon_run(root, leader);
			}
			_exit(0);
		}
		must(wait(NULL));
		gate_await();
		_exit(0);
	}
	orphan = word_hear();
	state_stands(orphan, 'S');
	state_stands(leader, 'S');
	target_wait();
	gate_open(2);
	ended_with(orphan, 0); /* without __WALL: its signal is SIGCHLD */
	expect(waitpid(leader, &status, __WCLONE) == leader && status == 0, "leader: %x", status);
}

/* ---- the order of ended ones --------------------------------------------------------------------
 */

static void treeborn_order(void)
{
	pid_t pids[4];

	for (int i = 0; i < 4; i++) {
		pids[i] = (pid_t)must(fork());
		if (pids[i] == 0) {
			if (i % 2)
				must(setpgid(0, 0));
			_exit(i);
		}
		zombie_stands(pids[i]);
	}
	target_wait();
	for (int i = 0; i < 4; i++) {
		int status = -1;
		pid_t got = waitpid(-1, &status, 0);

		expect(got == pids[i] && WEXITSTATUS(status) == i, "%d comes before %d", got,
			pids[i]);
	}
}

const struct target targets_tree_born[] = {
	{ "treeborn_vm_forks", treeborn_vm_forks, "a fork of one that shares memory", 0 },
	{ "treeborn_own_table", treeborn_own_table, "a thread's table, and one of two processes",
		0 },
	{ "treeborn_adopted", treeborn_adopted, "a session of one who is somebody's zombie", 0 },
	{ "treeborn_exit_signal", treeborn_exit_signal, "an adopted one's exit signal", 0 },
	{ "treeborn_order", treeborn_order, "zombies with groups in the order of births", 0 },
	{ 0 },
};
