/* Connections of unix sockets over which something was sent before anybody accepted them. */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 50000 };

static socklen_t address(struct sockaddr_un *addr, const char *name)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr->sun_path, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int listener(int type, const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);
	int fd = (int)must(socket(AF_UNIX, type, 0)), on = 1;

	must(bind(fd, (struct sockaddr *)&addr, len));
	must(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	must(listen(fd, 8));
	return fd;
}

static int connected(int type, const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);
	int fd = (int)must(socket(AF_UNIX, type, 0));

	must(connect(fd, (struct sockaddr *)&addr, len));
	return fd;
}

static void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251);
}

/* By whom the connection was made, and the message sent that is now read. */
static void comes(int fd, pid_t pid, const char *text)
{
	char data[64] = "", control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { data, strlen(text) + (*text == '\0') };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct ucred cred;
	socklen_t len = sizeof cred;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	expect(n == (ssize_t)strlen(text) && !strcmp(data, text), "%zd bytes, \"%s\"", n, data);
	expect(CMSG_FIRSTHDR(&msg) != NULL, "no credentials");
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof cred);
	expect(cred.pid == pid, "sent by %d, not %d", cred.pid, pid);
	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	expect(cred.pid == pid && cred.uid == getuid(), "connected by %d of %u", cred.pid,
		cred.uid);
}

static void comes_large(int fd)
{
	static char want[LARGE], got[LARGE];
	size_t have = 0;

	fill(want, sizeof want);
	while (have < sizeof got)
		have += (size_t)must(recv(fd, got + have, sizeof got - have, MSG_DONTWAIT));
	expect(!memcmp(want, got, sizeof got), "the bytes are others");
	expect(recv(fd, got, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "there is more");
}

static bool ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static int accepted(int fd)
{
	return (int)must(accept(fd, NULL, NULL));
}

static pid_t child_connects(const char *name)
{
	pid_t child = (pid_t)must(fork());
	int fd;

	if (child == 0) {
		fd = connected(SOCK_STREAM, name);
		must(write(fd, "of a child", 10));
		for (;;)
			pause();
	}
	return child;
}

/* In their order: nothing sent, half closed, a lot, urgent, by a child, closed. */
static void unix_waiting(void)
{
	static char large[LARGE];
	int fd = listener(SOCK_STREAM, "waiting"), client[4], server;
	struct sockaddr_un addr;
	pid_t child;
	char byte;

	for (int i = 0; i < 4; i++)
		client[i] = connected(SOCK_STREAM, "waiting");
	must(write(client[1], "half", 4));
	must(shutdown(client[1], SHUT_WR));
	fill(large, sizeof large);
	must(write(client[2], large, sizeof large));
	must(write(client[3], "ur", 2));
	must(send(client[3], "g", 1, MSG_OOB));
	server = connected(SOCK_STREAM, "waiting");
	must(bind(server, (struct sockaddr *)&addr, address(&addr, "closed")));
	must(write(server, "closed", 6));
	must(close(server));
	child = child_connects("waiting");
	target_wait();

	server = accepted(fd);
	expect(recv(server, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "sent nothing");
	must(write(client[0], "now", 3));
	comes(server, getpid(), "now");
	server = accepted(fd);
	comes(server, getpid(), "half");
	expect(ended(server), "shut down");
	must(write(server, "b", 1));
	expect(read(client[1], &byte, 1) == 1 && byte == 'b', "the other way");
	comes_large(accepted(fd));
	server = accepted(fd);
	expect(recv(server, &byte, 1, MSG_OOB) == 1 && byte == 'g', "urgent byte");
	comes(server, getpid(), "ur");
	server = accepted(fd);
	comes(server, getpid(), "closed");
	expect(ended(server), "closed");
	comes(accepted(fd), child, "of a child");
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
}

static void unix_waiting_packets(void)
{
	int fd = listener(SOCK_SEQPACKET, "packets"), client = connected(SOCK_SEQPACKET, "packets"),
	    server;

	must(send(client, "one", 3, 0));
	must(send(client, "", 0, 0));
	must(send(client, "three", 5, 0));
	target_wait();
	server = accepted(fd);
	comes(server, getpid(), "one");
	comes(server, getpid(), "");
	comes(server, getpid(), "three");
	must(send(client, "four", 4, 0));
	comes(server, getpid(), "four");
}

static int receive_fd(int from)
{
	_Alignas(struct cmsghdr) char control[256];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	int fd = -1;

	must(recvmsg(from, &msg, MSG_DONTWAIT));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	expect(fd >= 0, "no descriptor came along");
	return fd;
}

/* A descriptor that nobody else has, and the client's own end of a second connection. */
static void unix_waiting_rights(void)
{
	int fd = listener(SOCK_STREAM, "rights"), client = connected(SOCK_STREAM, "rights"),
	    second = connected(SOCK_STREAM, "rights"), event = (int)must(eventfd(41, 0)), server;
	uint64_t count;

	send_fd(client, event);
	must(close(event));
	must(write(second, "second", 6));
	send_fd(client, second);
	must(close(second));
	target_wait();
	server = accepted(fd);
	expect(read(receive_fd(server), &count, 8) == 8 && count == 41, "eventfd in flight");
	second = receive_fd(server);
	server = accepted(fd);
	comes(server, getpid(), "second");
	must(write(second, "more", 4));
	comes(server, getpid(), "more");
}

const struct target targets_sock_waiting[] = {
	{ "unix_waiting", unix_waiting, "sent before it was accepted", 0 },
	{ "unix_waiting_packets", unix_waiting_packets, "packets before it was accepted", 0 },
	{ "unix_waiting_rights", unix_waiting_rights, "descriptors before it was accepted",
		TARGET_EITHER },
	{ NULL, NULL, NULL, 0 },
};
