/* What siblings and generations share: by CLONE_PARENT, across a process that does not, without an
 * exec. */
#include "gate.h"
#include "target.h"
#include "tree.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Makes a sibling that shares with it as flags say, and both do run. */
static pid_t sibling_pair(unsigned long flags, void (*run)(bool second), pid_t *second)
{
	pid_t root = getpid(), first;

	gate_make();
	first = (pid_t)must(fork());
	if (first == 0) {
		pid_t pid = (pid_t)must(syscall(SYS_clone, flags | CLONE_PARENT, 0, 0, 0, 0));

		if (pid)
			word_tell(pid);
		else
			expect(getppid() == root, "it is no sibling");
		run(pid == 0);
		_exit(0);
	}
	*second = word_hear();
	state_stands(first, 'S');
	state_stands(*second, 'S');
	return first;
}

static void is_parented(bool second)
{
	(void)second;
	pid_t parent = getppid();

	gate_await();
	expect(getppid() == parent, "parent is %d, not %d", getppid(), parent);
}

static void treeodd_clone_parent(void)
{
	pid_t second, first = sibling_pair(0, is_parented, &second);

	target_wait();
	gate_open(2);
	ended_with(first, 0);
	ended_with(second, 0);
}

/* The second opens a file, in which the first sees it. */
static void shares_table(bool second)
{
	char byte;

	gate_await();
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
	gate_open(2);
	ended_with(first, 0);
	ended_with(second, 0);
	expect(fcntl(300, F_GETFD) < 0, "it is in the parent, too");
}

static void shares_directory(bool second)
{
	char byte, path[256];

	gate_await();
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
	gate_open(2);
	ended_with(first, 0);
	ended_with(second, 0);
}

static char second_stack[64 * 1024] __attribute__((aligned(16)));
static volatile int shared_value;

static int second_in_memory(void *arg)
{
	(void)arg;
	gate_await();
	shared_value = 4711;
	must(write(word[1], "d", 1));
	return 0;
}

static void memory_siblings(int flags)
{
	pid_t first, second;

	gate_make();
	first = (pid_t)must(fork());
	if (first == 0) {
		char byte;

		word_tell((pid_t)must(clone(second_in_memory, second_stack + sizeof second_stack,
			flags | CLONE_VM | CLONE_PARENT, NULL)));
		gate_await();
		must(read(word[0], &byte, 1));
		expect(shared_value == 4711, "memory is not shared");
		_exit(0);
	}
	second = word_hear();
	state_stands(first, 'S');
	state_stands(second, 'S');
	target_wait();
	gate_open(2);
	ended_with(first, 0);
	ended_with(second, 0);
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

	gate_make();
	middle = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	if (middle == 0) {
		last = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
		if (last == 0) {
			char byte;

			must(write(word[1], "r", 1));
			gate_await();
			must(dup2(gate[0], 301));
			must(write(word[1], "d", 1));
			must(read(gate[0], &byte, 1));
			_exit(0);
		}
		must(unshare(CLONE_FILES));
		gate_await();
		ended_with(last, 0);
		_exit(0);
	}
	{
		char byte;

		must(read(word[0], &byte, 1));
		state_stands(middle, 'S');
		target_wait();
		gate_open(1);
		gate_open(1);
		must(read(word[0], &byte, 1));
		expect(fcntl(301, F_GETFD) == 0, "what the grandchild opened is not there");
		gate_open(1);
		ended_with(middle, 0);
	}
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
	gate_await();
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

	gate_make();
	signal(SIGUSR1, handler_a);
	pid = (pid_t)must(
		clone(own_handlers, second_stack + sizeof second_stack, CLONE_VM | SIGCHLD, NULL));
	must(read(word[0], &byte, 1));
	state_stands(pid, 'S');
	target_wait();
	gate_open(1);
	must(read(word[0], &byte, 1));
	raise(SIGUSR1);
	expect(handled_by == 'a', "handled by %c", handled_by);
	ended_with(pid, 0);
}

static int third_in_memory(void *arg)
{
	(void)arg;
	must(write(word[1], "r", 1));
	gate_await();
	shared_value++;
	return 0;
}

static char third_stack[64 * 1024] __attribute__((aligned(16)));

static int second_with_third(void *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	pid = (pid_t)must(
		clone(third_in_memory, third_stack + sizeof third_stack, CLONE_VM | SIGUSR2, NULL));
	gate_await();
	expect(waitpid(pid, &status, __WALL) == pid && status == 0, "the third ended with %#x",
		status);
	shared_value++;
	return 0;
}

/* Three generations in one memory. */
static void treeodd_vm_generations(void)
{
	char byte;
	pid_t pid;
	sigset_t usr2;

	gate_make();
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &usr2, NULL));
	pid = (pid_t)must(clone(
		second_with_third, second_stack + sizeof second_stack, CLONE_VM | SIGCHLD, NULL));
	must(read(word[0], &byte, 1));
	state_stands(pid, 'S');
	target_wait();
	gate_open(2);
	ended_with(pid, 0);
	expect(shared_value == 2, "memory is not shared: %d", shared_value);
}

/* ---- shared by those who did not exec
 * ------------------------------------------------------------
 */

static void writes_page(char *page)
{
	gate_await();
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

	gate_make();
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
	gate_open(1);
	must(read(word[0], &byte, 1));
	must(read(word[0], &byte, 1));
	close(hold[1]);
	must(kill(middle, SIGKILL));
	must(waitpid(middle, &status, 0));
}

const struct target targets_tree_sibling[] = {
	{ "treeodd_shared_exec", treeodd_shared_exec, "memory of siblings, not of their parent",
		TARGET_BUSY },
	{ "treeodd_clone_parent", treeodd_clone_parent, "a sibling made by a sibling", 0 },
	{ "treeodd_files_siblings", treeodd_files_siblings, "CLONE_FILES of siblings", 0 },
	{ "treeodd_fs_siblings", treeodd_fs_siblings, "CLONE_FS of siblings", 0 },
	{ "treeodd_vm_siblings", treeodd_vm_siblings, "CLONE_VM of siblings", 0 },
	{ "treeodd_all_siblings", treeodd_all_siblings, "siblings that share all", 0 },
	{ "treeodd_files_grandchild", treeodd_files_grandchild, "CLONE_FILES past a generation",
		0 },
	{ "treeodd_vm_handlers", treeodd_vm_handlers, "CLONE_VM with own handlers", 0 },
	{ "treeodd_vm_generations", treeodd_vm_generations, "CLONE_VM of three generations", 0 },
	{ NULL, NULL, NULL, 0 },
};
