/* Unix sockets: pairs, listeners, bound and connected ones, what is queued in them. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Relative paths: sun_path is short, scratch directories are not. '@' in front: abstract. */
static socklen_t address(struct sockaddr_un *addr, const char *name)
{
	size_t len = strlen(name);

	memset(addr, 0, sizeof *addr);
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, name, len);
	if (name[0] == '@')
		addr->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@'));
}

static int bound(int type, const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);
	int fd = (int)must(socket(AF_UNIX, type, 0));

	must(bind(fd, (struct sockaddr *)&addr, len));
	return fd;
}

static int listener(int type, const char *name, int backlog)
{
	int fd = bound(type, name);

	must(listen(fd, backlog));
	return fd;
}

static int try_connect(int type, const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);
	int fd = (int)must(socket(AF_UNIX, type, 0));

	if (connect(fd, (struct sockaddr *)&addr, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connected(int type, const char *name)
{
	int fd = try_connect(type, name);

	expect(fd >= 0, "connect to %s: %s", name, strerror(errno));
	return fd;
}

static bool name_is(int fd, const char *name)
{
	struct sockaddr_un want, got;
	socklen_t want_len = address(&want, name), len = sizeof got;

	must(getsockname(fd, (struct sockaddr *)&got, &len));
	return len == want_len && memcmp(&want, &got, len) == 0;
}

static void says(int from, int to, const char *text)
{
	char got[64] = "";

	must(write(from, text, strlen(text)));
	must(read(to, got, sizeof got - 1));
	expect(strcmp(got, text) == 0, "\"%s\" came as \"%s\"", text, got);
}

/* ---- pairs
 * -----------------------------------------------------------------------------------------------------
 */

static void unix_pair(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int pairs[3][2];

	for (int i = 0; i < 3; i++)
		must(socketpair(
			AF_UNIX, types[i] | (i ? SOCK_CLOEXEC : SOCK_NONBLOCK), 0, pairs[i]));
	target_wait();
	for (int i = 0; i < 3; i++) {
		says(pairs[i][0], pairs[i][1], "there");
		says(pairs[i][1], pairs[i][0], "and back");
	}
	expect(fcntl(pairs[0][1], F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
	expect(fcntl(pairs[1][1], F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC");
}

static void unix_pair_queued(void)
{
	int pair[2];
	char data[30000];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pattern_fill(data, sizeof data, 1);
	must(write(pair[0], data, 100));
	must(write(pair[0], data + 100, sizeof data - 100));
	must(write(pair[1], "other way", 9));
	target_wait();
	expect(recv(pair[1], data, sizeof data, MSG_WAITALL) == sizeof data &&
			pattern_is(data, sizeof data, 1),
		"contents");
	expect(read(pair[0], data, 100) == 9 && memcmp(data, "other way", 9) == 0,
		"contents the other way");
	expect(recv(pair[0], data, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN,
		"more than was written");
}

/* All that goes in by blocks that the kernel cuts in its way, less what was read; and packets of a
 * sender that has got a smaller buffer since. Who is full stays full. */
static void unix_full(void)
{
	enum { BLOCK = 128 << 10, READ = 21440, PACKET = 30000, NR = 5, NR_TINY = 200 };
	static char data[2 * BLOCK], got[4 * BLOCK];
	int pair[2], packets[2], tiny[2], before[2], value[2] = { 0 };
	size_t sent = 0;
	socklen_t len = sizeof(int);
	ssize_t n;

	pattern_fill(data, sizeof data, 3);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	while ((n = send(pair[0], data, BLOCK, MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	must(recv(pair[1], got, READ, MSG_WAITALL));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
	for (int i = 0; i < NR; i++)
		must(send(packets[0], data, PACKET, MSG_DONTWAIT));
	sock_set(packets[0], SOL_SOCKET, SO_SNDBUF, 10000);
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, tiny));
	for (int i = 0; i < NR_TINY; i++)
		n = send(tiny[0], "x", 1, MSG_DONTWAIT);
	sock_set(tiny[0], SOL_SOCKET, SO_SNDBUF, 1);
	before[0] = sock_option(pair[0], SOL_SOCKET, SO_SNDBUF);
	before[1] = sock_option(packets[0], SOL_SOCKET, SO_SNDBUF);
	target_wait();
	must(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &value[0], &len));
	must(getsockopt(packets[0], SOL_SOCKET, SO_SNDBUF, &value[1], &len));
	expect(value[0] == before[0] && value[1] == before[1], "SO_SNDBUF");
	expect(send(packets[0], "x", 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "room in there");
	expect(recv(pair[1], got, sent - READ, MSG_WAITALL) == (ssize_t)(sent - READ), "bytes");
	expect(!memcmp(got, data + READ, BLOCK - READ) &&
			!memcmp(got + BLOCK - READ, data, BLOCK / 2),
		"other bytes");
	for (int i = 0; i < NR; i++)
		expect(recv(packets[1], got, sizeof got, 0) == PACKET && !memcmp(got, data, PACKET),
			"packet %d", i);
	for (n = 0; recv(tiny[1], got, sizeof got, MSG_DONTWAIT) == 1;)
		n++;
	expect(n >= 10, "%zd tiny packets", n);
}

static void unix_packets(void)
{
	static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
	int pairs[2][2];
	char data[3000];

	for (int i = 0; i < 2; i++) {
		must(socketpair(AF_UNIX, types[i], 0, pairs[i]));
		for (uint32_t packet = 0; packet < 5; packet++) {
			pattern_fill(data, 10 + packet * 500, packet);
			must(send(pairs[i][0], data, 10 + packet * 500, 0));
		}
		must(send(pairs[i][0], "", 0, 0));
	}
	target_wait();
	for (int i = 0; i < 2; i++) {
		for (uint32_t packet = 0; packet < 5; packet++)
			expect(recv(pairs[i][1], data, sizeof data, 0) == 10 + packet * 500 &&
					pattern_is(data, 10 + packet * 500, packet),
				"packet %u of type %d", packet, types[i]);
		expect(recv(pairs[i][1], data, sizeof data, MSG_DONTWAIT) == 0, "the empty packet");
	}
}

/* One end closed: data, then end of file. And both directions shut down by themselves. */
static void unix_half(void)
{
	int closed[2], shut[2];
	char data[16];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, closed));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, shut));
	must(write(closed[1], "last words", 10));
	close(closed[1]);
	must(write(shut[1], "last", 4));
	must(shutdown(shut[1], SHUT_WR));
	target_wait();
	expect(read(closed[0], data, 16) == 10 && read(closed[0], data, 16) == 0, "closed end");
	expect(send(closed[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE,
		"somebody at the closed end");
	expect(read(shut[0], data, 16) == 4 && read(shut[0], data, 16) == 0,
		"end that was shut down");
	says(shut[0], shut[1], "still open");
	expect(send(shut[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE,
		"shutdown is forgotten");
}

static void unix_options(void)
{
	int pair[2], value = 0;
	struct timeval timeout = { 3, 400000 }, got;
	socklen_t len = sizeof value;

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	must(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)));
	must(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){ 30000 }, sizeof(int)));
	must(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
	must(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &(int){ 5 }, sizeof(int)));
	target_wait();
	must(getsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &value, &len));
	expect(value == 1, "SO_PASSCRED");
	must(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &value, &len));
	expect(value == 60000, "SO_SNDBUF %d", value);
	len = sizeof got;
	must(getsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	expect(got.tv_sec == 3 && got.tv_usec == 400000, "SO_RCVTIMEO");
}

/* ---- listeners
 * ---------------------------------------------------------------------------------------------------
 */

static void check_listener(int fd, int type, const char *name)
{
	int client, server;

	expect(name_is(fd, name), "name of %s", name);
	client = connected(type, name);
	server = (int)must(accept(fd, NULL, NULL));
	says(client, server, "hello");
	close(client);
	close(server);
}

static void unix_listen(void)
{
	int path = listener(SOCK_STREAM, "listen", 5),
	    packets = listener(SOCK_SEQPACKET | SOCK_NONBLOCK, "packets", 128);
	char abstract[64];
	int fd;

	snprintf(abstract, sizeof abstract, "@snapctl-test-%d", getpid());
	fd = listener(SOCK_STREAM, abstract, 1);
	must(chmod("listen", 0640));
	target_wait();
	check_listener(path, SOCK_STREAM, "listen");
	check_listener(packets, SOCK_SEQPACKET, "packets");
	check_listener(fd, SOCK_STREAM, abstract);
	struct stat st;
	must(stat("listen", &st));
	expect((st.st_mode & 0777) == 0640, "mode of the path %o", st.st_mode);
}

/* Bound as listen.tmp, and called listen by now: the name of the socket is the old one. */
static void check_renamed(int fd)
{
	int client, server;

	target_wait();
	expect(name_is(fd, "listen.tmp"), "name");
	client = connected(SOCK_STREAM, "listen");
	server = (int)must(accept(fd, NULL, NULL));
	says(client, server, "hello");
	expect(try_connect(SOCK_STREAM, "listen.tmp") == -1, "the old name is there again");
}

/* As haproxy does. */
static void unix_renamed(void)
{
	int fd = listener(SOCK_STREAM, "listen.tmp", 5);

	must(rename("listen.tmp", "listen"));
	check_renamed(fd);
}

/* As supervisord does, which would not take a name away from another: /proc calls it deleted. */
static void unix_linked(void)
{
	int fd = listener(SOCK_STREAM, "listen.tmp", 5);

	must(link("listen.tmp", "listen"));
	must(unlink("listen.tmp"));
	check_renamed(fd);
}

static void unix_unlinked(void)
{
	int fd = listener(SOCK_STREAM, "listen", 5);

	must(unlink("listen"));
	target_wait();
	expect(name_is(fd, "listen"), "name");
	expect(access("listen", F_OK) == -1, "the removed path is there again");
	must(fcntl(fd, F_SETFL, O_NONBLOCK));
	expect(accept(fd, NULL, NULL) == -1 && errno == EAGAIN, "accept: %s", strerror(errno));
}

/* Another listener has taken over the path. */
static void unix_replaced(void)
{
	int old = listener(SOCK_STREAM, "listen", 5), new, client, server;

	must(unlink("listen"));
	new = listener(SOCK_STREAM, "listen", 5);
	target_wait();
	client = connected(SOCK_STREAM, "listen");
	server = (int)must(accept(new, NULL, NULL));
	says(client, server, "to the new one");
	expect(name_is(old, "listen"), "name of the old one");
}

/* Bound while another directory was the working directory. */
static void unix_other_cwd(void)
{
	int fd;

	must(mkdir("sub", 0755));
	must(chdir("sub"));
	fd = listener(SOCK_STREAM, "listen", 5);
	must(chdir(".."));
	target_wait();
	expect(name_is(fd, "listen"), "name");
	connected(SOCK_STREAM, "sub/listen");
}

/* ---- connections
 * ----------------------------------------------------------------------------------------------------
 */

static void unix_connected(void)
{
	int fd = listener(SOCK_STREAM, "listen", 5), client = connected(SOCK_STREAM, "listen");
	int server = (int)must(accept(fd, NULL, NULL));
	struct sockaddr_un peer;
	socklen_t len = sizeof peer;
	char data[16];

	must(write(client, "queued", 6));
	target_wait();
	must(getpeername(client, (struct sockaddr *)&peer, &len));
	expect(strcmp(peer.sun_path, "listen") == 0, "peer %s", peer.sun_path);
	expect(name_is(server, "listen"), "name of the accepted one");
	expect(read(server, data, 16) == 6, "queued data");
	says(server, client, "hello");
	check_listener(fd, SOCK_STREAM, "listen");
}

/* A connection that nobody has accepted yet, with data in it. */
static void unix_not_accepted(void)
{
	int fd = listener(SOCK_STREAM, "listen", 5), client = connected(SOCK_STREAM, "listen"),
	    server;
	char data[16];

	must(write(client, "early", 5));
	target_wait();
	server = (int)must(accept(fd, NULL, NULL));
	expect(read(server, data, 16) == 5, "queued data");
	says(server, client, "hello");
}

static void unix_dgram(void)
{
	int server = bound(SOCK_DGRAM, "server"), client = bound(SOCK_DGRAM, "client");
	struct sockaddr_un addr, from;
	socklen_t len = address(&addr, "server");
	char data[64];

	must(connect(client, (struct sockaddr *)&addr, len));
	must(write(client, "first", 5));
	target_wait();
	len = sizeof from;
	expect(recvfrom(server, data, sizeof data, 0, (struct sockaddr *)&from, &len) == 5,
		"queued datagram");
	expect(strcmp(from.sun_path, "client") == 0, "sender %s", from.sun_path);
	must(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, len));
	expect(read(client, data, sizeof data) == 6, "answer");
	says(client, server, "second");
}

/* Neither bound nor connected. */
static void unix_fresh(void)
{
	int stream = (int)must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)),
	    bound_only = bound(SOCK_STREAM, "bound");
	int fd = listener(SOCK_STREAM, "listen", 5);
	struct sockaddr_un addr;
	socklen_t len = address(&addr, "listen");

	target_wait();
	must(connect(stream, (struct sockaddr *)&addr, len));
	must(listen(bound_only, 5));
	check_listener(bound_only, SOCK_STREAM, "bound");
	must(accept(fd, NULL, NULL));
}

/* A descriptor on its way from one socket to another. */
static void unix_in_flight(void)
{
	int pair[2], pipes[2];
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(pipe(pipes));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &pipes[1], sizeof(int));
	must(sendmsg(pair[0], &msg, 0));
	close(pipes[1]);
	target_wait();
	must(recvmsg(pair[1], &msg, 0));
	cmsg = CMSG_FIRSTHDR(&msg);
	expect(cmsg && cmsg->cmsg_type == SCM_RIGHTS, "the descriptor is lost");
	memcpy(&pipes[1], CMSG_DATA(cmsg), sizeof(int));
	says(pipes[1], pipes[0], "through it");
}

/* One byte, and the descriptor that has to come with it. */
static int receive_fd(int from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *cmsg;
	int fd;

	must(recvmsg(from, &msg, 0));
	cmsg = CMSG_FIRSTHDR(&msg);
	expect(cmsg && cmsg->cmsg_type == SCM_RIGHTS, "a descriptor is lost");
	memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
	return fd;
}

/* A file with its position, an eventfd, and a socket with data and a descriptor in its own queue.
 */
static void send_three(int to)
{
	int file = file_make("in flight", 100, 7, O_RDWR), event = (int)must(eventfd(42, 0)),
	    inner[2];

	must(lseek(file, 50, SEEK_SET));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, inner));
	must(write(inner[0], "deep", 4));
	send_fd(inner[0], event);
	send_fd(to, file);
	send_fd(to, event);
	send_fd(to, inner[1]);
	close(file);
	close(event);
	close(inner[0]);
	close(inner[1]);
}

static void expect_three(int from)
{
	int file = receive_fd(from), event = receive_fd(from), inner = receive_fd(from), same;
	uint64_t count;
	char data[8];

	expect(lseek(file, 0, SEEK_CUR) == 50, "position of the file");
	expect(read(inner, data, 8) == 4 && !memcmp(data, "deep", 4), "data of the inner socket");
	same = receive_fd(inner);
	must(write(same, &(uint64_t){ 8 }, 8));
	expect(read(event, &count, 8) == 8 && count == 50, "the eventfds are not one");
}

static void unix_rights(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int pair[3][2];

	for (int i = 0; i < 3; i++) {
		must(socketpair(AF_UNIX, types[i], 0, pair[i]));
		send_three(pair[i][0]);
	}
	target_wait();
	for (int i = 0; i < 3; i++)
		expect_three(pair[i][1]);
}

static void expect_ucred(int fd, pid_t pid, uid_t uid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	char data[8];
	struct iovec iov = { data, sizeof data };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct ucred cred;

	expect(recvmsg(fd, &msg, 0) == 2, "bytes of a message");
	expect(CMSG_FIRSTHDR(&msg) != NULL, "no credentials");
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof cred);
	expect(cred.pid == pid && cred.uid == uid, "message of process %d, uid %u, not %d, %u",
		cred.pid, cred.uid, pid, uid);
}

/* Messages of this process and of a child that is gone. */
static void unix_creds(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int pair[3][2], on = 1;
	pid_t child[3];

	for (int i = 0; i < 3; i++) {
		must(socketpair(AF_UNIX, types[i], 0, pair[i]));
		must(setsockopt(pair[i][1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
		must(write(pair[i][0], "me", 2));
		child[i] = (pid_t)must(fork());
		if (child[i] == 0)
			_exit(write(pair[i][0], "it", 2) != 2);
		must(waitpid(child[i], NULL, 0));
	}
	target_wait();
	for (int i = 0; i < 3; i++) {
		expect_ucred(pair[i][1], getpid(), getuid());
		expect_ucred(pair[i][1], child[i], getuid());
	}
}

/* Connections that nobody has accepted yet: one plain, one shut down, one with a name. */
static void unix_pending(void)
{
	int fd = listener(SOCK_STREAM, "pending", 5), client[3], server[3];
	char data[4];

	client[0] = connected(SOCK_STREAM, "pending");
	client[1] = connected(SOCK_STREAM, "pending");
	must(shutdown(client[1], SHUT_WR));
	client[2] = connected(SOCK_STREAM, "pending");
	target_wait();
	for (int i = 0; i < 3; i++)
		server[i] = (int)must(accept(fd, NULL, NULL));
	says(client[0], server[0], "first");
	expect(read(server[1], data, 4) == 0, "the second was shut down");
	says(server[1], client[1], "back");
	says(client[2], server[2], "third");
}

const struct target targets_sock_unix[] = {
	{ "unix_pair", unix_pair, "socket pairs of three types", 0 },
	{ "unix_pair_queued", unix_pair_queued, "queued bytes", 0 },
	{ "unix_full", unix_full, "as much as can be queued", 0 },
	{ "unix_packets", unix_packets, "queued packets", 0 },
	{ "unix_half", unix_half, "one end closed or shut down", 0 },
	{ "unix_options", unix_options, "options", 0 },
	{ "unix_listen", unix_listen, "listeners: path, abstract, seqpacket", 0 },
	{ "unix_renamed", unix_renamed, "a path renamed after bind", 0 },
	{ "unix_linked", unix_linked, "a path that got another name, and lost the first", 0 },
	{ "unix_unlinked", unix_unlinked, "a path removed after bind", 0 },
	{ "unix_replaced", unix_replaced, "a path taken over by another listener", 0 },
	{ "unix_other_cwd", unix_other_cwd, "bound in another working directory", 0 },
	{ "unix_connected", unix_connected, "connection inside the process", 0 },
	{ "unix_not_accepted", unix_not_accepted, "connection not yet accepted, data in it", 0 },
	{ "unix_dgram", unix_dgram, "datagram sockets with names", 0 },
	{ "unix_fresh", unix_fresh, "neither connected nor listening", 0 },
	{ "unix_in_flight", unix_in_flight, "a descriptor in flight (SCM_RIGHTS)", 0 },
	{ "unix_rights", unix_rights, "descriptors in flight, also in each other", 0 },
	{ "unix_creds", unix_creds, "senders' credentials in queues", 0 },
	{ "unix_pending", unix_pending, "connections waiting to be accepted", 0 },
	{ NULL, NULL, NULL, 0 },
};
