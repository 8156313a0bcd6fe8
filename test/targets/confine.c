/* What judges system calls: seccomp filters and strict mode, syscall user dispatch. */
#include "target.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- filters ----------------------------------------------------------------------------------
 */

/* System call nr gets `action`, everything else is allowed. */
static long install(long nr, uint32_t action, unsigned flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof insns / sizeof *insns, insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void no_new_privs(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static uint32_t error(int number)
{
	return SECCOMP_RET_ERRNO | (uint32_t)number;
}

/* Calls nr and sees that it fails in this way; 0: it must work. */
static void fails(long nr, int with, const char *what)
{
	errno = 0;
	syscall(nr, 0, 0, 0, 0, 0, 0);
	expect(errno == with, "%s: %s, not %s", what, strerror(errno), strerror(with));
}

static void confine_filter(void)
{
	no_new_privs();
	must(install(SYS_getppid, error(EXDEV), 0));
	fails(SYS_getppid, EXDEV, "before");
	target_wait();
	fails(SYS_getppid, EXDEV, "after");
	fails(SYS_getpid, 0, "another call");
	expect(prctl(PR_GET_SECCOMP) == 2, "PR_GET_SECCOMP %d", prctl(PR_GET_SECCOMP));
}

/* The newest filter that gives the strictest answer wins, so their order shows. */
static void confine_chain(void)
{
	no_new_privs();
	must(install(SYS_getppid, error(EXDEV), 0));
	must(install(SYS_getpgrp, error(EDOM), SECCOMP_FILTER_FLAG_LOG));
	must(install(SYS_getppid, error(ERANGE), 0));
	fails(SYS_getppid, ERANGE, "before");
	target_wait();
	fails(SYS_getppid, ERANGE, "the newest of two");
	fails(SYS_getpgrp, EDOM, "the one in the middle");
	must(install(SYS_getpgrp, error(EBADE), 0));
	fails(SYS_getpgrp, EBADE, "one more");
	expect(proc_number("status", "Seccomp_filters:", 10) == 4, "number of filters");
}

/* Installed by a privileged process without no_new_privs, which then gave its privilege away. */
static void confine_dropped(void)
{
	if (geteuid() != 0)
		target_skip("seccomp without no_new_privs");
	must(install(SYS_getppid, error(EXDEV), 0));
	must(setgid(65534));
	must(setuid(65534));
	must(prctl(PR_SET_DUMPABLE, 1));
	target_wait();
	fails(SYS_getppid, EXDEV, "after");
	expect(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "no_new_privs");
}

/* Everything that snapctl would like to call is denied, and kills. */
static void confine_tight(void)
{
	static const int allowed[] = { SYS_read, SYS_write, SYS_openat, SYS_close, SYS_exit_group,
		SYS_getpid, SYS_rt_sigreturn };
	struct sock_filter insns[2 + 2 * sizeof allowed / sizeof *allowed];
	size_t nr = 0;

	insns[nr++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
		insns[nr++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], 0, 1);
		insns[nr++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	insns[nr++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	no_new_privs();
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
		&(struct sock_fprog){ (unsigned short)nr, insns }));
	target_wait();
}

/* ---- threads of one process
 * ----------------------------------------------------------------------- */

static int gate[2];

static void *confined(void *arg)
{
	int with = *(int *)arg;
	char byte;

	if (with)
		must(install(SYS_getppid, error(with), 0));
	fails(SYS_getppid, with, "thread, before");
	thread_arrived();
	must(read(gate[0], &byte, 1));
	fails(SYS_getppid, with, "thread, after");
	return arg;
}

static void confine_threads(void)
{
	static int with[] = { EXDEV, 0, EDOM, ERANGE };
	pthread_t threads[4];

	must(pipe(gate));
	no_new_privs();
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(confined, &with[i]);
	target_wait();
	fails(SYS_getppid, 0, "leader");
	must(write(gate[1], "1234", 4));
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
}

static void *plain(void *arg)
{
	char byte;

	thread_arrived();
	must(read(gate[0], &byte, 1));
	fails(SYS_getpgrp, EDOM, "the filter for all threads");
	return arg;
}

/* SECCOMP_FILTER_FLAG_TSYNC wants that the threads' filters are the same ones, not only alike. */
static void confine_tsync(void)
{
	pthread_t thread;

	must(pipe(gate));
	no_new_privs();
	must(install(SYS_getppid, error(EXDEV), 0));
	thread = thread_start(plain, NULL);
	must(install(SYS_getpgid, error(EXDEV), SECCOMP_FILTER_FLAG_TSYNC));
	target_wait();
	expect(install(SYS_getpgrp, error(EDOM), SECCOMP_FILTER_FLAG_TSYNC) == 0, "TSYNC: %s",
		strerror(errno));
	must(write(gate[1], "x", 1));
	thread_join(thread);
	fails(SYS_getppid, EXDEV, "the first filter");
}

/* ---- strict mode
 * -------------------------------------------------------------------------------------- */

/* Processes of a tree, each with its own rules: none, one filter, two, strict mode. */
static void child_confined(int i, int said)
{
	char byte;

	if (i < 3)
		no_new_privs();
	for (int n = 0; n < i && i < 3; n++)
		must(install(SYS_getppid, error(EXDEV + n), 0));
	if (i == 3)
		must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	if (write(said, "r", 1) != 1 || read(gate[0], &byte, 1) != 1)
		syscall(SYS_exit, 1);
	if (i == 3)
		syscall(SYS_getppid); /* kills it */
	fails(SYS_getppid, i ? EXDEV + i - 1 : 0, "child");
	_exit(40 + i);
}

static void confine_tree(void)
{
	int status, said[2];
	pid_t children[4];
	char byte;

	must(pipe(gate));
	must(pipe(said));
	for (int i = 0; i < 4; i++) {
		children[i] = (pid_t)must(fork());
		if (children[i] == 0)
			child_confined(i, said[1]);
		must(read(said[0], &byte, 1));
	}
	target_wait();
	fails(SYS_getppid, 0, "parent");
	must(write(gate[1], "1234", 4));
	for (int i = 0; i < 4; i++) {
		must(waitpid(children[i], &status, 0));
		expect(i == 3 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
			      : WIFEXITED(status) && WEXITSTATUS(status) == 40 + i,
			"child %d ended with %x", i, status);
	}
}

static atomic_int strict_done;

/* Only read, write, exit and sigreturn are allowed. */
static void *strict(void *arg)
{
	char byte;

	thread_arrived();
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	if (syscall(SYS_read, gate[0], &byte, 1) == 1)
		strict_done = 1;
	if (byte == 'k')
		syscall(SYS_getppid); /* kills this thread */
	strict_done = 2;
	syscall(SYS_exit, 0);
	return arg;
}

static void confine_strict(void)
{
	pthread_t thread;

	must(pipe(gate));
	thread = thread_start(strict, NULL);
	target_wait();
	must(write(gate[1], "x", 1));
	while (strict_done != 2)
		usleep(1000);
	(void)thread;
}

static void confine_strict_kills(void)
{
	must(pipe(gate));
	thread_start(strict, NULL);
	target_wait();
	must(write(gate[1], "k", 1));
	while (proc_number("status", "Threads:", 10) != 1)
		usleep(1000);
	expect(strict_done == 1, "strict mode is gone");
}

/* ---- filters with handlers
 * --------------------------------------------------------------------------- */

static volatile sig_atomic_t trapped;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	trapped = info->si_syscall;
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void handle_sigsys(void)
{
	must(sigaction(SIGSYS,
		&(struct sigaction){ .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO }, NULL));
}

static void confine_trap(void)
{
	handle_sigsys();
	no_new_privs();
	must(install(SYS_getppid, SECCOMP_RET_TRAP, 0));
	target_wait();
	expect(syscall(SYS_getppid) == 4711 && trapped == SYS_getppid, "trap: %d", trapped);
}

/* A forked child has the filters too. */
static void confine_child(void)
{
	int status;
	pid_t child;

	no_new_privs();
	must(install(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0));
	target_wait();
	child = (pid_t)must(fork());
	if (child == 0) {
		syscall(SYS_getppid);
		_exit(0);
	}
	must(waitpid(child, &status, 0));
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "child ended with %x", status);
}

/* ---- syscall user dispatch
 * ------------------------------------------------------------------------------ */

enum { MY_PR_SET_DISPATCH = 59 };

static volatile char selector;

static void dispatch_handler(int sig, siginfo_t *info, void *context)
{
	selector = 0;
	on_sigsys(sig, info, context);
}

static void confine_dispatch(void)
{
	must(sigaction(SIGSYS,
		&(struct sigaction){ .sa_sigaction = dispatch_handler, .sa_flags = SA_SIGINFO },
		NULL));
	if (prctl(MY_PR_SET_DISPATCH, 1, 0, 0, &selector) != 0)
		target_skip("PR_SET_SYSCALL_USER_DISPATCH");
	target_wait();
	selector = 1;
	expect(syscall(SYS_getppid) == 4711 && trapped == SYS_getppid, "dispatch: %d", trapped);
	expect(syscall(SYS_getppid) != 4711, "selector 0");
}

/* Blocked while it is dumped: the loop makes no system calls. */
static atomic_int dispatched_tid, dispatched_go;

static void *dispatched(void *arg)
{
	dispatched_tid = gettid();
	must(prctl(MY_PR_SET_DISPATCH, 1, 0, 0, &selector));
	thread_arrived();
	selector = 1;
	while (!dispatched_go)
		;
	expect(syscall(SYS_getppid) == 4711 && trapped == SYS_getppid, "dispatch: %d", trapped);
	return arg;
}

static void confine_dispatch_on(void)
{
	pthread_t thread;

	must(sigaction(SIGSYS,
		&(struct sigaction){ .sa_sigaction = dispatch_handler, .sa_flags = SA_SIGINFO },
		NULL));
	if (prctl(MY_PR_SET_DISPATCH, 0, 0, 0, 0) != 0)
		target_skip("PR_SET_SYSCALL_USER_DISPATCH");
	thread = thread_start(dispatched, NULL);
	target_wait();
	dispatched_go = 1;
	thread_join(thread);
}

/* ---- what is refused
 * --------------------------------------------------------------------------------------- */

static void confine_notify(void)
{
	int fd;

	no_new_privs();
	fd = (int)install(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (fd < 0)
		target_skip("SECCOMP_FILTER_FLAG_NEW_LISTENER");
	close(fd);
	target_wait();
	fails(SYS_getppid, ENOSYS, "nobody listens");
}

const struct target targets_confine[] = {
	{ "confine_filter", confine_filter, "a seccomp filter", 0 },
	{ "confine_chain", confine_chain, "three seccomp filters", 0 },
	{ "confine_dropped", confine_dropped, "a filter without no_new_privs", 0 },
	{ "confine_tight", confine_tight, "a filter that kills for nearly everything", 0 },
	{ "confine_threads", confine_threads, "threads with filters of their own", 0 },
	{ "confine_tsync", confine_tsync, "filters shared between threads", 0 },
	{ "confine_tree", confine_tree, "processes with filters of their own", 0 },
	{ "confine_strict", confine_strict, "a thread in strict mode", 0 },
	{ "confine_strict_kills", confine_strict_kills, "strict mode still kills", 0 },
	{ "confine_trap", confine_trap, "SECCOMP_RET_TRAP", 0 },
	{ "confine_child", confine_child, "a child inherits the filter", 0 },
	{ "confine_dispatch", confine_dispatch, "syscall user dispatch", 0 },
	{ "confine_dispatch_on", confine_dispatch_on, "a thread whose calls are blocked",
		TARGET_BUSY },
	{ "confine_notify", confine_notify, "SECCOMP_RET_USER_NOTIF", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
