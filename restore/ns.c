/* A pid namespace for one restored program, and its init; see ns.h. */
#include "restore/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

static int proc_write(const char *path, const char *text, struct err *err)
{
	OWNED_FD fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(err, "write %s", path);
	return 0;
}

/* Without privilege only our own ids can be mapped, and supplementary groups cannot be changed. */
static int userns_map(uid_t uid, gid_t gid, struct err *err)
{
	char uids[40], gids[40];

	snprintf(uids, sizeof uids, "%u %u 1", uid, uid);
	snprintf(gids, sizeof gids, "%u %u 1", gid, gid);
	if (proc_write("/proc/self/setgroups", "deny", err) < 0 ||
		proc_write("/proc/self/uid_map", uids, err) < 0 ||
		proc_write("/proc/self/gid_map", gids, err) < 0)
		return -err->code;
	return 0;
}

static int init_mounts(struct err *err)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make mounts private");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
		err_sys(err, "mount /proc in the new namespace");
		return err_hint(err, "use --pids=new, or --pids=keep as root");
	}
	return 0;
}

/* Threads of ours come and go while ids of the image are needed. Where it cannot be said, chance
 * has to do. */
static void ids_begin(int32_t above)
{
	char text[16];

	snprintf(text, sizeof text, "%d", above);
	proc_write("/proc/sys/kernel/ns_last_pid", text, &(struct err){ 0 });
}

static int namespaces_make(struct ns *ns, struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare((ns->userns ? CLONE_NEWUSER : 0) | CLONE_NEWPID | CLONE_NEWNS) < 0) {
		err_sys(err, "make a pid namespace");
		return err_hint(err, "use --pids=new%s", ns->userns ? ", or restore as root" : "");
	}
	ns->made = true;
	if (!ns->userns || userns_map(uid, gid, err) == 0)
		return 0;
	return err_hint(err, "use --pids=new, or --pids=keep as root");
}

int ns_make(struct ns *ns, int *inside, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	ns->report = pair[0];
	*inside = pair[1];
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0)
		err_sys(err, "socketpair");
	else if (namespaces_make(ns, err) == 0)
		return 0;
	fd_close(&ns->report);
	close(pair[1]);
	return -err->code;
}

int ns_begin(const struct ns *ns, struct err *err)
{
	if (init_mounts(err) < 0)
		return -err->code;
	ids_begin(ns->above);
	return 0;
}

int ns_enter(struct ns *ns, bool stays, struct err *err)
{
	int inside;

	if (ns_make(ns, &inside, err) < 0)
		return -err->code;
	ns->init = fork();
	if (ns->init) {
		close(inside);
		return ns->init < 0 ? err_sys(err, "start the init of a pid namespace") : 0;
	}
	close(ns->report);
	ns->report = inside;
	if (!stays && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "prctl");
	return ns_begin(ns, err);
}

/* The kernel translates the pid in SCM_CREDENTIALS into the receiver's namespace (unix(7)). */
void ns_report(struct ns *ns, pid_t pid, const struct err *err)
{
	static const struct err none;
	struct iovec iov = { (void *)(uintptr_t)(err ? err : &none), sizeof *err };
	struct ucred cred = { pid ? pid : getpid(), geteuid(), getegid() };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof cred)];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.room };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_CREDENTIALS;
	control.head.cmsg_len = CMSG_LEN(sizeof cred);
	memcpy(CMSG_DATA(&control.head), &cred, sizeof cred);
	/* Should it fail, the other side sees the end of file and says so. */
	while (sendmsg(ns->report, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	if (!pid)
		fd_close(&ns->report);
}

/* What has been reported, with whose pid; false: nothing, whole. */
static bool ns_hear(const struct ns *ns, int flags, struct err *theirs, pid_t *pid)
{
	struct iovec iov = { theirs, sizeof *theirs };
	struct ucred cred = { 0 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof cred)];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	ssize_t n;

	do
		n = recvmsg(ns->report, &msg, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n != sizeof *theirs || !CMSG_FIRSTHDR(&msg))
		return false;
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof cred);
	*pid = cred.pid;
	return true;
}

int ns_wait(struct ns *ns, pid_t *pid, struct err *err)
{
	struct err theirs = { 0 }, last = { 0 };
	bool heard = ns_hear(ns, 0, &theirs, pid);

	/* An init is not gone before all others are reaped. */
	if (ns->maker) {
		waitpid(ns->maker, NULL, 0);
		if (heard && ns_hear(ns, MSG_DONTWAIT, &last, &(pid_t){ 0 }))
			theirs = last;
	}
	if (heard && !theirs.code)
		return 0;
	kill(ns->init, SIGKILL);
	waitpid(ns->init, NULL, 0);
	if (!heard)
		return err_set(err, ECHILD, "the init of the new pid namespace ended unexpectedly");
	*err = theirs;
	return -err->code;
}
