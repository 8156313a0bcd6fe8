/* Unix sockets whose names outlive their files or their owners, and who it was that connected. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { X_SO_PEERGROUPS = 59 };

/* A sun_path that begins with '@' is abstract. */
static socklen_t address(struct sockaddr_un *addr, const char *name)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(addr->sun_path, sizeof addr->sun_path, "%s", name);
	if (name[0] == '@')
		addr->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) +
			   (name[0] != '@'));
}

static int bound(int type, const char *name)
{
	int fd = (int)must(socket(AF_UNIX, type, 0));
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);

	must(bind(fd, (struct sockaddr *)&addr, len));
	return fd;
}

static int listening(const char *name)
{
	int fd = bound(SOCK_STREAM, name);

	must(listen(fd, 5));
	return fd;
}

static int connect_to(int fd, const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = address(&addr, name);

	must(connect(fd, (struct sockaddr *)&addr, len));
	return fd;
}

static int client_of(const char *name)
{
	return connect_to((int)must(socket(AF_UNIX, SOCK_STREAM, 0)), name);
}

static void expect_name(const struct sockaddr_un *is, socklen_t len, const char *be)
{
	struct sockaddr_un addr;

	expect(len == address(&addr, be) && !memcmp(is, &addr, len), "a name is not %s", be);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Unlinked, and another file or another program's socket has its place; one with two names. */
static void name_taken(void)
{
	int gone = listening("taken"), client = client_of("taken"), twice = listening("one");
	int end = (int)must(accept(gone, NULL, NULL)), file;
	struct sockaddr_un addr;
	socklen_t len = sizeof addr;
	struct stat st;

	must(unlink("taken"));
	file = (int)must(open("taken", O_CREAT | O_WRONLY | O_EXCL, 0600));
	must(write(file, "mine", 4));
	must(link("one", "two"));
	target_wait();
	must(stat("taken", &st));
	expect(S_ISREG(st.st_mode) && st.st_size == 4, "the file has changed");
	must(getsockname(gone, (struct sockaddr *)&addr, &len));
	expect_name(&addr, len, "taken");
	must(send(client, "x", 1, 0));
	expect(recv(end, &(char){ 0 }, 1, MSG_DONTWAIT) == 1, "the connection is lost");
	client_of("one");
	client_of("two");
	must(accept(twice, NULL, NULL));
	must(accept(twice, NULL, NULL));
}

/* ---- closed senders -------------------------------------------------------------------------- */

static void expect_from(int fd, const char *sender)
{
	struct sockaddr_un from;
	socklen_t len = sizeof from;

	expect(recvfrom(fd, &(char){ 0 }, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len) == 1,
		"a datagram is lost: %s", strerror(errno));
	expect_name(&from, len, sender);
}

/* Datagrams and connections of sockets that were closed since: who they were is still told. */
static void name_closed(void)
{
	int box = bound(SOCK_DGRAM, "box"), listener = listening("listener"), sender, end;
	char absolute[100], abstract[32];
	struct sockaddr_un addr;
	socklen_t len;

	must(mkdir("removed", 0700));
	if (!getcwd(absolute, 60))
		target_skip("a short path");
	strcat(absolute, "/removed/sender");
	snprintf(abstract, sizeof abstract, "@snaptest-%d", getpid());
	const char *names[] = { "left", absolute, abstract };
	for (int i = 0; i < 3; i++) {
		sender = bound(SOCK_DGRAM, names[i]);
		len = address(&addr, "box");
		must(sendto(sender, "x", 1, 0, (struct sockaddr *)&addr, len));
		close(sender);
	}
	must(unlink(absolute));
	must(rmdir("removed"));
	sender = connect_to(bound(SOCK_STREAM, "client"), "listener");
	end = (int)must(accept(listener, NULL, NULL));
	close(sender);
	target_wait();
	for (int i = 0; i < 3; i++)
		expect_from(box, names[i]);
	len = sizeof addr;
	must(getpeername(end, (struct sockaddr *)&addr, &len));
	expect_name(&addr, len, "client");
	expect(access("removed", F_OK) < 0, "a directory is back");
	expect(access("left", F_OK) == 0, "a file is gone");
}

/* ---- who connected --------------------------------------------------------------------------- */

static void expect_groups(int fd, const gid_t *be, size_t nr)
{
	gid_t is[64];
	socklen_t len = sizeof is;

	must(getsockopt(fd, SOL_SOCKET, X_SO_PEERGROUPS, is, &len));
	expect(len == nr * sizeof *is && !memcmp(is, be, len), "%zu groups", len / sizeof *is);
}

static int in_flight(int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2];

	*c = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS
	};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(sendmsg(pair[0], &msg, 0));
	close(fd);
	return pair[1];
}

/*
 * SO_PEERGROUPS of what was made with other groups; those who wait to be accepted have the options
 * of the listener, and one of them is in flight.
 */
static void name_groups(void)
{
	gid_t before[] = { 7, 8, 9 }, after[] = { 100 };
	int pair[2], listener, client, end[2];

	if (setgroups(3, before) < 0)
		target_skip("setgroups(2)");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(setgroups(1, after));
	listener = listening("waited");
	sock_set(listener, SOL_SOCKET, SO_PASSCRED, 1);
	client = client_of("waited");
	in_flight(client_of("waited"));
	target_wait();
	expect_groups(pair[0], before, 3);
	for (int i = 0; i < 2; i++)
		end[i] = (int)must(accept(listener, NULL, NULL));
	expect_groups(end[0], after, 1);
	expect(sock_option(end[0], SOL_SOCKET, SO_PASSCRED), "SO_PASSCRED");
	must(send(client, "x", 1, 0));
	expect(recv(end[0], &(char){ 0 }, 1, MSG_DONTWAIT) == 1, "they are out of order");
}

const struct target targets_sock_name[] = {
	{ "name_taken", name_taken, "a unix socket whose place is taken, one with two names", 0 },
	{ "name_closed", name_closed, "what closed unix sockets have sent, under their names", 0 },
	{ "name_groups", name_groups, "SO_PEERGROUPS; options of those who wait", 0 },
	{ NULL, NULL, NULL, 0 },
};
