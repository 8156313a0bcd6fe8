/* What processes may share beyond a fork, and trees that reach outside. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void treerefuse_fs(void)
{
	kid_clone(CLONE_FS | SIGCHLD, kid_idle, NULL);
	target_wait();
	must(chdir("/"));
	kids_check();
}

static char stack[64 * 1024] __attribute__((aligned(16)));

static int waits_in_our_memory(void *arg)
{
	int *gate = arg;
	char byte;

	return (int)read(gate[0], &byte, 1) - 1;
}

static void shares(int flags)
{
	int gate[2], status;
	pid_t pid;

	must(pipe(gate));
	pid = (pid_t)must(clone(waits_in_our_memory, stack + sizeof stack, flags | SIGCHLD, gate));
	process_waits_in(pid, SYS_read);
	target_wait();
	must(write(gate[1], "x", 1));
	expect(waitpid(pid, &status, 0) == pid && status == 0, "status %x", status);
}

static void treerefuse_files(void)
{
	shares(CLONE_FILES);
}

static void treerefuse_vm(void)
{
	shares(CLONE_VM);
}

static void treerefuse_sighand(void)
{
	shares(CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS);
}

/* In a session whose leader has ended, and with our descriptor table. */
static int leads_and_ends(void *arg)
{
	int *gates = arg;
	pid_t pid;

	must(setsid());
	pid = (pid_t)must(
		clone(waits_in_our_memory, stack + sizeof stack, CLONE_FILES | SIGCHLD, gates));
	must(write(gates[3], &pid, sizeof pid));
	_exit(0);
}

static void treerefuse_session(void)
{
	static char other[64 * 1024] __attribute__((aligned(16)));
	int gates[4], status;
	pid_t leader, pid;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(pipe(gates));
	must(pipe(gates + 2));
	leader = (pid_t)must(
		clone(leads_and_ends, other + sizeof other, CLONE_FILES | SIGCHLD, gates));
	must(read(gates[2], &pid, sizeof pid));
	must(waitpid(leader, NULL, 0));
	process_waits_in(pid, SYS_read);
	target_wait();
	must(write(gates[1], "x", 1));
	expect(waitpid(pid, &status, 0) == pid && status == 0, "status %x", status);
}

static void kid_in_vfork(void *arg)
{
	int *gate = arg;
	char byte;

	if (vfork() == 0) {
		kid_ready();
		syscall(SYS_read, gate[0], &byte, 1);
		_exit(0);
	}
}

static void treerefuse_vfork(void)
{
	int gate[2];
	pid_t pid;

	must(pipe(gate));
	pid = kid(kid_in_vfork, gate);
	target_wait();
	must(write(gate[1], "x", 1));
	expect(pid > 0, "kid");
	while (wait(NULL) > 0)
		;
}

static void kid_in_namespace(void *arg)
{
	if (unshare(*(int *)arg) < 0)
		target_skip("unshare");
	kid_wait();
}

static void treerefuse_mount(void)
{
	kid(kid_in_namespace, &(int){ CLONE_NEWNS });
	target_wait();
	kids_check();
}

static void treerefuse_net(void)
{
	kid(kid_in_namespace, &(int){ CLONE_NEWNET });
	target_wait();
	kids_check();
}

static void treerefuse_pid(void)
{
	pid_t pid = (pid_t)must(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));

	if (pid == 0)
		for (;;)
			pause();
	target_wait();
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
}

/* A child that its parent traces. */
static void kid_traced(void *arg)
{
	(void)arg;
	must(ptrace(PTRACE_TRACEME));
	kid_wait();
}

static void treerefuse_traced(void)
{
	kid(kid_traced, NULL);
	target_wait();
	kids_check();
}

const struct target targets_tree_refuse[] = {
	{ "treerefuse_files", treerefuse_files, "CLONE_FILES", TARGET_EITHER },
	{ "treerefuse_session", treerefuse_session, "CLONE_FILES over sessions", TARGET_REFUSED },
	{ "treerefuse_fs", treerefuse_fs, "CLONE_FS", TARGET_EITHER },
	{ "treerefuse_vm", treerefuse_vm, "CLONE_VM", TARGET_EITHER },
	{ "treerefuse_sighand", treerefuse_sighand, "CLONE_SIGHAND", TARGET_EITHER },
	{ "treerefuse_vfork", treerefuse_vfork, "a parent blocked in vfork", TARGET_EITHER },
	{ "treerefuse_mount", treerefuse_mount, "a child's mount namespace", TARGET_EITHER },
	{ "treerefuse_net", treerefuse_net, "a child's network namespace", TARGET_EITHER },
	{ "treerefuse_pid", treerefuse_pid, "a child's PID namespace", TARGET_EITHER },
	{ "treerefuse_traced", treerefuse_traced, "a child traced by its parent", TARGET_EITHER },
	{ NULL, NULL, NULL, 0 },
};
