/* Families of odd births: siblings made by siblings, tables shared across, threads as parents. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int gate[2], word[2];

static char await_gate(void)
{
	char byte = 0;

	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	return byte;
}

static void open_gate(int times)
{
	for (int i = 0; i < times; i++)
		must(write(gate[1], "x", 1));
}

/* ---- siblings made by a child ------------------------------------------------------------------
 */

static void tell_pid(pid_t pid)
{
	must(write(word[1], &pid, sizeof pid));
}

static pid_t hear_pid(void)
{
	pid_t pid;

	expect(read(word[0], &pid, sizeof pid) == sizeof pid, "no word from the kid");
	return pid;
}

static void reap_ok(pid_t pid)
{
	int status = -1;

	expect(waitpid(pid, &status, __WALL) == pid, "waitpid of %d: %s", pid, strerror(errno));
	expect(status == 0, "process %d ended with %#x", pid, (unsigned)status);
}

static void pipes(void)
{
	must(pipe(gate));
	must(pipe(word));
}

/* Makes a sibling that shares with it as flags say, and both do run. */
static pid_t sibling_pair(unsigned long flags, void (*run)(bool second), pid_t *second)
{
	pid_t root = getpid(), first;

	pipes();
	first = (pid_t)must(fork());
	if (first == 0) {
		pid_t pid = (pid_t)must(syscall(SYS_clone, flags | CLONE_PARENT, 0, 0, 0, 0));

		if (pid)
			tell_pid(pid);
		else
			expect(getppid() == root, "it is no sibling");
		run(pid == 0);
		_exit(0);
	}
	*second = hear_pid();
	state_stands(first, 'S');
	state_stands(*second, 'S');
	return first;
}

static void is_parented(bool second)
{
	(void)second;
	pid_t parent = getppid();

	await_gate();
	expect(getppid() == parent, "parent is %d, not %d", getppid(), parent);
}

static void treeodd_clone_parent(void)
{
	pid_t second, first = sibling_pair(0, is_parented, &second);

	target_wait();
	open_gate(2);
	reap_ok(first);
	reap_ok(second);
}

/* The second opens a file, in which the first sees it. */
static void shares_table(bool second)
{
	char byte;

	await_gate();
	if (second) {
		must(dup2(gate[0], 300));
		must(write(word[1], "d", 1));
		return;
	}
	must(read(word[0], &byte, 1));
	expect(fcntl(300, F_GETFD) == 0, "what the sibling opened is not there");
}

static void treeodd_files_siblings(void)
{
	pid_t second, first = sibling_pair(CLONE_FILES, shares_table, &second);

	target_wait();
	open_gate(2);
	reap_ok(first);
	reap_ok(second);
	expect(fcntl(300, F_GETFD) < 0, "it is in the parent, too");
}

static void shares_directory(bool second)
{
	char byte, path[256];

	await_gate();
	if (second) {
		must(chdir("/proc"));
		must(write(word[1], "d", 1));
		return;
	}
	must(read(word[0], &byte, 1));
	expect(getcwd(path, sizeof path) && !strcmp(path, "/proc"), "the directory is %s", path);
}

static void treeodd_fs_siblings(void)
{
	pid_t second, first = sibling_pair(CLONE_FS, shares_directory, &second);

	target_wait();
	open_gate(2);
	reap_ok(first);
	reap_ok(second);
}

static char second_stack[64 * 1024] __attribute__((aligned(16)));
static volatile int shared_value;

static int second_in_memory(void *arg)
{
	(void)arg;
	await_gate();
	shared_value = 4711;
	must(write(word[1], "d", 1));
	return 0;
}

static void memory_siblings(int flags)
{
	pid_t first, second;

	pipes();
	first = (pid_t)must(fork());
	if (first == 0) {
		char byte;

		tell_pid((pid_t)must(clone(second_in_memory, second_stack + sizeof second_stack,
			flags | CLONE_VM | CLONE_PARENT, NULL)));
		await_gate();
		must(read(word[0], &byte, 1));
		expect(shared_value == 4711, "memory is not shared");
		_exit(0);
	}
	second = hear_pid();
	state_stands(first, 'S');
	state_stands(second, 'S');
	target_wait();
	open_gate(2);
	reap_ok(first);
	reap_ok(second);
	expect(shared_value == 0, "memory is shared with the parent");
}

static void treeodd_vm_siblings(void)
{
	memory_siblings(0);
}

static void treeodd_all_siblings(void)
{
	memory_siblings(CLONE_FILES | CLONE_FS | CLONE_SIGHAND);
}

/* An uncle and a nephew: parent in between has a table of its own again. */
static void treeodd_files_grandchild(void)
{
	pid_t middle, last;

	pipes();
	middle = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	if (middle == 0) {
		last = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
		if (last == 0) {
			char byte;

			must(write(word[1], "r", 1));
			await_gate();
			must(dup2(gate[0], 301));
			must(write(word[1], "d", 1));
			must(read(gate[0], &byte, 1));
			_exit(0);
		}
		must(unshare(CLONE_FILES));
		await_gate();
		reap_ok(last);
		_exit(0);
	}
	{
		char byte;

		must(read(word[0], &byte, 1));
		state_stands(middle, 'S');
		target_wait();
		open_gate(1);
		open_gate(1);
		must(read(word[0], &byte, 1));
		expect(fcntl(301, F_GETFD) == 0, "what the grandchild opened is not there");
		open_gate(1);
		reap_ok(middle);
	}
}

/* ---- threads that share what the first one does not have ----------------------------------------
 */

static int thread_flags;

static void *second_thread(void *arg)
{
	(void)arg;
	thread_arrived();
	await_gate();
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

	pipes();
	thread_flags = flags;
	first = thread_start(first_thread, NULL);
	target_wait();
	open_gate(1);
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
		await_gate();
		_exit(0);
	}
	return NULL;
}

static void treeodd_fork_thread_gone(void)
{
	pthread_t thread;

	pipes();
	must(-pthread_create(&thread, NULL, forks_and_ends, NULL));
	pthread_join(thread, NULL);
	state_stands(forked_by_thread, 'S');
	target_wait();
	open_gate(1);
	reap_ok(forked_by_thread);
}

static void *outlives_leader(void *arg)
{
	pid_t kid = *(pid_t *)arg;

	must(write(word[1], "r", 1));
	await_gate();
	reap_ok(kid);
	_exit(0);
}

static void kid_without_leader(void *arg)
{
	static pid_t own;
	pthread_t thread;

	(void)arg;
	own = (pid_t)must(fork());
	if (own == 0) {
		await_gate();
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

	pipes();
	pid = kid(kid_without_leader, NULL);
	must(read(word[0], &byte, 1));
	state_stands(pid, 'Z');
	target_wait();
	open_gate(2);
	reap_ok(pid);
}

/* ---- stops -------------------------------------------------------------------------------------
 */

static void kid_await(void *arg)
{
	(void)arg;
	kid_ready();
	await_gate();
}

/* One that was stopped, which is told already, and goes on. */
static pid_t kid_continued(void)
{
	int status;
	pid_t pid;

	pipes();
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
	open_gate(1);
	reap_ok(pid);
}

static void treeodd_continued_told(void)
{
	pid_t pid = kid_continued();
	int status;

	must(waitpid(pid, &status, WCONTINUED));
	target_wait();
	expect(waitpid(pid, &status, WCONTINUED | WUNTRACED | WNOHANG) == 0, "it is told again");
	open_gate(1);
	reap_ok(pid);
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
	await_gate();
	return arg;
}

static void kid_handles_cont(void *arg)
{
	pthread_t thread;

	(void)arg;
	signal(SIGCONT, on_cont);
	thread = thread_start(idle_thread, NULL);
	kid_ready();
	await_gate();
	thread_join(thread);
	expect(nr_conts == 1, "SIGCONT came %d times", nr_conts);
}

/* Nobody is told again: neither the child by SIGCONT, nor the parent by SIGCHLD. */
static void treeodd_continued_quietly(void)
{
	siginfo_t info;
	int status;
	pid_t pid;

	pipes();
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
	open_gate(2);
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
	await_gate();
}

/* A stopped leader of a session, in a group that is orphaned by nature. */
static void treeodd_stopped_session(void)
{
	int status;
	pid_t pid;

	pipes();
	pid = kid(kid_leads_stopped, NULL);
	must(waitpid(pid, &status, WUNTRACED));
	target_wait();
	state_stands(pid, 'T');
	must(kill(pid, SIGCONT));
	open_gate(1);
	reap_ok(pid);
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
	tell_pid(kid_orphan(kid_orphaned, arg));
	kid_ready();
	await_gate(); /* and ends, with a child that goes on to the next subreaper */
}

/* Subreapers below each other: what one leaves goes to the next. */
static void treeodd_subreaper_chain(void)
{
	pid_t self = getpid(), middle, orphan;
	int status;

	pipes();
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = kid(kid_adopts, &self);
	orphan = hear_pid();
	target_wait();
	open_gate(1);
	reap_ok(middle);
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

/* ---- clone flags that are not fork's
 * -------------------------------------------------------------
 */

static volatile int handled_by;

static void handler_a(int sig)
{
	(void)sig;
	handled_by = 'a';
}

static void handler_b(int sig)
{
	(void)sig;
	handled_by = 'b';
}

static int own_handlers(void *arg)
{
	(void)arg;
	signal(SIGUSR1, handler_b);
	must(write(word[1], "r", 1));
	await_gate();
	raise(SIGUSR1);
	expect(handled_by == 'b', "handled by %c", handled_by);
	must(write(word[1], "d", 1));
	return 0;
}

/* One memory, two tables of handlers. */
static void treeodd_vm_handlers(void)
{
	char byte;
	pid_t pid;

	pipes();
	signal(SIGUSR1, handler_a);
	pid = (pid_t)must(
		clone(own_handlers, second_stack + sizeof second_stack, CLONE_VM | SIGCHLD, NULL));
	must(read(word[0], &byte, 1));
	state_stands(pid, 'S');
	target_wait();
	open_gate(1);
	must(read(word[0], &byte, 1));
	raise(SIGUSR1);
	expect(handled_by == 'a', "handled by %c", handled_by);
	reap_ok(pid);
}

static int third_in_memory(void *arg)
{
	(void)arg;
	must(write(word[1], "r", 1));
	await_gate();
	shared_value++;
	return 0;
}

static char third_stack[64 * 1024] __attribute__((aligned(16)));

static int second_with_third(void *arg)
{
	pid_t pid;

	(void)arg;
	pid = (pid_t)must(
		clone(third_in_memory, third_stack + sizeof third_stack, CLONE_VM | SIGUSR2, NULL));
	await_gate();
	reap_ok(pid);
	shared_value++;
	return 0;
}

/* Three generations in one memory. */
static void treeodd_vm_generations(void)
{
	char byte;
	pid_t pid;
	sigset_t usr2;

	pipes();
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &usr2, NULL));
	pid = (pid_t)must(clone(
		second_with_third, second_stack + sizeof second_stack, CLONE_VM | SIGCHLD, NULL));
	must(read(word[0], &byte, 1));
	state_stands(pid, 'S');
	target_wait();
	open_gate(2);
	reap_ok(pid);
	expect(shared_value == 2, "memory is not shared: %d", shared_value);
}

/* ---- the init of a namespace
 * ---------------------------------------------------------------------
 */

static void kid_leaves_orphan(void *arg)
{
	pid_t orphan;

	(void)arg;
	kid_ready();
	await_gate();
	orphan = (pid_t)must(fork());
	if (orphan == 0) {
		await_gate();
		_exit(0);
	}
	tell_pid(orphan);
}

/* It is process 1, to whom orphans come, and whom no signal from inside ends. */
static void treeodd_init(void)
{
	pid_t first, orphan, adopted, last;

	if (getpid() != 1)
		target_skip("process 1: unshare --pid --fork --mount-proc");
	pipes();
	first = kid(kid_leaves_orphan, NULL);
	adopted = kid_orphan(kid_idle, NULL);
	last = kid(kid_idle, NULL);
	target_wait();
	expect(getpid() == 1, "it is process %d", getpid());
	open_gate(1);
	orphan = hear_pid();
	reap_ok(first);
	must(kill(1, SIGTERM));
	must(kill(1, SIGKILL));
	open_gate(1);
	reap_ok(orphan);
	kid_check(adopted);
	kid_check(last);
	expect(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, "there is somebody else");
}

/* ---- shared by those who did not exec
 * ------------------------------------------------------------
 */

static void writes_page(char *page)
{
	await_gate();
	strcpy(page, "from the second");
	must(write(word[1], "d", 1));
	_exit(0);
}

static void awaits_page(const char *page)
{
	must(write(word[1], "r", 1));
	while (strcmp(page, "from the second"))
		usleep(1000);
	must(write(word[1], "d", 1));
	_exit(0);
}

/* Their parent has made the memory, and executed another program since. */
static void treeodd_shared_exec(void)
{
	int hold[2], status;
	char byte, *page;
	pid_t middle;

	pipes();
	must(pipe(hold));
	middle = (pid_t)must(fork());
	if (middle == 0) {
		page = map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
		strcpy(page, "from the parent");
		for (int i = 0; i < 2; i++) {
			pid_t pid = (pid_t)must(fork());

			if (pid == 0 && i == 0)
				awaits_page(page);
			if (pid == 0)
				writes_page(page);
		}
		must(dup2(hold[0], 0));
		close(hold[1]);
		execl("/bin/cat", "cat", NULL);
		_exit(1);
	}
	must(read(word[0], &byte, 1));
	process_waits_in(middle, SYS_read);
	target_wait();
	open_gate(1);
	must(read(word[0], &byte, 1));
	must(read(word[0], &byte, 1));
	close(hold[1]);
	must(kill(middle, SIGKILL));
	must(waitpid(middle, &status, 0));
}

const struct target targets_tree_odd[] = {
	{ "treeodd_shared_exec", treeodd_shared_exec, "memory of siblings, not of their parent",
		TARGET_BUSY },
	{ "treeodd_init", treeodd_init, "the init of a namespace", TARGET_EITHER },
	{ "treeodd_clone_parent", treeodd_clone_parent, "a sibling made by a sibling", 0 },
	{ "treeodd_files_siblings", treeodd_files_siblings, "CLONE_FILES of siblings", 0 },
	{ "treeodd_fs_siblings", treeodd_fs_siblings, "CLONE_FS of siblings", 0 },
	{ "treeodd_vm_siblings", treeodd_vm_siblings, "CLONE_VM of siblings", 0 },
	{ "treeodd_all_siblings", treeodd_all_siblings, "siblings that share all", 0 },
	{ "treeodd_files_grandchild", treeodd_files_grandchild, "CLONE_FILES past a generation",
		0 },
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
	{ "treeodd_vm_handlers", treeodd_vm_handlers, "CLONE_VM with own handlers", 0 },
	{ "treeodd_vm_generations", treeodd_vm_generations, "CLONE_VM of three generations", 0 },
	{ NULL, NULL, NULL, 0 },
};
