/* What each process of a tree has for itself: directories, limits, credentials, signals, timers. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- attributes --------------------------------------------------------------------------------
 */

static void kid_places(void *arg)
{
	char cwd[512], now[512];

	(void)arg;
	must(mkdir("sub", 0700));
	must(chdir("sub"));
	expect(getcwd(cwd, sizeof cwd), "getcwd");
	umask(0137);
	kid_wait();
	expect(getcwd(now, sizeof now) && strcmp(cwd, now) == 0, "cwd %s", now);
	expect(umask(0) == 0137, "umask");
}

static void treeattr_places(void)
{
	char cwd[512], now[512];

	kid(kid_places, NULL);
	expect(getcwd(cwd, sizeof cwd), "getcwd");
	umask(0022);
	target_wait();
	expect(getcwd(now, sizeof now) && strcmp(cwd, now) == 0, "cwd %s", now);
	expect(umask(0) == 0022, "umask");
	kids_check();
}

static void kid_in_deleted(void *arg)
{
	char now[512];

	(void)arg;
	must(mkdir("gone", 0700));
	must(chdir("gone"));
	must(rmdir("../gone"));
	kid_wait();
	expect(getcwd(now, sizeof now) == NULL && errno == ENOENT, "cwd %s", now);
}

static void treeattr_cwd_deleted(void)
{
	kid(kid_in_deleted, NULL);
	target_wait();
	kids_check();
}

static int oom_score_adj(void)
{
	char text[16] = "";
	int fd = (int)must(open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));

	must(read(fd, text, sizeof text - 1));
	close(fd);
	return atoi(text);
}

static void write_proc(const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/%s", name);
	fd = (int)must(open(path, O_WRONLY | O_CLOEXEC));
	must(write(fd, text, strlen(text)));
	close(fd);
}

static void kid_limits(void *arg)
{
	struct rlimit files = { 100, 200 }, got;
	cpu_set_t set;

	(void)arg;
	must(setrlimit(RLIMIT_NOFILE, &files));
	must(setpriority(PRIO_PROCESS, 0, 7));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	must(sched_setaffinity(0, sizeof set, &set));
	must(personality(ADDR_NO_RANDOMIZE));
	must(prctl(PR_SET_TIMERSLACK, 12345));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	write_proc("oom_score_adj", "300");
	write_proc("coredump_filter", "7");
	kid_wait();
	must(getrlimit(RLIMIT_NOFILE, &got));
	expect(got.rlim_cur == 100 && got.rlim_max == 200, "limits");
	expect(getpriority(PRIO_PROCESS, 0) == 7, "nice");
	must(sched_getaffinity(0, sizeof set, &set));
	expect(CPU_COUNT(&set) == 1, "affinity");
	expect(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "personality");
	expect(prctl(PR_GET_TIMERSLACK) == 12345, "timer slack");
	expect(oom_score_adj() == 300, "oom_score_adj %d", oom_score_adj());
}

static void treeattr_limits(void)
{
	struct rlimit before, after;
	int nice;

	nice = getpriority(PRIO_PROCESS, 0); /* whoever runs the tests may be nice */
	must(getrlimit(RLIMIT_NOFILE, &before));
	kid(kid_limits, NULL);
	target_wait();
	must(getrlimit(RLIMIT_NOFILE, &after));
	expect(after.rlim_cur == before.rlim_cur, "limit of the root");
	expect(getpriority(PRIO_PROCESS, 0) == nice && personality(0xffffffff) == 0, "the root's");
	expect(oom_score_adj() != 300, "the root's oom_score_adj");
	kids_check();
}

/* The root has them, the child has gone back. */
static void kid_back(void *arg)
{
	(void)arg;
	must(setpriority(PRIO_PROCESS, 0, 0));
	must(personality(PER_LINUX));
	write_proc("oom_score_adj", "0");
	must(chdir("/"));
	must(prctl(PR_SET_DUMPABLE, 0));
	kid_wait();
	expect(getpriority(PRIO_PROCESS, 0) == 0 && personality(0xffffffff) == 0, "the child's");
	expect(prctl(PR_GET_DUMPABLE) == 0, "dumpable");
	must(prctl(PR_SET_DUMPABLE, 1));
	expect(oom_score_adj() == 0, "oom_score_adj %d", oom_score_adj());
}

static void treeattr_back(void)
{
	if (geteuid() != 0)
		target_skip("needs root");
	must(setpriority(PRIO_PROCESS, 0, 5));
	must(personality(ADDR_NO_RANDOMIZE));
	write_proc("oom_score_adj", "500");
	kid(kid_back, NULL);
	target_wait();
	expect(getpriority(PRIO_PROCESS, 0) == 5, "the root's nice");
	expect(oom_score_adj() == 500, "the root's oom_score_adj %d", oom_score_adj());
	kids_check();
}

/* Workers of another user, as servers have them; each with other groups and capabilities. */
static void kid_user(void *arg)
{
	uid_t id = *(uid_t *)arg;
	gid_t groups[2] = { id + 1, id + 2 }, got[4];
	cap_t caps;

	must(prctl(PR_SET_KEEPCAPS, id % 2));
	must(setgroups(2, groups));
	must(setresgid(id, id, id));
	must(setresuid(id, id, id));
	must(prctl(PR_SET_NO_NEW_PRIVS, id % 2, 0, 0, 0) == 0 || id % 2 == 0 ? 0 : -1);
	caps = cap_get_proc();
	kid_wait();
	expect(getuid() == id && geteuid() == id && getgid() == id, "ids");
	expect(getgroups(4, got) == 2 && got[0] == id + 1 && got[1] == id + 2, "groups");
	expect(cap_compare(caps, cap_get_proc()) == 0, "capabilities");
	expect(setuid(0) == -1, "it can become root again");
}

static void treeattr_users(void)
{
	uid_t id;

	if (geteuid() != 0)
		target_skip("needs root");
	must(chmod(".", 0777));
	for (id = 1000; id < 1004; id++)
		kid(kid_user, &id);
	target_wait();
	expect(getuid() == 0, "the root's id");
	must(setgroups(0, NULL));
	kids_check();
}

static void kid_filtered(void *arg)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 123),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, rules };

	(void)arg;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	kid(kid_idle, NULL);
	kid_wait();
	expect(syscall(SYS_getpgid, 0) == -1 && errno == 123, "the filter is gone");
	kids_check();
}

static void treeattr_seccomp(void)
{
	if (geteuid() != 0)
		target_skip("needs root");
	kid(kid_filtered, NULL);
	kid(kid_idle, NULL);
	target_wait();
	must(syscall(SYS_getpgid, 0));
	kids_check();
}

static void kid_named(void *arg)
{
	char name[16];

	(void)arg;
	must(prctl(PR_SET_NAME, "another name"));
	kid_wait();
	must(prctl(PR_GET_NAME, name));
	expect(strcmp(name, "another name") == 0, "name %s", name);
}

static void treeattr_name(void)
{
	kid(kid_named, NULL);
	target_wait();
	kids_check();
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static volatile sig_atomic_t nr_taken, value_taken;

static void take(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	nr_taken++;
	value_taken = info->si_value.sival_int;
}

static void block(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	must(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

static void kid_pending(void *arg)
{
	int value = *(int *)arg;

	block(SIGUSR1);
	block(SIGRTMIN + 1);
	must(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = value }));
	for (int i = 0; i < 3; i++)
		must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = value + i }));
	kid_wait();
	unblock(SIGUSR1);
	expect(nr_taken == 1 && value_taken == value, "%d signals, value %d", nr_taken,
		value_taken);
	unblock(SIGRTMIN + 1);
	expect(nr_taken == 4 && value_taken == value + 2, "%d signals, value %d", nr_taken,
		value_taken);
}

/* Each has its own pending signals; dispositions differ. */
static void treeattr_pending(void)
{
	struct sigaction action = { .sa_sigaction = take, .sa_flags = SA_SIGINFO };

	must(sigaction(SIGUSR1, &action, NULL));
	must(sigaction(SIGRTMIN + 1, &action, NULL));
	kid(kid_pending, &(int){ 100 });
	kid(kid_pending, &(int){ 200 });
	target_wait();
	expect(nr_taken == 0, "the root took %d signals", nr_taken);
	kids_check();
}

static void kid_dispositions(void *arg)
{
	struct sigaction got;
	(void)arg;

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_DFL);
	kid_wait();
	must(sigaction(SIGUSR1, NULL, &got));
	expect(got.sa_handler == SIG_IGN, "ignored");
	must(sigaction(SIGUSR2, NULL, &got));
	expect(got.sa_handler == SIG_DFL, "default");
	must(sigaction(SIGHUP, NULL, &got));
	expect(got.sa_sigaction == take, "inherited handler");
}

static void treeattr_dispositions(void)
{
	struct sigaction action = { .sa_sigaction = take, .sa_flags = SA_SIGINFO }, got;

	must(sigaction(SIGUSR1, &action, NULL));
	must(sigaction(SIGUSR2, &action, NULL));
	must(sigaction(SIGHUP, &action, NULL));
	kid(kid_dispositions, NULL);
	signal(SIGHUP, SIG_IGN);
	target_wait();
	must(sigaction(SIGUSR1, NULL, &got));
	expect(got.sa_sigaction == take, "the root's handler");
	must(sigaction(SIGHUP, NULL, &got));
	expect(got.sa_handler == SIG_IGN, "the root ignores it");
	kids_check();
}

static void kid_waits_signal(void *arg)
{
	sigset_t set;
	siginfo_t info;

	(void)arg;
	block(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	kid_ready();
	expect(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == getppid(), "sigwaitinfo");
}

static void kid_pauses(void *arg)
{
	(void)arg;
	kid_ready();
	expect(pause() == -1 && errno == EINTR && nr_taken == 1, "pause");
}

/* Blocked in sigwaitinfo and pause until their parent sends a signal. */
static void treeattr_signals(void)
{
	struct sigaction action = { .sa_sigaction = take, .sa_flags = SA_SIGINFO };
	pid_t waits, pauses;

	must(sigaction(SIGUSR2, &action, NULL));
	waits = kid(kid_waits_signal, NULL);
	pauses = kid(kid_pauses, NULL);
	process_waits_in(waits, SYS_rt_sigtimedwait);
	process_waits_in(pauses, SYS_pause);
	target_wait();
	must(kill(waits, SIGUSR1));
	must(kill(pauses, SIGUSR2));
	kid_reap(waits, 0);
	kid_reap(pauses, 0);
}

/* ---- timers ------------------------------------------------------------------------------------
 */

static void kid_timers(void *arg)
{
	struct sigaction action = { .sa_sigaction = take, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec spec = { .it_value.tv_sec = 4 };
	sigset_t both, none;
	timer_t timer;

	(void)arg;
	/* Blocked but for the waits: one that came right before a wait would be waited for. */
	sigemptyset(&both);
	sigaddset(&both, SIGRTMIN);
	sigaddset(&both, SIGALRM);
	must(sigprocmask(SIG_BLOCK, &both, &none));
	must(sigaction(SIGRTMIN, &action, NULL));
	must(sigaction(SIGALRM, &action, NULL));
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(timer, 0, &spec, NULL));
	alarm(4);
	kid_ready();
	while (nr_taken < 2)
		sigsuspend(&none);
}

static void kid_sleeps(void *arg)
{
	int64_t start = now_ms();

	(void)arg;
	kid_ready();
	must(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 4, 0 }, NULL));
	expect(now_ms() - start >= 3990, "it slept %ld ms", (long)(now_ms() - start));
}

static void treeattr_timers(void)
{
	pid_t timers = kid(kid_timers, NULL), sleeps = kid(kid_sleeps, NULL);

	target_wait();
	kid_reap(timers, 0);
	kid_reap(sleeps, 0);
}

const struct target targets_tree_attr[] = {
	{ "treeattr_places", treeattr_places, "cwd and umask", 0 },
	{ "treeattr_cwd_deleted", treeattr_cwd_deleted, "a deleted cwd of the child",
		TARGET_EITHER },
	{ "treeattr_limits", treeattr_limits, "limits, nice, affinity, oom_score_adj", 0 },
	{ "treeattr_back", treeattr_back, "attributes that only the parent has", 0 },
	{ "treeattr_users", treeattr_users, "workers of other users", 0 },
	{ "treeattr_seccomp", treeattr_seccomp, "a seccomp filter of the child", 0 },
	{ "treeattr_name", treeattr_name, "the name of the child", 0 },
	{ "treeattr_pending", treeattr_pending, "pending signals of each", 0 },
	{ "treeattr_dispositions", treeattr_dispositions, "signal actions that differ", 0 },
	{ "treeattr_signals", treeattr_signals, "waiting for signals of the parent", 0 },
	{ "treeattr_timers", treeattr_timers, "timers and sleeps of children", TARGET_BUSY },
	{ NULL, NULL, NULL, 0 },
};
