/* Births that take more than one: into sessions of the ended, of those that share, in order. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FOREIGN = 310, FAMILY = 320, STACK = 64 * 1024 };

static int gate[2], word[2];

static void pipes(void)
{
	must(pipe(gate));
	must(pipe(word));
}

static void await_gate(void)
{
	char byte;

	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
}

static void open_gate(int times)
{
	for (int i = 0; i < times; i++)
		must(write(gate[1], "x", 1));
}

static void tell(pid_t pid)
{
	must(write(word[1], &pid, sizeof pid));
}

static pid_t hear(void)
{
	pid_t pid;

	expect(read(word[0], &pid, sizeof pid) == sizeof pid, "no word from a process");
	return pid;
}

static void reaped(pid_t pid, int code)
{
	int status = -1;

	expect(waitpid(pid, &status, 0) == pid, "waitpid of %d", pid);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "%d ended with %#x", pid, status);
}

/* ---- a fork of who shares memory ----------------------------------------------------------------
 */

static int *together;

static int forks(void *arg)
{
	(void)arg;
	if (syscall(SYS_fork) == 0) {
		tell((pid_t)syscall(SYS_getpid));
		await_gate();
		*together = 42;
		_exit(0);
	}
	await_gate();
	return wait(NULL) > 0 ? 0 : 1;
}

static void treeborn_vm_forks(void)
{
	char *stack = map_anon(STACK, PROT_READ | PROT_WRITE, 0);
	pid_t child, grandchild;

	pipes();
	together = (int *)map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	child = (pid_t)must(clone(forks, stack + STACK, CLONE_VM | SIGCHLD, NULL));
	grandchild = hear();
	state_stands(grandchild, 'S');
	state_stands(child, 'S');
	target_wait();
	open_gate(2);
	reaped(child, 0);
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
	await_gate();
	expect(fcntl(FOREIGN, F_GETFD) == 0, "what it opened is gone");
	expect(fcntl(FAMILY, F_GETFD) == 0, "what it had from the start is gone");
	expect(fcntl(word[0], F_GETFD) < 0, "what it closed is there");
	return NULL;
}

static void shares_table(void)
{
	pthread_t thread = thread_start(has_table, NULL);

	tell(getpid());
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

	pipes();
	child = (pid_t)must(fork());
	if (child == 0) {
		pid_t grandchild;

		must(dup2(gate[0], FAMILY));
		grandchild = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
		if (grandchild == 0)
			shares_table();
		reaped(grandchild, 0);
		expect(fcntl(FOREIGN, F_GETFD) < 0, "the thread's table is its parent's");
		_exit(0);
	}
	state_stands(hear(), 'S');
	state_stands(child, 'S');
	target_wait();
	open_gate(1);
	reaped(child, 0);
	expect(fcntl(FAMILY, F_GETFD) < 0, "their table is ours");
}

/* ---- adopted ------------------------------------------------------------------------------------
 */

/* Like a daemon: its session's leader ends, and nobody waits for that. */
static void daemon_run(pid_t root, pid_t leader)
{
	while (getppid() != root)
		sched_yield();
	tell(getpid());
	await_gate();
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
	await_gate();
	reaped(leader, 4);
	_exit(0);
}

static void treeborn_adopted(void)
{
	pid_t root = getpid(), child, orphan;

	pipes();
	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	child = (pid_t)must(fork());
	if (child == 0)
		leaves_leader(root);
	orphan = hear();
	state_stands(orphan, 'S');
	state_stands(child, 'S');
	target_wait();
	open_gate(2);
	reaped(orphan, 0);
	reaped(child, 0);
}

/* Its session is that of a leader with another exit signal. */
static void treeborn_exit_signal(void)
{
	pid_t root = getpid(), leader, orphan;
	int status = -1;

	pipes();
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
		await_gate();
		_exit(0);
	}
	orphan = hear();
	state_stands(orphan, 'S');
	state_stands(leader, 'S');
	target_wait();
	open_gate(2);
	reaped(orphan, 0); /* without __WALL: its signal is SIGCHLD */
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
