/*
 * What SO_PEERCRED and SO_PEERGROUPS tell of a connection was noted when somebody called listen(2),
 * connect(2) or socketpair(2): so the call is made under that user and those groups, and by a
 * short-lived child that has that process id, where nobody has it. Afterwards only the number is
 * looked at.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "images/fd/common.h"
#include "images/fd/unix.h"

enum { X_SECBIT_NO_SETUID_FIXUP = 1 << 2 }; /* linux/securebits.h: capabilities stay */
enum { MOST_OWN_GROUPS = 1024 };

pid_t unix_creds_pid(const struct fd_make *m, int32_t recorded)
{
	return snap_has_id(m->snap, recorded) ? m->pid_of(m, recorded) : recorded;
}

static void call_make(struct unix_call *call)
{
	int ret = -1;

	switch (call->what) {
	case UNIX_CALL_PAIR:
		ret = socketpair(AF_UNIX, call->type | SOCK_CLOEXEC, 0, call->pair);
		break;
	case UNIX_CALL_LISTEN:
		ret = listen(call->fd, call->backlog);
		break;
	case UNIX_CALL_CONNECT:
		ret = connect(call->fd, (const struct sockaddr *)&call->to, call->to_len);
		break;
	}
	call->error = ret < 0 ? errno : 0;
	call->pid = getpid();
}

/* System calls of this thread alone: glibc would change all threads. */
static int user_set(uint32_t uid, uint32_t gid)
{
	if (syscall(SYS_setresgid, -1, gid, -1) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0)
		return -errno;
	return 0;
}

static int groups_set(const uint32_t *groups, size_t nr)
{
	return (int)syscall(SYS_setgroups, nr, groups);
}

/* Are ours, of which there are nr (-1: nobody knows), others? */
static bool groups_differ(const struct unix_creds *creds, const uint32_t *own, int nr)
{
	return nr >= 0 && ((size_t)nr != creds->nr_groups ||
				  memcmp(own, creds->groups, creds->nr_groups * sizeof *own));
}

static void call_as_user(struct unix_call *call, const struct unix_creds *creds)
{
	uint32_t uid = geteuid(), gid = getegid(), own[MOST_OWN_GROUPS];
	int nr = creds->has_groups ? getgroups(MOST_OWN_GROUPS, own) : -1, bits;
	bool regroup = groups_differ(creds, own, nr);

	if (regroup && groups_set(creds->groups, creds->nr_groups) < 0) {
		log_info("SO_PEERGROUPS of a unix socket tells of other groups");
		regroup = false;
	}
	if (creds->uid == uid && creds->gid == gid) {
		call_make(call);
	} else {
		bits = prctl(PR_GET_SECUREBITS);
		prctl(PR_SET_SECUREBITS, bits | X_SECBIT_NO_SETUID_FIXUP);
		if (user_set(creds->uid, creds->gid) < 0)
			log_info("SO_PEERCRED of a unix socket tells of user %u, not %u", uid,
				creds->uid);
		call_make(call);
		if (user_set(uid, gid) < 0)
			call->error = EPERM;
		prctl(PR_SET_SECUREBITS, bits);
	}
	if (regroup && groups_set(own, (size_t)nr) < 0)
		call->error = EPERM;
}

/* With our table of descriptors, and a copy of our memory but for *call. 0: no such child. */
static bool call_in_child(struct unix_call *call, const struct unix_creds *creds, pid_t pid)
{
	struct clone_args args = {
		.flags = CLONE_FILES, .set_tid = (uintptr_t)&pid, .set_tid_size = 1
	};
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (child < 0)
		return false;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		call_as_user(call, creds);
		_exit(0);
	}
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
	return call->pid == pid;
}

void unix_call_as(const struct fd_make *m, const struct unix_creds *creds, struct unix_call *call)
{
	pid_t pid = creds->pid ? unix_creds_pid(m, creds->pid) : 0;
	struct unix_call *shared = MAP_FAILED;
	bool done = false;

	call->pid = 0;
	if (!pid) {
		call_make(call);
		return;
	}
	if (pid != getpid())
		shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED) {
		*shared = *call;
		done = call_in_child(shared, creds, pid);
		if (done)
			*call = *shared;
		else
			log_info("SO_PEERCRED of a unix socket tells of process %d, not %d",
				getpid(), pid);
		munmap(shared, sizeof *shared);
	}
	if (!done)
		call_as_user(call, creds);
}
