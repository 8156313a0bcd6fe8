/* Threads: their number, names, scheduling, and what the kernel keeps for glibc's threads. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int gate[2]; /* threads wait for a byte in this pipe */

static void gate_make(void)
{
	must(pipe2(gate, O_CLOEXEC));
}

static void gate_wait(void)
{
	char byte;

	thread_arrived();
	must(read(gate[0], &byte, 1));
}

static void gate_open(int nr)
{
	for (int i = 0; i < nr; i++)
		must(write(gate[1], "x", 1));
}

/* ---- many threads with their own storage
 * ------------------------------------------------------------------- */

enum { MANY = 100 };
static _Thread_local int tls_number;
static atomic_int many_right;

static void *many_one(void *arg)
{
	pthread_t self = pthread_self();
	int number = (int)(intptr_t)arg, saved;

	tls_number = number;
	errno = 1000 + number;
	saved = errno;
	gate_wait();
	many_right += tls_number == number && saved == 1000 + number &&
		      pthread_equal(self, pthread_self());
	return NULL;
}

static void thread_many(void)
{
	pthread_t threads[MANY];

	gate_make();
	for (int i = 0; i < MANY; i++)
		threads[i] = thread_start(many_one, (void *)(intptr_t)i);
	target_wait();
	gate_open(MANY);
	for (int i = 0; i < MANY; i++)
		thread_join(threads[i]);
	expect(many_right == MANY, "%d of %d threads have their own storage", many_right, MANY);
	threads[0] = thread_start(many_one, NULL); /* new ones can be made */
	gate_open(1);
	thread_join(threads[0]);
}

/* ---- names, scheduling
 * ----------------------------------------------------------------------------------------- */

static const char *const names[] = { "worker", "a b)(c", "\xff\xfe\n", "", "fifteen letters" };

static void *named(void *arg)
{
	char name[16] = "";

	prctl(PR_SET_NAME, names[(intptr_t)arg]);
	gate_wait();
	prctl(PR_GET_NAME, name);
	expect(strcmp(name, names[(intptr_t)arg]) == 0, "thread is called \"%s\"", name);
	return NULL;
}

static void thread_names(void)
{
	pthread_t threads[5];

	gate_make();
	for (intptr_t i = 0; i < 5; i++)
		threads[i] = thread_start(named, (void *)i);
	target_wait();
	gate_open(5);
	for (int i = 0; i < 5; i++)
		thread_join(threads[i]);
}

static void *pinned(void *arg)
{
	cpu_set_t set, now;

	CPU_ZERO(&set);
	CPU_SET((size_t)(intptr_t)arg, &set);
	must(sched_setaffinity(0, sizeof set, &set));
	gate_wait();
	must(sched_getaffinity(0, sizeof now, &now));
	expect(CPU_EQUAL(&set, &now), "affinity of thread %d", (int)(intptr_t)arg);
	return NULL;
}

static void thread_affinity(void)
{
	pthread_t threads[2];
	cpu_set_t all;
	intptr_t nr = 0;

	gate_make();
	must(sched_getaffinity(0, sizeof all, &all));
	for (intptr_t cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &all))
			threads[nr++] = thread_start(pinned, (void *)cpu);
	target_wait();
	gate_open((int)nr);
	while (nr)
		thread_join(threads[--nr]);
}

struct policy {
	int policy, priority, nice;
};

/* Real-time policies need a privilege that root may lack in a container: then it is a batch thread.
 */
static const struct policy policies[] = {
	{ SCHED_OTHER, 0, 5 },
	{ SCHED_BATCH, 0, 3 },
	{ SCHED_IDLE, 0, 0 },
	{ SCHED_FIFO, 3, 0 },
	{ SCHED_RR | SCHED_RESET_ON_FORK, 2, 0 },
	{ SCHED_OTHER, 0, 0 },
};

static void *scheduled(void *arg)
{
	struct policy want = policies[(intptr_t)arg];
	struct sched_param param = { .sched_priority = want.priority };

	if (sched_setscheduler(0, want.policy, &param) < 0) {
		param.sched_priority = want.priority = 0;
		must(sched_setscheduler(0, want.policy = SCHED_BATCH, &param));
	}
	if (want.nice)
		must(setpriority(PRIO_PROCESS, (id_t)gettid(), want.nice));
	else
		want.nice = getpriority(PRIO_PROCESS, (id_t)gettid()); /* nice make check */
	gate_wait();
	must(sched_getparam(0, &param));
	expect(sched_getscheduler(0) == want.policy, "policy %d is %d", want.policy,
		sched_getscheduler(0));
	expect(param.sched_priority == want.priority, "priority %d is %d", want.priority,
		param.sched_priority);
	expect(getpriority(PRIO_PROCESS, (id_t)gettid()) == want.nice, "nice of thread %d",
		(int)(intptr_t)arg);
	return NULL;
}

static void thread_sched(void)
{
	enum { NR = sizeof policies / sizeof *policies };
	pthread_t threads[NR];

	gate_make();
	for (intptr_t i = 0; i < NR; i++)
		threads[i] = thread_start(scheduled, (void *)i);
	target_wait();
	gate_open(NR);
	for (int i = 0; i < NR; i++)
		thread_join(threads[i]);
}

static void *slack(void *arg)
{
	must(prctl(PR_SET_TIMERSLACK, 12345 + (intptr_t)arg));
	gate_wait();
	expect(prctl(PR_GET_TIMERSLACK) == 12345 + (intptr_t)arg, "timer slack %d",
		prctl(PR_GET_TIMERSLACK));
	return NULL;
}

static void thread_timerslack(void)
{
	pthread_t a, b;

	gate_make();
	a = thread_start(slack, (void *)1);
	b = thread_start(slack, (void *)2);
	target_wait();
	gate_open(2);
	thread_join(a);
	thread_join(b);
}

/* ---- mutexes: the words in memory hold thread ids, the kernel knows the lists
 * ------------------------------------------- */

static pthread_mutex_t mutex, second;

static void mutex_make(pthread_mutex_t *m, int type, int robust, int protocol)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setrobust(&attr, robust);
	pthread_mutexattr_setprotocol(&attr, protocol);
	expect(pthread_mutex_init(m, &attr) == 0, "pthread_mutex_init");
}

static void *robust_holder(void *arg)
{
	pthread_mutex_lock(&mutex);
	gate_wait();
	return arg; /* and dies with the mutex locked */
}

static void thread_robust(void)
{
	pthread_t thread;

	gate_make();
	mutex_make(&mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_NONE);
	thread = thread_start(robust_holder, NULL);
	target_wait();
	expect(pthread_mutex_trylock(&mutex) == EBUSY, "the mutex is free");
	gate_open(1);
	thread_join(thread);
	expect(pthread_mutex_lock(&mutex) == EOWNERDEAD, "the kernel did not walk the robust list");
}

static void *recursive_holder(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_lock(&mutex);
	pthread_mutex_lock(&second);
	gate_wait();
	expect(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0,
		"not the owner any more");
	expect(pthread_mutex_unlock(&mutex) == EPERM, "locked more often");
	expect(pthread_mutex_lock(&second) == EDEADLK, "does not see that it is the owner");
	expect(pthread_mutex_unlock(&second) == 0, "error checking mutex");
	return arg;
}

static void thread_recursive(void)
{
	pthread_t thread;

	gate_make();
	mutex_make(&mutex, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
	mutex_make(&second, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
	thread = thread_start(recursive_holder, NULL);
	target_wait();
	gate_open(1);
	thread_join(thread);
}

static atomic_int pi_tid;

static void *pi_waiter(void *arg)
{
	pi_tid = gettid();
	thread_arrived();
	expect(pthread_mutex_lock(&mutex) == 0, "priority inheritance mutex");
	expect(pthread_mutex_unlock(&mutex) == 0, "unlock");
	return arg;
}

static void thread_pi(void)
{
	pthread_t thread;

	mutex_make(&mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
	expect(pthread_mutex_lock(&mutex) == 0, "lock");
	thread = thread_start(pi_waiter, NULL);
	thread_waits_in(pi_tid, SYS_futex);
	target_wait();
	expect(pthread_mutex_unlock(&mutex) == 0, "unlock");
	thread_join(thread);
}

/* ---- beginnings and ends
 * ----------------------------------------------------------------------------------------------------
 */

static void *nothing(void *arg)
{
	return arg;
}

static atomic_int stop_churning;

static void *churn(void *arg)
{
	thread_arrived();
	while (!stop_churning) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, nothing, NULL) == 0)
			thread_join(thread);
	}
	return arg;
}

static void thread_churn(void)
{
	pthread_t a = thread_start(churn, NULL), b = thread_start(churn, NULL);

	target_wait();
	stop_churning = 1;
	thread_join(a);
	thread_join(b);
}

/* A zombie as leader: the process lives on in its other thread. */
static void *after_leader(void *arg)
{
	target_wait();
	expect(proc_number("status", "Threads:", 10) == 2, "number of threads");
	int fd = open(getenv("TARGET_OUT"), O_WRONLY | O_APPEND);
	must(write(fd, "OK\n", 3));
	_exit(0);
	return arg;
}

/* Descriptors that the restore touches once more at its very end, when the leader has ended again.
 */
static void *watch_after_leader(void *arg)
{
	int ends[2], set = (int)must(epoll_create1(0)),
		     notify = (int)must(inotify_init1(IN_NONBLOCK));
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 4711 };

	must(pipe(ends));
	must(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
	must(mkdir("watched", 0700));
	must(inotify_add_watch(notify, "watched", IN_CREATE));
	target_wait();
	must(write(ends[1], "x", 1));
	expect(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 4711, "epoll");
	must(close((int)must(open("watched/new", O_WRONLY | O_CREAT, 0600))));
	expect(read(notify, (char[512]){ 0 }, 512) > 0, "inotify");
	int fd = open(getenv("TARGET_OUT"), O_WRONLY | O_APPEND);
	must(write(fd, "OK\n", 3));
	_exit(0);
	return arg;
}

static void leave_it_to(void *(*run)(void *))
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
	pthread_exit(NULL);
}

static void thread_leader_gone(void)
{
	leave_it_to(after_leader);
}

static void thread_leader_gone_watching(void)
{
	leave_it_to(watch_after_leader);
}

/* Joined through the word of CLONE_CHILD_CLEARTID, by a thread that already waits for it. */
static pthread_t joined;
static atomic_int joiner_tid;

static void *sleeper(void *arg)
{
	gate_wait();
	return arg;
}

static void *joiner(void *arg)
{
	joiner_tid = gettid();
	thread_arrived();
	thread_join(joined);
	return arg;
}

static void thread_join_pending(void)
{
	pthread_t thread;

	gate_make();
	joined = thread_start(sleeper, NULL);
	thread = thread_start(joiner, NULL);
	thread_waits_in(joiner_tid, SYS_futex);
	target_wait();
	gate_open(1);
	thread_join(thread);
}

/* ---- parts of the process that a thread has for itself
 * --------------------------------------------------------------------------- */

static int own_fd;

static void *own_files(void *arg)
{
	must(unshare(CLONE_FILES));
	own_fd = (int)must(dup(gate[0]));
	must(close(gate[1]));
	gate_wait();
	expect(fcntl(own_fd, F_GETFD) >= 0, "own descriptor");
	expect(fcntl(gate[1], F_GETFD) == -1, "a descriptor of the others");
	return arg;
}

static void thread_own_files(void)
{
	pthread_t thread;

	gate_make();
	thread = thread_start(own_files, NULL);
	target_wait();
	expect(fcntl(own_fd, F_GETFD) == -1, "the thread's own descriptor is everybody's");
	gate_open(1);
	thread_join(thread);
}

static void *own_cwd(void *arg)
{
	char cwd[256];

	must(unshare(CLONE_FS));
	must(chdir("/proc"));
	gate_wait();
	expect(getcwd(cwd, sizeof cwd) && strcmp(cwd, "/proc") == 0, "own working directory: %s",
		cwd);
	return arg;
}

static void thread_own_cwd(void)
{
	pthread_t thread;
	char before[256], after[256];

	gate_make();
	must((long)getcwd(before, sizeof before));
	thread = thread_start(own_cwd, NULL);
	target_wait();
	must((long)getcwd(after, sizeof after));
	expect(strcmp(before, after) == 0, "working directory %s", after);
	gate_open(1);
	thread_join(thread);
}

const struct target targets_thread[] = {
	{ "thread_many", thread_many, "100 threads with their storage", 0 },
	{ "thread_names", thread_names, "names with odd bytes", 0 },
	{ "thread_affinity", thread_affinity, "CPU affinity", 0 },
	{ "thread_sched", thread_sched, "policies, priorities, nice", 0 },
	{ "thread_timerslack", thread_timerslack, "timer slack", 0 },
	{ "thread_robust", thread_robust, "the robust list", 0 },
	{ "thread_recursive", thread_recursive, "owners of mutexes", 0 },
	{ "thread_pi", thread_pi, "a contended priority inheritance mutex", 0 },
	{ "thread_churn", thread_churn, "threads come and go all the time",
		TARGET_BUSY | TARGET_UNSTEADY },
	{ "thread_leader_gone", thread_leader_gone, "the first thread has ended", 0 },
	{ "thread_leader_gone_watching", thread_leader_gone_watching,
		"the first thread has ended; epoll and inotify", 0 },
	{ "thread_join_pending", thread_join_pending, "pthread_join in progress", 0 },
	{ "thread_own_files", thread_own_files, "an unshared descriptor table", 0 },
	{ "thread_own_cwd", thread_own_cwd, "an unshared working directory", 0 },
	{ NULL, NULL, NULL, 0 },
};
