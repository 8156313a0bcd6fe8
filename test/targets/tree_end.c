/* Ends and stops of children: zombies, SIGCHLD, stopped and continued ones. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t nr_chld;

static void count_chld(int signal)
{
	(void)signal;
	nr_chld++;
}

static void count_children(int flags)
{
	struct sigaction action = { .sa_handler = count_chld, .sa_flags = SA_RESTART | flags };

	must(sigaction(SIGCHLD, &action, NULL));
}

static pid_t ends_with(int status)
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0)
		_exit(status);
	zombie_stands(pid);
	return pid;
}

static pid_t killed_by(int signal)
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		must(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }));
		for (;;)
			pause();
	}
	must(kill(pid, signal));
	zombie_stands(pid);
	return pid;
}

/* ---- zombies -----------------------------------------------------------------------------------
 */

static void zombie_status(void)
{
	static const int codes[] = { 0, 1, 77, 255 };
	pid_t pids[4];
	int status;

	for (int i = 0; i < 4; i++)
		pids[i] = ends_with(codes[i]);
	target_wait();
	for (int i = 0; i < 4; i++) {
		expect(waitpid(pids[i], &status, WNOHANG) == pids[i], "waitpid");
		expect(WIFEXITED(status) && WEXITSTATUS(status) == codes[i], "status %x", status);
	}
	expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is another child");
}

static void zombie_signal(void)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGSEGV, SIGUSR1, SIGTRAP, 40 };
	pid_t pids[6];
	int status;

	for (int i = 0; i < 6; i++)
		pids[i] = killed_by(signals[i]);
	target_wait();
	for (int i = 0; i < 6; i++) {
		expect(waitpid(pids[i], &status, WNOHANG) == pids[i], "waitpid");
		expect(WIFSIGNALED(status) && WTERMSIG(status) == signals[i], "status %x", status);
	}
}

/* Its maker handles, blocks or ignores the very signal, and cannot make it die by that. */
static void zombie_signal_handled(void)
{
	sigset_t set;
	int status;
	pid_t usr1 = killed_by(SIGUSR1), term = killed_by(SIGTERM), hup = killed_by(SIGHUP);

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = count_chld }, NULL));
	must(sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	target_wait();
	expect(waitpid(usr1, &status, WNOHANG) == usr1 && WTERMSIG(status) == SIGUSR1, "handled");
	expect(waitpid(term, &status, WNOHANG) == term && WTERMSIG(status) == SIGTERM, "blocked");
	expect(waitpid(hup, &status, WNOHANG) == hup && WTERMSIG(status) == SIGHUP, "ignored");
}

static void zombie_waitid(void)
{
	pid_t a = ends_with(3), b = killed_by(SIGKILL);
	siginfo_t info;

	target_wait();
	must(waitid(P_PID, (id_t)a, &info, WEXITED | WNOWAIT));
	expect(info.si_pid == a && info.si_code == CLD_EXITED && info.si_status == 3, "exited");
	must(waitid(P_PID, (id_t)a, &info, WEXITED));
	expect(info.si_status == 3 && info.si_uid == getuid(), "exited, again");
	must(waitid(P_PID, (id_t)b, &info, WEXITED));
	expect(info.si_pid == b && info.si_code == CLD_KILLED && info.si_status == SIGKILL,
		"killed");
}

/* Which ended child wait(2) gives first is the order in which they were born. */
static void zombie_order(void)
{
	pid_t pids[5];

	pids[0] = ends_with(0);
	pids[1] = kid(kid_idle, NULL);
	pids[2] = killed_by(SIGTERM);
	pids[3] = kid(kid_idle, NULL);
	pids[4] = ends_with(0);
	target_wait();
	kid_tell(pids[1]);
	zombie_stands(pids[1]);
	kid_tell(pids[3]);
	zombie_stands(pids[3]);
	for (int i = 0; i < 5; i++) {
		pid_t got = wait(NULL);

		expect(got == pids[i], "child %d is not number %d", got, i);
	}
}

static void zombie_many(void)
{
	pid_t pids[60];
	int status;

	for (int i = 0; i < 60; i++)
		pids[i] = ends_with(i);
	target_wait();
	for (int i = 0; i < 60; i++)
		expect(waitpid(pids[i], &status, WNOHANG) == pids[i] && WEXITSTATUS(status) == i,
			"child %d: status %x", i, status);
}

static void kid_with_zombies(void *arg)
{
	pid_t a = ends_with(8), b = killed_by(SIGTERM);
	int status;

	(void)arg;
	kid_wait();
	expect(waitpid(a, &status, WNOHANG) == a && WEXITSTATUS(status) == 8, "status %x", status);
	expect(waitpid(b, &status, WNOHANG) == b && WTERMSIG(status) == SIGTERM, "killed");
}

static void zombie_of_child(void)
{
	kid(kid_with_zombies, NULL);
	target_wait();
	kids_check();
}

static void leads_session(void *arg)
{
	(void)arg;
	must(setsid());
	_exit(4);
}

/* Leaders of a session and of a group, and members of a group that others lead. */
static void zombie_ids(void)
{
	pid_t leader = kid(kid_idle, NULL), group = (pid_t)must(fork()), member, session;
	int status;

	if (group == 0) {
		must(setpgid(0, 0));
		_exit(4);
	}
	zombie_stands(group);
	must(setpgid(leader, leader));
	member = (pid_t)must(fork());
	if (member == 0) {
		must(setpgid(0, leader));
		_exit(4);
	}
	zombie_stands(member);
	session = (pid_t)must(fork());
	if (session == 0)
		leads_session(NULL);
	zombie_stands(session);
	target_wait();
	expect(getpgid(group) == group && getsid(session) == session, "leaders");
	expect(getpgid(member) == leader, "member of a group");
	expect(waitpid(-leader, &status, WNOHANG) == member && WEXITSTATUS(status) == 4,
		"waitpid of a group");
	expect(waitpid(-group, &status, WNOHANG) == group, "waitpid of its own group");
	expect(waitpid(session, &status, WNOHANG) == session, "waitpid of the session leader");
	kids_check();
}

/* ---- SIGCHLD -----------------------------------------------------------------------------------
 */

/* One handler call for each end, none because of the restore, and new ones for new ends. */
static void sigchld_counted(void)
{
	pid_t pid;

	count_children(0);
	ends_with(0);
	killed_by(SIGTERM);
	pid = kid(kid_idle, NULL);
	expect(nr_chld == 2, "%d handler calls before", nr_chld);
	target_wait();
	expect(nr_chld == 2, "%d handler calls after the restore", nr_chld);
	kid_check(pid);
	expect(nr_chld == 3, "%d handler calls after one more end", nr_chld);
	expect(wait(NULL) > 0 && wait(NULL) > 0 && wait(NULL) == -1, "zombies");
}

/* Blocked: one is pending with what happened first, and only if it was before. */
static void sigchld_pending(void)
{
	siginfo_t info = { 0 };
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	pid = ends_with(21);
	ends_with(22);
	target_wait();
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGCHLD, "none is pending");
	expect(info.si_pid == pid && info.si_status == 21 && info.si_code == CLD_EXITED,
		"siginfo: pid %d status %d", info.si_pid, info.si_status);
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == -1, "two are pending");
}

static void sigchld_not_pending(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	ends_with(21);
	must(sigwaitinfo(&set, &info));
	kid(kid_idle, NULL);
	target_wait();
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == -1, "one is pending");
	kids_check();
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGCHLD, "none is pending");
}

/* Nobody becomes a zombie: SA_NOCLDWAIT, and SIGCHLD ignored. */
static void sigchld_nobody_waits(void)
{
	pid_t pid;

	count_children(SA_NOCLDWAIT);
	pid = kid(kid_idle, NULL);
	kid(kid_idle, NULL);
	target_wait();
	kid_tell(pid);
	expect(waitpid(pid, NULL, 0) == -1 && errno == ECHILD, "it became a zombie");
	expect(nr_chld == 1, "%d handler calls", nr_chld);
}

static void sigchld_ignored(void)
{
	pid_t pid;

	must(sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	pid = kid(kid_idle, NULL);
	target_wait();
	kid_tell(pid);
	expect(waitpid(pid, NULL, 0) == -1 && errno == ECHILD, "it became a zombie");
}

/* Zombies from before it was ignored stay. */
static void sigchld_ignored_later(void)
{
	pid_t pid = ends_with(6);
	int status;

	must(sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	target_wait();
	expect(waitpid(pid, &status, WNOHANG) == pid && WEXITSTATUS(status) == 6, "it is gone");
}

/* ---- stopped -----------------------------------------------------------------------------------
 */

/* In a group of its own, as shells do it: one that becomes orphaned gets SIGHUP (setpgid(2)). */
static pid_t stop(pid_t pid, int signal)
{
	must(setpgid(pid, pid));
	must(kill(pid, signal));
	state_stands(pid, 'T');
	return pid;
}

static pid_t stopped_by(int signal)
{
	return stop(kid(kid_idle, NULL), signal);
}

/* Nobody has waited for its stop yet: it is there to be told, once, with its signal. */
static void stopped_untold(void)
{
	pid_t stopped = stopped_by(SIGSTOP), tstp = stopped_by(SIGTSTP), ttin = stopped_by(SIGTTIN);
	int status;

	target_wait();
	expect(waitpid(stopped, &status, WUNTRACED | WNOHANG) == stopped && WIFSTOPPED(status) &&
			WSTOPSIG(status) == SIGSTOP,
		"SIGSTOP: %x", status);
	expect(waitpid(stopped, &status, WUNTRACED | WNOHANG) == 0, "told twice");
	expect(waitpid(tstp, &status, WUNTRACED | WNOHANG) == tstp && WSTOPSIG(status) == SIGTSTP,
		"SIGTSTP: %x", status);
	expect(waitpid(ttin, &status, WUNTRACED | WNOHANG) == ttin && WSTOPSIG(status) == SIGTTIN,
		"SIGTTIN: %x", status);
	must(kill(stopped, SIGCONT));
	must(kill(tstp, SIGCONT));
	must(kill(ttin, SIGCONT));
	kids_check();
}

/* A shell that knows of the stop must not hear of it again. */
static void stopped_told(void)
{
	pid_t pid;
	int status;

	count_children(0);
	pid = stopped_by(SIGSTOP);
	expect(waitpid(pid, &status, WUNTRACED) == pid && nr_chld == 1, "before");
	target_wait();
	expect(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0, "told twice");
	expect(nr_chld == 1, "%d handler calls", nr_chld);
	must(kill(pid, SIGCONT));
	expect(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "continued");
	kids_check();
}

static volatile sig_atomic_t nr_usr1;

static void count_usr1(int signal)
{
	(void)signal;
	nr_usr1++;
}

static void takes_usr1(void *arg)
{
	(void)arg;
	must(sigaction(SIGUSR1,
		&(struct sigaction){ .sa_handler = count_usr1, .sa_flags = SA_RESTART }, NULL));
	kid_wait();
	expect(nr_usr1 == 1, "%d handler calls", nr_usr1);
}

/* A signal that waits for the end of the stop; and stops of a child with threads. */
static void stopped_pending(void)
{
	pid_t pid = kid(takes_usr1, NULL);

	stop(pid, SIGSTOP);
	must(kill(pid, SIGUSR1));
	target_wait();
	state_stands(pid, 'T');
	must(kill(pid, SIGCONT));
	kids_check();
}

static void *idles(void *arg)
{
	thread_arrived();
	pause();
	return arg;
}

static void with_threads(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		thread_start(idles, NULL);
	kid_wait();
}

static void stopped_threads(void)
{
	pid_t pid = kid(with_threads, NULL);

	stop(pid, SIGSTOP);
	target_wait();
	state_stands(pid, 'T');
	must(kill(pid, SIGCONT));
	kids_check();
}

static void kid_stops_kid(void *arg)
{
	pid_t pid = stopped_by(SIGSTOP);

	(void)arg;
	kid_wait();
	state_stands(pid, 'T');
	must(kill(pid, SIGCONT));
	kids_check();
}

static void stopped_grandchild(void)
{
	pid_t pid = kid(kid_stops_kid, NULL);

	stop(pid, SIGSTOP);
	target_wait();
	must(kill(pid, SIGCONT));
	kids_check();
}

/* ---- ending all the time ------------------------------------------------------------------------
 */

static void *sleeps_on(void *arg)
{
	pause();
	return arg;
}

/* A process of many threads takes its time. */
static void end_slowly(void)
{
	char *memory = map_anon(4 << 20, PROT_READ | PROT_WRITE, MAP_POPULATE);
	pthread_t thread;

	for (int i = 0; i < 60; i++)
		if (pthread_create(&thread, NULL, sleeps_on, memory) != 0)
			_exit(1);
	_exit(0);
}

static void kid_mill(void *arg)
{
	pid_t parent = getppid(), pid;
	int status;

	(void)arg;
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	kid_ready();
	while (getppid() == parent) {
		pid = (pid_t)must(fork());
		if (pid == 0)
			end_slowly();
		must(waitpid(pid, &status, 0));
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	}
}

static void tree_ending(void)
{
	pid_t mill = kid(kid_mill, NULL);
	int status;

	target_wait();
	expect(waitpid(mill, &status, WNOHANG) == 0, "it has ended");
	must(kill(mill, SIGKILL));
	must(waitpid(mill, &status, 0));
}

const struct target targets_tree_end[] = {
	{ "zombie_status", zombie_status, "exit status", 0 },
	{ "zombie_signal", zombie_signal, "killed by signals", 0 },
	{ "zombie_signal_handled", zombie_signal_handled, "by signals its parent does not die of",
		0 },
	{ "zombie_waitid", zombie_waitid, "what waitid tells", 0 },
	{ "zombie_order", zombie_order, "wait in the order of births", 0 },
	{ "zombie_many", zombie_many, "60 zombies", 0 },
	{ "zombie_of_child", zombie_of_child, "zombies of a child", 0 },
	{ "zombie_ids", zombie_ids, "groups and sessions of zombies", 0 },
	{ "sigchld_counted", sigchld_counted, "no SIGCHLD is doubled", 0 },
	{ "sigchld_pending", sigchld_pending, "a pending SIGCHLD", 0 },
	{ "sigchld_not_pending", sigchld_not_pending, "a SIGCHLD that was taken", 0 },
	{ "sigchld_nobody_waits", sigchld_nobody_waits, "SA_NOCLDWAIT", 0 },
	{ "sigchld_ignored", sigchld_ignored, "SIGCHLD ignored", 0 },
	{ "sigchld_ignored_later", sigchld_ignored_later, "SIGCHLD ignored after the end", 0 },
	{ "tree_ending", tree_ending, "children of many threads that end all the time",
		TARGET_BUSY | TARGET_UNSTEADY },
	{ "stopped_untold", stopped_untold, "stops that were not waited for", 0 },
	{ "stopped_told", stopped_told, "a stop that was waited for", 0 },
	{ "stopped_pending", stopped_pending, "a signal waits for the end of a stop", 0 },
	{ "stopped_threads", stopped_threads, "stopped with threads", 0 },
	{ "stopped_grandchild", stopped_grandchild, "a stopped child of a stopped child", 0 },
	{ NULL, NULL, NULL, 0 },
};
