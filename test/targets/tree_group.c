/* Groups and sessions that their founder has left, ends in them, and what the parent is told. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- groups that their founder has left --------------------------------------------------------
 */

static void group_is(pid_t pid, pid_t pgid)
{
	expect(getpgid(pid) == pgid, "%d is in group %d, not %d", pid, getpgid(pid), pgid);
}

static void treegrp_founder_moved(void)
{
	pid_t founder = kid(kid_idle, NULL), member = kid(kid_idle, NULL),
	      other = kid(kid_idle, NULL);

	must(setpgid(founder, founder));
	must(setpgid(member, founder));
	must(setpgid(other, other));
	must(setpgid(founder, other));
	target_wait();
	group_is(founder, other);
	group_is(member, founder);
	group_is(other, other);
	kids_check();
}

/* Each in the group that the other has founded; a third kept one of them alive for a moment. */
static void treegrp_exchanged(void)
{
	pid_t a = kid(kid_idle, NULL), b = kid(kid_idle, NULL), third = kid(kid_idle, NULL);

	must(setpgid(a, a));
	must(setpgid(b, b));
	must(setpgid(third, a));
	must(setpgid(a, b));
	must(setpgid(b, a));
	must(setpgid(third, third));
	target_wait();
	group_is(a, b);
	group_is(b, a);
	kids_check();
}

/* ---- ended ones --------------------------------------------------------------------------------
 */

static void joins_and_ends(void *arg)
{
	must(setpgid(0, *(pid_t *)arg));
	kid_wait();
}

/* Its parent waits for the group, not for the process. */
static void treegrp_ended_alone(void)
{
	pid_t leader = kid(joins_and_ends, &(pid_t){ 0 }), member = kid(joins_and_ends, &leader);
	int status;

	kid_check(leader);
	kid_tell(member);
	zombie_stands(member);
	target_wait();
	expect(waitpid(-leader, &status, 0) == member && status == 0, "waitpid: %s",
		strerror(errno));
}

static void has_uid(void *arg)
{
	(void)arg;
	must(setresuid(1001, 1001, 1001));
	kid_wait();
}

static void treegrp_ended_uid(void)
{
	pid_t pid = kid(has_uid, NULL);
	siginfo_t info;

	kid_tell(pid);
	zombie_stands(pid);
	target_wait();
	must(waitid(P_PID, (id_t)pid, &info, WEXITED));
	expect(info.si_uid == 1001, "it was user %d", (int)info.si_uid);
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

static pid_t *orphans; /* shared */

static void orphan_of_session(void *arg)
{
	if (arg)
		must(setpgid(0, 0));
	orphans[arg != NULL] = getpid();
	kid_ready();
	for (;;)
		pause();
}

/* Two groups of a session; its leader ends, and is not waited for. */
static void leads_two(void *arg)
{
	must(setsid());
	kid(orphan_of_session, NULL);
	kid(orphan_of_session, arg);
	kid_wait();
	_exit(0);
}

static void treegrp_session_ended(void)
{
	int value = 1;
	pid_t leader;

	orphans = (pid_t *)map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	leader = kid(leads_two, &value);
	kid_tell(leader);
	zombie_stands(leader);
	for (int i = 0; i < 2; i++) {
		must(kill(orphans[i], SIGSTOP));
		state_stands(orphans[i], 'T');
	}
	target_wait();
	for (int i = 0; i < 2; i++) {
		int status;

		expect(getsid(orphans[i]) == leader, "session %d", getsid(orphans[i]));
		group_is(orphans[i], i ? orphans[i] : leader);
		must(waitpid(orphans[i], &status, WUNTRACED));
		expect(WIFSTOPPED(status), "it was stopped");
		must(kill(orphans[i], SIGKILL));
		must(waitpid(orphans[i], &status, 0));
	}
	must(waitpid(leader, NULL, 0));
}

/* A session whose leader lives, and whose other member's parent has become the leader's. */
static void treegrp_session_orphan(void)
{
	pid_t leader;
	int status;

	orphans = (pid_t *)map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	leader = (pid_t)must(fork());
	if (leader == 0) {
		pid_t middle;

		must(setsid());
		middle = (pid_t)must(fork());
		if (middle == 0) {
			must(setpgid(0, 0));
			if (must(fork()) == 0) {
				orphans[0] = getpid();
				for (;;)
					pause();
			}
			_exit(0);
		}
		must(waitpid(middle, NULL, 0));
		orphans[1] = middle;
		for (;;)
			pause();
	}
	while (!((volatile pid_t *)orphans)[0] || !((volatile pid_t *)orphans)[1])
		sched_yield();
	target_wait();
	expect(getsid(orphans[0]) == leader, "session %d", getsid(orphans[0]));
	group_is(orphans[0], orphans[1]);
	must(kill(orphans[0], SIGKILL));
	must(waitpid(orphans[0], &status, 0));
	must(kill(leader, SIGKILL));
	must(waitpid(leader, &status, 0));
}

/* ---- stops -------------------------------------------------------------------------------------
 */

static void *waits(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void treegrp_stopped_leaderless(void)
{
	pid_t pid = (pid_t)must(fork());
	int status;

	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, waits, NULL);
		pthread_exit(NULL);
	}
	state_stands(pid, 'Z');
	must(kill(pid, SIGSTOP));
	must(waitpid(pid, &status, WUNTRACED));
	target_wait();
	expect(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0, "its stop is told again");
	must(kill(pid, SIGCONT));
	must(waitpid(pid, &status, WCONTINUED));
	expect(WIFCONTINUED(status), "it was stopped no more");
	must(kill(pid, SIGKILL));
	must(waitpid(pid, &status, 0));
}

/* The default action of SIGCHLD is to ignore it: each time it is set, what is queued goes. */
static void treegrp_stop_queued(void)
{
	siginfo_t info;
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	pid = kid(kid_idle, NULL);
	must(kill(pid, SIGSTOP));
	must(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
	target_wait();
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == SIGCHLD, "no SIGCHLD");
	expect(info.si_pid == pid && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP,
		"pid %d, code %d, status %d", info.si_pid, info.si_code, info.si_status);
	must(kill(pid, SIGCONT));
	kids_check();
}

/* The blob stops by SIGTRAPs of its own. */
static void treegrp_trap_queued(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTRAP);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(kill(getpid(), SIGTRAP));
	must(pthread_kill(pthread_self(), SIGTRAP));
	target_wait();
	for (int i = 0; i < 2; i++)
		expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == SIGTRAP &&
				info.si_pid == getpid(),
			"SIGTRAP %d: %s", i, strerror(errno));
}

/* ---- semaphores --------------------------------------------------------------------------------
 */

static void owes_too(void *arg)
{
	must(semop(*(int *)arg, &(struct sembuf){ 0, 3, SEM_UNDO }, 1));
	kid_wait();
}

static void treegrp_undo_shared(void)
{
	int set = (int)must(semget(IPC_PRIVATE, 1, 0600));

	must(semop(set, &(struct sembuf){ 0, 2, SEM_UNDO }, 1));
	kid_clone(CLONE_SYSVSEM | SIGCHLD, owes_too, &set);
	target_wait();
	expect(semctl(set, 0, GETVAL) == 5, "value %d", semctl(set, 0, GETVAL));
	kids_check();
	expect(semctl(set, 0, GETVAL) == 5, "value %d at the end", semctl(set, 0, GETVAL));
	must(semctl(set, 0, IPC_RMID));
}

/*
 * In the group of their parent, which a shell could make stop like this. Detached, nobody is left
 * who could see to the group, and SIGTSTP stops nobody in such a one (setpgid(2)).
 */
static void treegrp_stopped_together(void)
{
	int signals[] = { SIGTSTP, SIGTTOU, SIGTSTP }, status;
	siginfo_t info;
	pid_t pids[3];

	must(setpgid(0, 0));
	for (int i = 0; i < 3; i++) {
		pids[i] = kid(kid_idle, NULL);
		must(kill(pids[i], signals[i]));
		must(waitid(P_PID, (id_t)pids[i], &info, WSTOPPED | (i < 2 ? WNOWAIT : 0)));
	}
	target_wait();
	for (int i = 0; i < 2; i++)
		expect(waitpid(pids[i], &status, WUNTRACED | WNOHANG) == pids[i] &&
				WIFSTOPPED(status) && WSTOPSIG(status) == signals[i],
			"stop %d: %x", i, status);
	expect(waitpid(pids[2], &status, WUNTRACED | WNOHANG) == 0, "told twice");
	for (int i = 0; i < 3; i++)
		must(kill(pids[i], SIGCONT));
	kids_check();
}

const struct target targets_tree_group[] = {
	{ "treegrp_founder_moved", treegrp_founder_moved, "a group whose founder is in another",
		0 },
	{ "treegrp_exchanged", treegrp_exchanged, "two in each other's groups", 0 },
	{ "treegrp_ended_alone", treegrp_ended_alone, "a group of ended ones", 0 },
	{ "treegrp_ended_uid", treegrp_ended_uid, "whose an ended one was", 0 },
	{ "treegrp_session_ended", treegrp_session_ended, "two groups of a session", TARGET_BUSY },
	{ "treegrp_session_orphan", treegrp_session_orphan, "an orphan of a child's session", 0 },
	{ "treegrp_stopped_leaderless", treegrp_stopped_leaderless,
		"stopped without a first thread", TARGET_BUSY },
	{ "treegrp_stopped_together", treegrp_stopped_together, "stopped in one group by SIGTSTP",
		TARGET_BUSY },
	{ "treegrp_stop_queued", treegrp_stop_queued, "a queued SIGCHLD of a stop", TARGET_BUSY },
	{ "treegrp_trap_queued", treegrp_trap_queued, "queued SIGTRAPs", 0 },
	{ "treegrp_undo_shared", treegrp_undo_shared, "SEM_UNDO with CLONE_SYSVSEM",
		TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
