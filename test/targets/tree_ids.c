/* Sessions and process groups of a tree; signals that go to groups. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what a kid must find again ----------------------------------------------------------------
 */

static void kid_of_group(void *arg)
{
	pid_t pgid = *(pid_t *)arg;

	must(setpgid(0, pgid));
	pgid = getpgrp();
	kid_wait();
	expect(getpgrp() == pgid, "group %d, not %d", getpgrp(), pgid);
}

static void kid_keeps_ids(void *arg)
{
	pid_t pgid = getpgrp(), sid = getsid(0);
	bool group_is_ours = arg != NULL;

	kid_wait();
	expect(getsid(0) == sid, "session %d, not %d", getsid(0), sid);
	expect(!group_is_ours || getpgrp() == pgid, "group %d, not %d", getpgrp(), pgid);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

static void treeid_groups(void)
{
	pid_t leader = kid(kid_of_group, &(pid_t){ 0 });

	kid(kid_of_group, &leader);
	kid(kid_of_group, &leader);
	kid(kid_of_group, &(pid_t){ 0 });
	target_wait();
	expect(getpgid(leader) == leader, "leader");
	kids_check();
}

static void member_with_kids(void *arg)
{
	pid_t leader = *(pid_t *)arg;

	kid(kid_of_group, &leader);
	must(setpgid(0, leader));
	kid(kid_keeps_ids, &leader);
	kid(kid_of_group, &(pid_t){ 0 });
	kid_wait();
	expect(getpgrp() == leader, "group");
	kids_check();
}

/* A nephew in the group of its uncle, and a group led by a grandchild which the root's child joins.
 */
static void treeid_nephews(void)
{
	pid_t leader = kid(kid_of_group, &(pid_t){ 0 });

	kid(member_with_kids, &leader);
	kid(member_with_kids, &leader);
	target_wait();
	kids_check();
}

/* The root itself is in a group that its child leads. */
static void treeid_root_joins(void)
{
	pid_t leader = kid(kid_of_group, &(pid_t){ 0 });

	must(setpgid(0, leader));
	kid(kid_keeps_ids, &leader);
	target_wait();
	expect(getpgrp() == leader, "group of the root");
	kids_check();
}

static void treeid_group_leader_gone(void)
{
	pid_t leader = kid(kid_of_group, &(pid_t){ 0 }), member = kid(kid_of_group, &leader);

	kid_check(leader);
	target_wait();
	expect(getpgid(member) == leader, "group %d, not %d", getpgid(member), leader);
	expect(kill(leader, 0) == -1 && errno == ESRCH, "the leader is back");
	must(kill(-leader, 0));
	kids_check();
	expect(kill(-leader, 0) == -1 && errno == ESRCH, "the group is not gone");
}

static void treeid_group_leader_zombie(void)
{
	pid_t leader = kid(kid_of_group, &(pid_t){ 0 }), member = kid(kid_of_group, &leader);

	kid_tell(leader);
	zombie_stands(leader);
	target_wait();
	expect(getpgid(member) == leader && getpgid(leader) == leader, "group");
	kid_reap(leader, 0);
	kids_check();
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

static void leads_session(void *arg)
{
	pid_t self = getpid(), leader;

	(void)arg;
	must(setsid());
	kid(kid_keeps_ids, &self);
	leader = kid(kid_of_group, &(pid_t){ 0 });
	kid(kid_of_group, &leader);
	kid_wait();
	expect(getsid(0) == self && getpgrp() == self, "session");
	kids_check();
}

static void treeid_session(void)
{
	kid(leads_session, NULL);
	kid(leads_session, NULL);
	target_wait();
	kids_check();
}

static void nested_session(void *arg)
{
	int *depth = arg;

	must(setsid());
	if (--*depth > 0)
		kid(nested_session, depth);
	kid_wait();
	expect(getsid(0) == getpid(), "session");
	kids_check();
}

static void treeid_nested(void)
{
	int depth = 5;

	kid(nested_session, &depth);
	target_wait();
	kids_check();
}

/* The child was born before its parent made its own session, and is in the old one. */
static void session_after_child(void *arg)
{
	pid_t old = getsid(0), before = kid(kid_keeps_ids, arg);

	must(setsid());
	kid(kid_keeps_ids, arg);
	kid_wait();
	expect(getsid(0) == getpid(), "session");
	expect(old != getpid() && getsid(before) != getpid(), "session of the older child");
	kids_check();
}

static void treeid_old_session(void)
{
	must(setsid());
	kid(session_after_child, &(pid_t){ 0 });
	target_wait();
	kids_check();
}

/* The root's first child is in the launcher's session. */
static void treeid_root_old_session(void)
{
	pid_t before = kid(kid_idle, NULL);

	must(setsid());
	kid(kid_keeps_ids, &before);
	target_wait();
	expect(getsid(0) == getpid() && getpgrp() == getpid(), "session of the root");
	expect(getsid(before) != getpid(), "session of the older child");
	kids_check();
}

/* A session whose leader ends and leaves a member behind; gives the leader, which is not waited
 * for.
 */
static pid_t session_with_orphan(int tell, int gate, int status)
{
	pid_t leader = (pid_t)must(fork()), self;
	char byte;

	if (leader != 0)
		return leader;
	must(setsid());
	leader = getpid();
	if (must(fork()) != 0)
		_exit(status);
	while (getppid() == leader)
		usleep(1000);
	self = getpid();
	must(write(tell, &self, sizeof self));
	must(read(gate, &byte, 1));
	expect(getsid(0) == leader && getpgrp() == leader, "session %d, not %d", getsid(0), leader);
	_exit(0);
}

static void treeid_session_leader_gone(void)
{
	pid_t leader, orphan;
	int tell[2], gate[2];

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(pipe(tell));
	must(pipe(gate));
	leader = session_with_orphan(tell[1], gate[0], 0);
	must(waitpid(leader, NULL, 0));
	must(read(tell[0], &orphan, sizeof orphan));
	target_wait();
	expect(getsid(orphan) == leader, "session %d, not %d", getsid(orphan), leader);
	expect(kill(leader, 0) == -1 && errno == ESRCH, "the leader is back");
	must(write(gate[1], "x", 1));
	kid_reap(orphan, 0);
}

static void treeid_session_leader_zombie(void)
{
	pid_t leader, orphan;
	int tell[2], gate[2], status;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(pipe(tell));
	must(pipe(gate));
	leader = session_with_orphan(tell[1], gate[0], 3);
	zombie_stands(leader);
	must(read(tell[0], &orphan, sizeof orphan));
	target_wait();
	expect(getsid(orphan) == leader && getsid(leader) == leader, "session");
	expect(waitpid(leader, &status, 0) == leader && WEXITSTATUS(status) == 3, "leader");
	must(write(gate[1], "x", 1));
	kid_reap(orphan, 0);
}

/* ---- signals to groups -------------------------------------------------------------------------
 */

static volatile sig_atomic_t nr_usr1;

static void count_usr1(int signal)
{
	(void)signal;
	nr_usr1++;
}

struct counting {
	pid_t group;
	int wanted;
};

static void counts(void *arg)
{
	struct counting *c = arg;

	must(sigaction(SIGUSR1,
		&(struct sigaction){ .sa_handler = count_usr1, .sa_flags = SA_RESTART }, NULL));
	must(setpgid(0, c->group));
	kid_wait();
	expect(nr_usr1 == c->wanted, "%d signals, not %d", nr_usr1, c->wanted);
}

static void treeid_kill(void)
{
	struct counting a = { .wanted = 1 }, b = { .wanted = 0 };

	a.group = kid(counts, &a);
	kid(counts, &a);
	b.group = kid(counts, &b);
	kid(counts, &b);
	target_wait();
	must(kill(-a.group, SIGUSR1));
	kids_check();
}

const struct target targets_tree_ids[] = {
	{ "treeid_groups", treeid_groups, "groups joined by siblings", 0 },
	{ "treeid_nephews", treeid_nephews, "groups joined by nephews", 0 },
	{ "treeid_root_joins", treeid_root_joins, "a group that a child leads", 0 },
	{ "treeid_group_leader_gone", treeid_group_leader_gone, "a group whose leader is gone", 0 },
	{ "treeid_group_leader_zombie", treeid_group_leader_zombie,
		"a group whose leader is a zombie", 0 },
	{ "treeid_session", treeid_session, "sessions with groups", 0 },
	{ "treeid_nested", treeid_nested, "sessions below sessions", 0 },
	{ "treeid_old_session", treeid_old_session, "a child in its parent's old session", 0 },
	{ "treeid_root_old_session", treeid_root_old_session, "a child in the launcher's session",
		0 },
	{ "treeid_session_leader_gone", treeid_session_leader_gone,
		"a session whose leader is gone", 0 },
	{ "treeid_session_leader_zombie", treeid_session_leader_zombie,
		"a session whose leader is a zombie", 0 },
	{ "treeid_kill", treeid_kill, "signals to groups reach their members", 0 },
	{ NULL, NULL, NULL, 0 },
};
