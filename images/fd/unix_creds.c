/*
 * Messages that carry their sender's credentials (SCM_CREDENTIALS). The kernel wants the sender's
 * process id to exist when the message is sent; afterwards only the number is looked at. So where
 * nobody has the id yet, a short-lived child takes it.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "images/fd/unix.h"

enum { CREDS_CONTROL = CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(UNIX_MAX_FDS * sizeof(int)) };

/* A child that does nothing but have this id. It is never seen by anybody: no signal at its end. */
static pid_t placeholder_begin(pid_t want)
{
	pid_t set_tid = want, child;
	struct clone_args args = { .set_tid = (uintptr_t)&set_tid, .set_tid_size = 1 };

	child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (child != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void placeholder_end(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static ssize_t send_with(
	int fd, const struct msghdr *msg, const struct unix_creds *creds, pid_t pid, int flags)
{
	_Alignas(struct cmsghdr) char control[CREDS_CONTROL];
	struct ucred cred = { pid, creds->uid, creds->gid };
	struct msghdr with = *msg;
	struct cmsghdr *c = (void *)control;

	memset(control, 0, sizeof control);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof cred);
	memcpy(CMSG_DATA(c), &cred, sizeof cred);
	if (msg->msg_controllen)
		memcpy(control + CMSG_SPACE(sizeof cred), msg->msg_control, msg->msg_controllen);
	with.msg_control = control;
	with.msg_controllen = CMSG_SPACE(sizeof cred) + msg->msg_controllen;
	return sendmsg(fd, &with, flags);
}

ssize_t unix_send_as(const struct fd_make *m, int fd, const struct msghdr *msg,
	const struct unix_creds *creds, int flags)
{
	pid_t pid = unix_creds_pid(m, creds->pid), child;
	ssize_t n = send_with(fd, msg, creds, pid, flags);

	if (n < 0 && errno == ESRCH) {
		child = placeholder_begin(pid);
		if (child > 0) {
			n = send_with(fd, msg, creds, pid, flags);
			placeholder_end(child);
		}
	}
	if (n >= 0 || errno == EAGAIN || errno == EINTR)
		return n;
	log_warn("a queued message of process %d (uid %u, gid %u) comes back as one of snapctl: %s",
		creds->pid, creds->uid, creds->gid, strerror(errno));
	return sendmsg(fd, msg, flags);
}
