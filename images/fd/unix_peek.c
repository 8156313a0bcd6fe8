/* One look at what waits in a unix socket, and at what comes along with it; see unix.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kind.h"
#include "images/fd/unix.h"

/* include/linux/socket.h; not in all headers */
enum { X_SCM_SECURITY = 3, X_SCM_PIDFD = 4 };

/*
 * Room for SCM_MAX_FD descriptors, credentials, a pidfd, a security label and times of arrival;
 * times pass: the restore is when the message arrives again.
 */
enum { CONTROL_SIZE = 4096 };

/* Looking at a message with descriptors duplicates them into our table. */
static void look_rights(const struct cmsghdr *c, struct unix_look *out)
{
	size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	out->had_fds = true;
	for (size_t i = 0; i < nr && out->nr_fds < UNIX_MAX_FDS; i++)
		memcpy(&out->fds[out->nr_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
}

static void look_creds(const struct cmsghdr *c, struct unix_look *out)
{
	struct ucred cred;

	memcpy(&cred, CMSG_DATA(c), sizeof cred);
	out->creds = (struct unix_creds){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
}

/* SO_PASSPIDFD: made by the kernel from the credentials, whenever the message is read. */
static void look_pidfd(const struct cmsghdr *c)
{
	int fd;

	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	if (fd >= 0)
		close(fd);
}

static void look_ancillary(struct msghdr *msg, struct unix_look *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS)
			look_rights(c, out);
		else if (c->cmsg_type == SCM_CREDENTIALS)
			look_creds(c, out);
		else if (c->cmsg_type == X_SCM_PIDFD)
			look_pidfd(c);
		else if (c->cmsg_type == X_SCM_SECURITY)
			out->refused = "the sender's security label (SO_PASSSEC)";
	}
	if (msg->msg_flags & MSG_CTRUNC)
		out->refused = "more ancillary data than fits";
}

ssize_t unix_look(int fd, void *data, size_t len, int flags, struct unix_look *out)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct sockaddr_storage from;
	struct iovec iov = { data, len };
	struct msghdr msg = { &from, sizeof from, &iov, 1, control, sizeof control, 0 };
	ssize_t n;

	memset(out, 0, sizeof *out);
	do
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return n;
	unix_name_from(&from, msg.msg_namelen, &out->from);
	look_ancillary(&msg, out);
	return n;
}

void unix_look_finish(struct unix_look *look)
{
	for (size_t i = 0; i < look->nr_fds; i++)
		close(look->fds[i]);
	look->nr_fds = 0;
}

uint64_t unix_rights_waiting(const char *fdinfo)
{
	uint64_t nr = 0;

	return text_field_dec(fdinfo, "scm_fds", &nr) ? nr : 0;
}

/* Of a listener, those that were sent to it before it has accepted. */
static bool listener_holds(int fd)
{
	char path[64], text[4096];
	OWNED_FD info = -1;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	len = info < 0 ? -1 : read(info, text, sizeof text - 1);
	text[len < 0 ? 0 : len] = '\0';
	return unix_rights_waiting(text) > 0;
}

static int socket_says(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static bool queue_holds(int fd)
{
	int bytes = 0;

	if (socket_says(fd, SO_DOMAIN) != AF_UNIX)
		return false;
	if (socket_says(fd, SO_ACCEPTCONN) > 0)
		return listener_holds(fd);
	return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

bool unix_queues_hold(struct fd_dump *d)
{
	for (uint32_t i = 0; d->fd_of && i < d->snap->nr_ofds; i++) {
		int fd = d->fd_of(d, i);

		if (fd >= 0 && queue_holds(fd))
			return true;
	}
	return false;
}
