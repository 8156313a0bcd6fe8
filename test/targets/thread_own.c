/* Descriptor tables and directories that threads have for themselves, or with some others. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OWN_FD = 40, THREADS_MAX = 16 };

/* A thread: who makes it, what it leaves for a copy of its own, and its mark in what it has. */
struct relative {
	int maker;
	int unshares;
};

static struct {
	const struct relative *plan;
	int nr;
	volatile int tids[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	pthread_barrier_t all;
	int files_before[THREADS_MAX][THREADS_MAX], fs_before[THREADS_MAX][THREADS_MAX];
} own;

static sem_t made, judge;

static void relative_make(int i);

static void dir_enter(int i)
{
	char name[16];

	snprintf(name, sizeof name, "own%d", i);
	if (mkdirat(AT_FDCWD, name, 0755) < 0)
		expect(errno == EEXIST, "mkdir %s", name);
	must(chdir(name));
	umask((mode_t)i);
}

/* What is shared shows by marks that are set when all stand. */
static void relative_mark(int i)
{
	if (own.plan[i].unshares & CLONE_FILES)
		must(dup2(1, OWN_FD + i));
	if (own.plan[i].unshares & CLONE_FS)
		dir_enter(i);
}

static void relative_judge(int i)
{
	mode_t mask;

	for (int other = 1; other < own.nr; other++)
		if (own.plan[other].unshares & CLONE_FILES)
			expect((fcntl(OWN_FD + other, F_GETFD) == 0) == own.files_before[i][other],
				"thread %d and the descriptor of thread %d", i, other);
	if (!(own.plan[i].unshares & CLONE_FS))
		return;
	mask = umask(0);
	umask(mask);
	expect(mask == (mode_t)i, "umask %o of thread %d", mask, i);
}

static void *relative_run(void *arg)
{
	int i = (int)(long)arg;
	struct stat before, after;

	own.tids[i] = gettid();
	must(unshare(own.plan[i].unshares));
	for (int other = 1; other < own.nr; other++)
		if (own.plan[other].maker == i)
			relative_make(other);
	pthread_barrier_wait(&own.all);
	relative_mark(i);
	pthread_barrier_wait(&own.all);
	must(stat(".", &before));
	sem_post(&made);
	sem_wait(&judge);
	must(stat(".", &after));
	expect(before.st_ino == after.st_ino, "thread %d is in another directory", i);
	relative_judge(i);
	return NULL;
}

/* It begins with all that its maker has, and leaves what the plan says. */
static void relative_make(int i)
{
	must(-pthread_create(&own.threads[i], NULL, relative_run, (void *)(long)i));
}

static void matrix(int type, int out[THREADS_MAX][THREADS_MAX])
{
	for (int a = 0; a < own.nr; a++)
		for (int b = 0; b < own.nr; b++)
			out[a][b] = syscall(SYS_kcmp, own.tids[a], own.tids[b], type, 0, 0) == 0;
}

static void matrix_same(int type, int before[THREADS_MAX][THREADS_MAX])
{
	int after[THREADS_MAX][THREADS_MAX];

	matrix(type, after);
	for (int a = 0; a < own.nr; a++)
		for (int b = 0; b < own.nr; b++)
			expect(after[a][b] == before[a][b], "threads %d and %d %s %s", a, b,
				after[a][b] ? "share" : "do not share any more",
				type == KCMP_FILES ? "descriptors" : "directories");
}

/* Two that share, and the first thread does not: without such the plan makes no chain. */
static int own_pairs(int pairs[THREADS_MAX][THREADS_MAX])
{
	int nr = 0;

	for (int a = 1; a < own.nr; a++)
		for (int b = a + 1; b < own.nr; b++)
			nr += pairs[a][b] && !pairs[a][0];
	return nr;
}

static void relatives(const struct relative *plan, int nr)
{
	own.plan = plan;
	own.nr = nr;
	own.tids[0] = gettid();
	sem_init(&made, 0, 0);
	sem_init(&judge, 0, 0);
	pthread_barrier_init(&own.all, NULL, (unsigned)nr - 1);
	for (int i = 1; i < nr; i++)
		if (plan[i].maker == 0)
			relative_make(i);
	for (int i = 1; i < nr; i++)
		sem_wait(&made);
	for (int i = 1; i < nr; i++)
		thread_waits_in(own.tids[i], SYS_futex);
	matrix(KCMP_FILES, own.files_before);
	matrix(KCMP_FS, own.fs_before);
	expect(own_pairs(own.files_before) >= 3 && own_pairs(own.fs_before) >= 3,
		"%d pairs share descriptors, %d directories", own_pairs(own.files_before),
		own_pairs(own.fs_before));
	target_wait();
	matrix_same(KCMP_FILES, own.files_before);
	matrix_same(KCMP_FS, own.fs_before);
	for (int i = 1; i < nr; i++)
		expect(fcntl(OWN_FD + i, F_GETFD) < 0, "a descriptor of thread %d is everybody's",
			i);
	for (int i = 1; i < nr; i++)
		sem_post(&judge);
	for (int i = 1; i < nr; i++)
		pthread_join(own.threads[i], NULL);
}

/* Each begins with what its maker has and leaves a part: what stays hangs together in chains, of
 * which some links are shared descriptors, others shared directories. */
static void thread_own_chains(void)
{
	static const struct relative plan[] = {
		{ 0, 0 },
		{ 0, CLONE_FILES | CLONE_FS },
		{ 1, CLONE_FS },
		{ 2, CLONE_FILES },
		{ 3, 0 },
		{ 0, CLONE_FS },
		{ 5, CLONE_FILES },
		{ 6, CLONE_FS },
		{ 6, 0 },
		{ 0, CLONE_FILES },
		{ 9, CLONE_FS },
		{ 10, 0 },
	};

	relatives(plan, sizeof plan / sizeof *plan);
}

/* ---- odd directories ---------------------------------------------------------------------------
 */

static void *in_removed(void *arg)
{
	char link[64];

	must(unshare(CLONE_FS));
	must(mkdir("gone", 0755));
	must(chdir("gone"));
	must(rmdir("../gone"));
	thread_arrived();
	sem_wait(&judge);
	must(readlink("/proc/thread-self/cwd", memset(link, 0, sizeof link), sizeof link - 1));
	expect(strstr(link, "gone (deleted)"), "it is in %s", link);
	expect(mkdir("new", 0755) < 0 && errno == ENOENT, "its directory is not removed");
	return arg;
}

static void *in_other_root(void *arg)
{
	struct stat root, place;

	must(stat("/proc", &place));
	must(unshare(CLONE_FS));
	must(chroot("/proc"));
	must(chdir("/sys"));
	umask(071);
	thread_arrived();
	sem_wait(&judge);
	must(stat("/", &root));
	expect(root.st_ino == place.st_ino && root.st_dev == place.st_dev, "another root");
	must(stat("../sys", &root));
	expect(access("net", F_OK) == 0, "another directory");
	expect(umask(0) == 071, "another umask");
	return arg;
}

static void odd_dir(void *(*run)(void *))
{
	pthread_t thread;

	sem_init(&judge, 0, 0);
	thread = thread_start(run, NULL);
	target_wait();
	sem_post(&judge);
	expect(access("/proc/self/root/etc", F_OK) == 0, "the first thread is in another root");
	thread_join(thread);
}

static void thread_own_removed(void)
{
	odd_dir(in_removed);
}

static void thread_own_root(void)
{
	odd_dir(in_other_root);
}

/* ---- with another process ----------------------------------------------------------------------
 */

static int gate[2];
static pid_t sharer;

static void *forks_sharing(void *arg)
{
	char byte;

	must(unshare(CLONE_FILES));
	sharer = (pid_t)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	if (sharer == 0)
		_exit((int)read(gate[0], &byte, 1) - 1 + (dup2(0, OWN_FD) != OWN_FD));
	thread_arrived();
	sem_wait(&judge);
	must(write(gate[1], "x", 1));
	must(waitpid(sharer, NULL, 0));
	expect(fcntl(OWN_FD, F_GETFD) >= 0, "what the child opened is not there");
	return arg;
}

static void thread_own_with_child(void)
{
	pthread_t thread;

	must(pipe(gate));
	sem_init(&judge, 0, 0);
	thread = thread_start(forks_sharing, NULL);
	target_wait();
	sem_post(&judge);
	thread_join(thread);
}

static void *other_persona(void *arg)
{
	must(personality(ADDR_NO_RANDOMIZE));
	thread_arrived();
	sem_wait(&judge);
	expect(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "personality of the thread");
	return arg;
}

static void thread_own_personality(void)
{
	pthread_t thread;

	must(sem_init(&judge, 0, 0));
	thread = thread_start(other_persona, NULL);
	must(personality(ADDR_COMPAT_LAYOUT));
	target_wait();
	expect(personality(0xffffffff) == ADDR_COMPAT_LAYOUT, "personality of the process");
	sem_post(&judge);
	thread_join(thread);
}

const struct target targets_thread_own[] = {
	{ "thread_own_personality", thread_own_personality, "a personality of its own", 0 },
	{ "thread_own_chains", thread_own_chains, "tables and directories shared in chains", 0 },
	{ "thread_own_removed", thread_own_removed, "a removed working directory", 0 },
	{ "thread_own_root", thread_own_root, "a root directory of its own", 0 },
	{ "thread_own_with_child", thread_own_with_child, "a table shared with a child",
		TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
