/* Sockets in states that few programs leave them in. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- IP -------------------------------------------------------------------------------------- */

static void odd_sock_stream_options(void)
{
	int v4 = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	int v6 = (int)must(socket(AF_INET6, SOCK_STREAM, 0));
	unsigned char nops[8] = { 1, 1, 1, 1 }, got[40];
	socklen_t len = sizeof got;

	sock_set(v4, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	sock_set(v4, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	sock_set(v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	must(setsockopt(v4, IPPROTO_IP, IP_OPTIONS, nops, 4));
	target_wait();
	expect(!sock_option(v4, IPPROTO_IP, IP_MULTICAST_LOOP), "IP_MULTICAST_LOOP");
	expect(!sock_option(v4, IPPROTO_IP, IP_MULTICAST_ALL), "IP_MULTICAST_ALL");
	expect(!sock_option(v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), "IPV6_MULTICAST_LOOP");
	must(getsockopt(v4, IPPROTO_IP, IP_OPTIONS, got, &len));
	expect(len == 4 && !memcmp(got, nops, 4), "IP_OPTIONS");
}

/* connect(2) chose its address, so it is not IPv6 only as after bind(2). */
static void odd_sock_udp6(void)
{
	int fd = (int)must(socket(AF_INET6, SOCK_DGRAM, 0)), bound;
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in6 from, now;
	socklen_t len = sizeof from;

	bound = (int)must(socket(AF_INET6, SOCK_DGRAM, 0));
	if (bind(bound, (void *)&to, sizeof to) < 0)
		target_skip("IPv6");
	must(getsockname(bound, (void *)&to, &len));
	must(connect(fd, (void *)&to, sizeof to));
	must(getsockname(fd, (void *)&from, &len));
	target_wait();
	expect(!sock_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), "IPV6_V6ONLY");
	expect(sock_option(bound, IPPROTO_IPV6, IPV6_V6ONLY), "IPV6_V6ONLY of the bound one");
	must(getsockname(fd, (void *)&now, &len));
	expect(!memcmp(&from, &now, sizeof now), "its address");
}

/* Not connected: refused, and the program has not been told; shut down without a connection. */
static void odd_sock_never(void)
{
	int holder = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	int refused = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int shut = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	struct pollfd p = { .fd = refused };

	must(bind(holder, (void *)&addr, sizeof addr));
	must(getsockname(holder, (void *)&addr, &len));
	expect(connect(refused, (void *)&addr, len) < 0 && errno == EINPROGRESS, "connect");
	must(poll(&p, 1, 5000));
	expect(shutdown(shut, SHUT_RDWR) < 0, "shutdown");
	target_wait();
	expect(sock_option(refused, SOL_SOCKET, SO_ERROR) == ECONNREFUSED, "SO_ERROR");
	must(getsockname(shut, (void *)&addr, &len));
	expect(!addr.sin_port, "it has port %d", ntohs(addr.sin_port));
	p.fd = shut;
	must(poll(&p, 1, 0));
	expect(p.revents & POLLHUP, "it is not shut down");
}

static void odd_sock_more(void)
{
	int from = (int)must(socket(AF_INET, SOCK_DGRAM, 0));
	int to = (int)must(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	char text[8];

	must(bind(to, (void *)&addr, sizeof addr));
	must(getsockname(to, (void *)&addr, &len));
	must(connect(from, (void *)&addr, len));
	must(send(from, "one", 3, MSG_MORE));
	target_wait();
	must(send(from, "two", 3, 0));
	expect(recv(to, text, sizeof text, MSG_DONTWAIT) == 6, "the datagram");
}

/* ---- unix ------------------------------------------------------------------------------------ */

static int unix_bound(int type, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = (int)must(socket(AF_UNIX, type, 0));

	strcpy(addr.sun_path, name);
	must(bind(fd, (void *)&addr, sizeof addr));
	return fd;
}

static int unix_to(int type, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = (int)must(socket(AF_UNIX, type, 0));

	strcpy(addr.sun_path, name);
	must(connect(fd, (void *)&addr, sizeof addr));
	return fd;
}

/* Connected to one whose name is another's by now, with a datagram under way. */
static void odd_sock_same_name(void)
{
	int old = unix_bound(SOCK_DGRAM, "name"), sender = unix_to(SOCK_DGRAM, "name"), new;
	char text[4];

	must(unlink("name"));
	new = unix_bound(SOCK_DGRAM, "name");
	must(send(sender, "a", 1, 0));
	target_wait();
	must(send(sender, "b", 1, 0));
	expect(recv(old, text, 4, MSG_DONTWAIT) == 1 && *text == 'a', "the first datagram");
	expect(recv(old, text, 4, MSG_DONTWAIT) == 1 && *text == 'b', "the second datagram");
	expect(recv(new, text, 4, MSG_DONTWAIT) < 0, "the wrong one got it");
}

static void odd_sock_moved_directory(void)
{
	int moved, gone;

	must(mkdir("before", 0755));
	must(mkdir("removed", 0755));
	moved = unix_bound(SOCK_STREAM, "before/name");
	gone = unix_bound(SOCK_STREAM, "removed/name");
	must(listen(moved, 1));
	must(listen(gone, 1));
	must(rename("before", "after"));
	must(unlink("removed/name"));
	must(rmdir("removed"));
	target_wait();
	unix_to(SOCK_STREAM, "after/name");
	must(accept(moved, NULL, NULL));
	expect(access("before", F_OK) < 0 && access("removed", F_OK) < 0, "a directory is back");
	expect(sock_option(gone, SOL_SOCKET, SO_ACCEPTCONN) == 1, "it does not listen");
}

static void urgent_pair(int pair[2], bool in_line)
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	sock_set(pair[1], SOL_SOCKET, SO_OOBINLINE, in_line);
	must(send(pair[0], "abc", 3, 0));
	if (send(pair[0], "!", 1, MSG_OOB) < 0)
		target_skip("MSG_OOB of unix sockets");
	must(send(pair[0], "de", 2, 0));
}

static bool urgent_at_mark(int fd)
{
	int mark = 0;

	must(ioctl(fd, SIOCATMARK, &mark));
	return mark;
}

/* Among the others, apart from them, read already but for its mark, and at the front. */
static void odd_sock_urgent(void)
{
	int in_line[2], apart[2], taken[2], front[2];
	char text[8];

	urgent_pair(in_line, true);
	urgent_pair(apart, false);
	urgent_pair(taken, false);
	urgent_pair(front, false);
	must(recv(taken[1], text, 1, MSG_OOB));
	must(recv(front[1], text, 3, 0));
	target_wait();
	expect(recv(in_line[1], text, 8, 0) == 3, "reading does not stop at the urgent byte");
	expect(urgent_at_mark(in_line[1]), "no mark");
	expect(recv(in_line[1], text, 8, 0) == 3 && !memcmp(text, "!de", 3), "after the mark");
	expect(recv(apart[1], text, 8, MSG_OOB) == 1 && *text == '!', "the urgent byte");
	expect(recv(apart[1], text, 8, 0) == 3, "its mark is gone");
	expect(recv(taken[1], text, 8, MSG_OOB) < 0 && errno == EINVAL, "it can be read again");
	expect(recv(taken[1], text, 8, 0) == 3, "the mark of what was read is gone");
	expect(urgent_at_mark(taken[1]), "no mark of what was read");
	expect(urgent_at_mark(front[1]), "no mark in front");
	expect(recv(front[1], text, 8, MSG_OOB) == 1 && *text == '!', "the urgent byte in front");
	expect(recv(front[1], text, 8, 0) == 2 && !memcmp(text, "de", 2), "what follows");
}

/* What is said about its restore (the owner, a group outside, is lost in a namespace) goes not into
 * its own descriptor 2. */
static void odd_sock_stderr(void)
{
	struct f_owner_ex owner = { F_OWNER_PGRP, getpgrp() };
	char byte;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	must(fcntl(pair[0], F_SETOWN_EX, &owner));
	must(dup2(pair[1], STDERR_FILENO));
	close(pair[1]);
	target_wait();
	expect(recv(pair[0], &byte, 1, 0) == -1 && errno == EAGAIN, "somebody wrote to it");
}

const struct target targets_odd_sock[] = {
	{ "odd_sock_stream_options", odd_sock_stream_options, "multicast and IP options of TCP",
		0 },
	{ "odd_sock_udp6", odd_sock_udp6, "IPv6 with an address by connect", 0 },
	{ "odd_sock_never", odd_sock_never, "refused, or shut down without a connection", 0 },
	{ "odd_sock_more", odd_sock_more, "a datagram held back (MSG_MORE)", TARGET_REFUSED },
	{ "odd_sock_same_name", odd_sock_same_name, "two unix sockets of one name", 0 },
	{ "odd_sock_moved_directory", odd_sock_moved_directory,
		"unix sockets in directories that were moved or removed", 0 },
	{ "odd_sock_urgent", odd_sock_urgent, "urgent bytes of unix sockets (MSG_OOB)", 0 },
	{ "odd_sock_stderr", odd_sock_stderr, "descriptor 2 is a socket", 0 },
	{ NULL, NULL, NULL, 0 },
};
