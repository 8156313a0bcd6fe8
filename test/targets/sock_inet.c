/* TCP, UDP and netlink sockets. Ports are chosen by the kernel, so targets do not get in each
 * other's way. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t loopback(union address *addr, int family, in_port_t port)
{
	memset(addr, 0, sizeof *addr);
	addr->any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		addr->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr->v4.sin_port = port;
		return sizeof addr->v4;
	}
	addr->v6.sin6_addr = in6addr_loopback;
	addr->v6.sin6_port = port;
	return sizeof addr->v6;
}

static in_port_t port_of(int fd)
{
	union address addr;
	socklen_t len = sizeof addr;

	must(getsockname(fd, &addr.any, &len));
	return addr.any.sa_family == AF_INET ? addr.v4.sin_port : addr.v6.sin6_port;
}

static int bound(int family, int type, in_port_t port)
{
	union address addr;
	socklen_t len = loopback(&addr, family, port);
	int fd = (int)must(socket(family, type, 0));

	if (port)
		sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	must(bind(fd, &addr.any, len));
	return fd;
}

static int listener(int family, int backlog)
{
	int fd = bound(family, SOCK_STREAM, 0);

	must(listen(fd, backlog));
	return fd;
}

static int connected(int family, in_port_t port)
{
	union address addr;
	socklen_t len = loopback(&addr, family, port);
	int fd = (int)must(socket(family, SOCK_STREAM, 0));

	expect(connect(fd, &addr.any, len) == 0, "connect: %s", strerror(errno));
	return fd;
}

/* A new connection is accepted and carries bytes. */
static void check_listener(int fd, int family)
{
	int client = connected(family, port_of(fd)), server;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char data[8];

	must(write(client, "hello", 5));
	expect(poll(&poll_fd, 1, 5000) == 1, "no connection to accept");
	server = (int)must(accept(fd, NULL, NULL));
	expect(read(server, data, sizeof data) == 5, "bytes");
	close(client);
	close(server);
}

/* ---- TCP
 * -------------------------------------------------------------------------------------------------------
 */

static void tcp_listen(void)
{
	int v4 = listener(AF_INET, 17), v6 = listener(AF_INET6, 600);
	in_port_t port4 = port_of(v4), port6 = port_of(v6);

	target_wait();
	expect(port_of(v4) == port4 && port_of(v6) == port6, "ports");
	check_listener(v4, AF_INET);
	check_listener(v6, AF_INET6);
}

static void tcp_v6only(void)
{
	int fd = (int)must(socket(AF_INET6, SOCK_STREAM, 0)),
	    both = (int)must(socket(AF_INET6, SOCK_STREAM, 0));
	union address any = { .v6 = { .sin6_family = AF_INET6 } };

	sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	sock_set(both, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	must(bind(fd, &any.any, sizeof any.v6));
	must(bind(both, &any.any, sizeof any.v6));
	must(listen(fd, 5));
	must(listen(both, 5));
	target_wait();
	expect(sock_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1 &&
			sock_option(both, IPPROTO_IPV6, IPV6_V6ONLY) == 0,
		"IPV6_V6ONLY");
	check_listener(both, AF_INET);
	check_listener(fd, AF_INET6);
}

struct opt {
	int level, name, value;
	const char *text;
};

/* Values that no default has. */
static const struct opt tcp_options_set[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE" },
	{ SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE" },
	{ SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR" },
	{ SOL_SOCKET, SO_RCVLOWAT, 33, "SO_RCVLOWAT" },
	{ SOL_SOCKET, SO_SNDBUF, 50000, "SO_SNDBUF" },
	{ SOL_SOCKET, SO_RCVBUF, 60000, "SO_RCVBUF" },
	{ SOL_SOCKET, SO_DONTROUTE, 1, "SO_DONTROUTE" },
	{ SOL_SOCKET, SO_TIMESTAMP, 1, "SO_TIMESTAMP" },
	{ SOL_SOCKET, SO_ZEROCOPY, 1, "SO_ZEROCOPY" },
	{ IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY" },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 77, "TCP_KEEPIDLE" },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 11, "TCP_KEEPINTVL" },
	{ IPPROTO_TCP, TCP_KEEPCNT, 5, "TCP_KEEPCNT" },
	{ IPPROTO_TCP, TCP_SYNCNT, 3, "TCP_SYNCNT" },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 4321, "TCP_USER_TIMEOUT" },
	{ IPPROTO_TCP, TCP_LINGER2, 13, "TCP_LINGER2" },
	{ IPPROTO_TCP, TCP_MAXSEG, 1000, "TCP_MAXSEG" },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9999, "TCP_NOTSENT_LOWAT" },
	{ IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK" },
	{ IPPROTO_IP, IP_TTL, 99, "IP_TTL" },
	{ IPPROTO_IP, IP_TOS, 0x10, "IP_TOS" },
	{ SOL_SOCKET, SO_PRIORITY, 4, "SO_PRIORITY" }, /* IP_TOS sets it too */
	{ IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND" },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "IP_MTU_DISCOVER" },
	{ IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR" },
	{ IPPROTO_IP, IP_MINTTL, 2, "IP_MINTTL" },
};

static void tcp_options(void)
{
	enum { NR = sizeof tcp_options_set / sizeof *tcp_options_set };
	int fd = listener(AF_INET, 5), before[NR];
	char name[16] = "reno", got[16];
	socklen_t len = sizeof got;

	for (int i = 0; i < NR; i++) {
		const struct opt *opt = &tcp_options_set[i];

		sock_set(fd, opt->level, opt->name, opt->value);
		before[i] = sock_option(fd, opt->level, opt->name);
	}
	must(setsockopt(
		fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 9 }, sizeof(struct linger)));
	must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, 4));
	target_wait();
	for (int i = 0; i < NR; i++) {
		const struct opt *opt = &tcp_options_set[i];

		expect(sock_option(fd, opt->level, opt->name) == before[i], "%s is %d, was %d",
			opt->text, sock_option(fd, opt->level, opt->name), before[i]);
	}
	must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, got, &len));
	expect(strcmp(got, name) == 0, "TCP_CONGESTION %s", got);
}

static void tcp_deferred(void)
{
	int defer = listener(AF_INET, 5), fast = listener(AF_INET, 5);

	sock_set(defer, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7);
	sock_set(fast, IPPROTO_TCP, TCP_FASTOPEN, 16);
	target_wait();
	expect(sock_option(defer, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 7, "TCP_DEFER_ACCEPT");
	expect(sock_option(fast, IPPROTO_TCP, TCP_FASTOPEN) == 16, "TCP_FASTOPEN");
	check_listener(defer, AF_INET);
}

static void tcp_reuseport(void)
{
	int fds[3] = { (int)must(socket(AF_INET, SOCK_STREAM, 0)),
		(int)must(socket(AF_INET, SOCK_STREAM, 0)),
		(int)must(socket(AF_INET, SOCK_STREAM, 0)) };
	in_port_t port = 0;

	for (int i = 0; i < 3; i++) {
		union address addr;
		socklen_t len = loopback(&addr, AF_INET, port);

		sock_set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		must(bind(fds[i], &addr.any, len));
		must(listen(fds[i], 3 + i));
		port = port_of(fds[i]);
	}
	target_wait();
	for (int i = 0; i < 3; i++)
		expect(port_of(fds[i]) == port &&
				sock_option(fds[i], SOL_SOCKET, SO_REUSEPORT) == 1,
			"listener %d", i);
	close(connected(AF_INET, port));
}

static void tcp_device(void)
{
	int fd = listener(AF_INET, 5), ipv6 = listener(AF_INET6, 5);
	char name[IF_NAMESIZE] = "";
	socklen_t len = sizeof name;

	must(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	sock_set(ipv6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
	sock_set(ipv6, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	target_wait();
	must(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	expect(strcmp(name, "lo") == 0, "SO_BINDTODEVICE %s", name);
	expect(sock_option(ipv6, IPPROTO_IPV6, IPV6_UNICAST_HOPS) == 33 &&
			sock_option(ipv6, IPPROTO_IPV6, IPV6_TCLASS) == 0x20,
		"IPv6 options");
}

/* Neither bound nor listening: /proc/net does not show these. */
static void tcp_fresh(void)
{
	int fresh = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
	    fresh6 = (int)must(socket(AF_INET6, SOCK_STREAM, 0));
	int bound4 = bound(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = listener(AF_INET, 5);
	in_port_t port = port_of(bound4);
	union address addr;
	socklen_t len = loopback(&addr, AF_INET, port_of(fd));

	sock_set(fresh, IPPROTO_TCP, TCP_NODELAY, 1);
	target_wait();
	expect(port_of(bound4) == port && fcntl(bound4, F_GETFD) == FD_CLOEXEC, "bound socket");
	must(listen(bound4, 5));
	check_listener(bound4, AF_INET);
	expect(sock_option(fresh, IPPROTO_TCP, TCP_NODELAY) == 1, "TCP_NODELAY");
	expect(connect(fresh, &addr.any, len) == 0 || errno == EINPROGRESS, "connect: %s",
		strerror(errno));
	expect(sock_option(fresh6, SOL_SOCKET, SO_DOMAIN) == AF_INET6, "family");
}

/* Closed by the other side, or a connection inside the process. */
static void tcp_inside(void)
{
	int fd = listener(AF_INET, 5), client = connected(AF_INET, port_of(fd));
	int server = (int)must(accept(fd, NULL, NULL));
	char data[8];

	target_wait();
	must(write(client, "hello", 5));
	expect(read(server, data, sizeof data) == 5, "bytes");
}

/* A connection that has ended: shut down and read to the end on both sides, state CLOSE. */
static void tcp_ended(void)
{
	int fd = listener(AF_INET, 5), client = connected(AF_INET, port_of(fd));
	int server = (int)must(accept(fd, NULL, NULL));
	char byte;

	must(setsockopt(
		server, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	close(server); /* resets */
	expect(read(client, &byte, 1) == -1 && errno == ECONNRESET, "reset");
	target_wait();
	expect(read(client, &byte, 1) == 0, "end of file");
	expect(send(client, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "write: %s",
		strerror(errno));
}

/* ---- UDP
 * ---------------------------------------------------------------------------------------------------------
 */

static void udp_sockets(void)
{
	int server = bound(AF_INET, SOCK_DGRAM, 0),
	    client = (int)must(socket(AF_INET, SOCK_DGRAM, 0));
	int fresh = (int)must(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0)),
	    v6 = bound(AF_INET6, SOCK_DGRAM, 0);
	union address addr;
	socklen_t len = loopback(&addr, AF_INET, port_of(server));
	in_port_t port, client_port;
	char data[8];

	must(connect(client, &addr.any, len));
	sock_set(server, SOL_SOCKET, SO_BROADCAST, 1);
	sock_set(server, IPPROTO_IP, IP_PKTINFO, 1);
	sock_set(v6, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	sock_set(client, SOL_SOCKET, SO_RCVBUF, 70000);
	port = port_of(server);
	client_port = port_of(client);
	target_wait();
	expect(port_of(server) == port && port_of(client) == client_port, "ports");
	must(send(client, "hello", 5, 0));
	len = sizeof addr;
	expect(recvfrom(server, data, sizeof data, 0, &addr.any, &len) == 5 &&
			addr.v4.sin_port == client_port,
		"datagram");
	must(sendto(server, "you", 3, 0, &addr.any, len));
	expect(recv(client, data, sizeof data, 0) == 3, "answer");
	expect(sock_option(server, SOL_SOCKET, SO_BROADCAST) == 1 &&
			sock_option(server, IPPROTO_IP, IP_PKTINFO) == 1,
		"options");
	expect(sock_option(v6, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1, "IPV6_RECVPKTINFO");
	expect(recv(fresh, data, 1, 0) == -1 && errno == EAGAIN, "fresh socket: %s",
		strerror(errno));
}

static void udp_queued(void)
{
	int server = bound(AF_INET, SOCK_DGRAM, 0), client = bound(AF_INET, SOCK_DGRAM, 0);
	union address addr;
	socklen_t len = loopback(&addr, AF_INET, port_of(server));
	char data[8];

	must(sendto(client, "queued", 6, 0, &addr.any, len));
	target_wait();
	expect(recv(server, data, sizeof data, MSG_DONTWAIT) == 6 && memcmp(data, "queued", 6) == 0,
		"queued datagram");
}

static void udp_multicast(void)
{
	int fd = bound(AF_INET, SOCK_DGRAM, 0);
	struct ip_mreqn group = { { htonl(0xe0000101) }, { htonl(INADDR_LOOPBACK) }, 0 };

	must(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
	sock_set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 9);
	target_wait();
	expect(sock_option(fd, IPPROTO_IP, IP_MULTICAST_TTL) == 9, "IP_MULTICAST_TTL");
	expect(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == -1 &&
			errno == EADDRINUSE,
		"no member of the group any more");
}

/* ---- netlink
 * -------------------------------------------------------------------------------------------------------
 */

static void netlink_idle(void)
{
	int fresh = (int)must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)),
	    fd = (int)must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR },
			   now;
	struct {
		struct nlmsghdr header;
		struct rtgenmsg gen;
	} request = { { sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		{ AF_UNSPEC } };
	socklen_t len = sizeof now;
	char answer[8192];
	uint32_t port;

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(getsockname(fd, (struct sockaddr *)&now, &len));
	port = now.nl_pid;
	sock_set(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
	target_wait();
	must(getsockname(fd, (struct sockaddr *)&now, &len));
	expect(now.nl_pid == port && now.nl_groups == addr.nl_groups, "port %u groups %x",
		now.nl_pid, now.nl_groups);
	must(send(fd, &request, sizeof request, 0));
	expect(recv(fd, answer, sizeof answer, 0) > 0, "answer");
	must(bind(fresh, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK },
		sizeof addr));
}

/* As dbus-daemon has one, to write to the log. */
static void netlink_audit(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT), protocol = -1;
	struct nlmsghdr request = { sizeof request, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1, 0 };
	socklen_t len = sizeof protocol;
	char answer[8192];

	if (fd < 0)
		target_skip("no audit in this kernel");
	target_wait();
	must(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len));
	expect(protocol == NETLINK_AUDIT, "protocol %d", protocol);
	must(send(fd, &request, sizeof request, 0));
	expect(recv(fd, answer, sizeof answer, 0) > 0, "answer");
}

const struct target targets_sock_inet[] = {
	{ "tcp_listen", tcp_listen, "listeners, IPv4 and IPv6", 0 },
	{ "tcp_v6only", tcp_v6only, "IPV6_V6ONLY on and off", 0 },
	{ "tcp_options", tcp_options, "26 options", 0 },
	{ "tcp_deferred", tcp_deferred, "TCP_DEFER_ACCEPT, TCP_FASTOPEN", 0 },
	{ "tcp_reuseport", tcp_reuseport, "three listeners on one port", 0 },
	{ "tcp_device", tcp_device, "SO_BINDTODEVICE, IPv6 options", 0 },
	{ "tcp_fresh", tcp_fresh, "not bound, not listening", 0 },
	{ "tcp_inside", tcp_inside, "a connection inside the process", 0 },
	{ "tcp_ended", tcp_ended, "a connection that was reset", TARGET_EITHER },
	{ "udp_sockets", udp_sockets, "bound, connected, fresh", 0 },
	{ "udp_queued", udp_queued, "a datagram nobody has read", 0 },
	{ "udp_multicast", udp_multicast, "member of a group", TARGET_EITHER },
	{ "netlink_idle", netlink_idle, "netlink with groups", 0 },
	{ "netlink_audit", netlink_audit, "an audit socket of who only writes", 0 },
	{ NULL, NULL, NULL, 0 },
};
