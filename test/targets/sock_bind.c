/* Sockets whose address was possible with an option that is off by now. */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target.h"

enum { MAX = 32 };

static struct bound {
	int fd;
	struct sockaddr_storage addr;
} all[MAX];
static int nr;

static void note(int fd)
{
	socklen_t len = sizeof all[nr].addr;

	all[nr].fd = fd;
	must(getsockname(fd, (struct sockaddr *)&all[nr++].addr, &len));
}

/* Two of one port, bound one after the other with this option; then it is switched off. */
static void pair(int type, int option, bool listens, bool both)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof sa;
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = (int)must(socket(AF_INET, type, 0));
		sock_set(fd[i], SOL_SOCKET, option, 1);
		must(bind(fd[i], (struct sockaddr *)&sa, sizeof sa));
		must(getsockname(fd[i], (struct sockaddr *)&sa, &len));
		note(fd[i]);
	}
	for (int i = 0; i < 2; i++) {
		if (listens && (option == SO_REUSEPORT || i == 0))
			must(listen(fd[i], 3 + i));
		if (i == 0 || both)
			sock_set(fd[i], SOL_SOCKET, option, 0);
	}
}

/* Of an address that this machine has not: TEST-NET-1 and the like are nobody's (RFC 5737, 3849).
 */
static void elsewhere(int family, int type, int option)
{
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	int fd = (int)must(socket(family, type, 0));

	inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr);
	sock_set(fd, level, option, 1);
	must(bind(fd, family == AF_INET ? (void *)&v4 : (void *)&v6,
		family == AF_INET ? sizeof v4 : sizeof v6));
	sock_set(fd, level, option, 0);
	if (type == SOCK_STREAM)
		must(listen(fd, 5));
	note(fd);
}

static void expect_same(const struct bound *b, const int *was)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof sa;

	must(getsockname(b->fd, (struct sockaddr *)&sa, &len));
	expect(!memcmp(&sa, &b->addr, len), "descriptor %d has another address", b->fd);
	expect(sock_option(b->fd, SOL_SOCKET, SO_REUSEADDR) == was[0] &&
			sock_option(b->fd, SOL_SOCKET, SO_REUSEPORT) == was[1] &&
			sock_option(b->fd, SOL_SOCKET, SO_ACCEPTCONN) == was[2] &&
			sock_option(b->fd, IPPROTO_IP, IP_FREEBIND) == was[3],
		"options of descriptor %d", b->fd);
}

static void bound_earlier(void)
{
	int was[MAX][4];

	pair(SOCK_DGRAM, SO_REUSEADDR, false, true);
	pair(SOCK_DGRAM, SO_REUSEPORT, false, true);
	pair(SOCK_DGRAM, SO_REUSEADDR, false, false);
	pair(SOCK_STREAM, SO_REUSEADDR, false, true);
	pair(SOCK_STREAM, SO_REUSEADDR, true, true);
	pair(SOCK_STREAM, SO_REUSEPORT, true, true);
	pair(SOCK_STREAM, SO_REUSEPORT, true, false);
	pair(SOCK_STREAM, SO_REUSEPORT, false, false);
	elsewhere(AF_INET, SOCK_DGRAM, IP_FREEBIND);
	elsewhere(AF_INET, SOCK_STREAM, IP_FREEBIND);
	elsewhere(AF_INET6, SOCK_DGRAM, IPV6_FREEBIND);
	elsewhere(AF_INET6, SOCK_STREAM, IPV6_FREEBIND);
	if (geteuid() == 0) {
		elsewhere(AF_INET, SOCK_DGRAM, IP_TRANSPARENT);
		elsewhere(AF_INET6, SOCK_DGRAM, IPV6_TRANSPARENT);
	}
	for (int i = 0; i < nr; i++) {
		was[i][0] = sock_option(all[i].fd, SOL_SOCKET, SO_REUSEADDR);
		was[i][1] = sock_option(all[i].fd, SOL_SOCKET, SO_REUSEPORT);
		was[i][2] = sock_option(all[i].fd, SOL_SOCKET, SO_ACCEPTCONN);
		was[i][3] = sock_option(all[i].fd, IPPROTO_IP, IP_FREEBIND);
	}
	target_wait();
	for (int i = 0; i < nr; i++)
		expect_same(&all[i], was[i]);
}

/* ---- options of raw sockets and of TCP that does nothing yet -----------------------------------
 */

static void idle_options(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) }
	};
	struct sockaddr_in now;
	socklen_t len = sizeof now;
	int raw = socket(AF_INET, SOCK_RAW, 253), icmp = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	int filter = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	int idle = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	int listens = (int)must(socket(AF_INET6, SOCK_STREAM, 0));

	if (raw < 0 || icmp < 0 || filter < 0)
		target_skip("raw sockets");
	must(connect(raw, (void *)&to, sizeof to));
	sock_set(icmp, SOL_RAW, IPV6_CHECKSUM, 4);
	must(bind(filter, (void *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK },
		sizeof(struct sockaddr_nl)));
	sock_set(idle, IPPROTO_TCP, TCP_QUICKACK, 0);
	must(listen(listens, 1));
	sock_set(listens, IPPROTO_TCP, TCP_QUICKACK, 0);
	target_wait();
	must(getpeername(raw, (void *)&now, &len));
	expect(now.sin_port == htons(9), "the port that a raw socket was connected to");
	expect(sock_option(icmp, SOL_RAW, IPV6_CHECKSUM) == 4, "IPV6_CHECKSUM");
	expect(!sock_option(idle, IPPROTO_TCP, TCP_QUICKACK), "TCP_QUICKACK");
	expect(!sock_option(listens, IPPROTO_TCP, TCP_QUICKACK), "TCP_QUICKACK, listening");
}

/* Of another program that saves connections. */
static void repairing(void)
{
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0)), on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) < 0)
		target_skip("TCP_REPAIR");
	target_wait();
	expect(sock_option(fd, IPPROTO_TCP, TCP_REPAIR) == 1, "TCP_REPAIR");
}

const struct target targets_sock_bind[] = {
	{ "bound_earlier", bound_earlier, "addresses had by options that are off by now", 0 },
	{ "idle_options", idle_options, "options of raw sockets and of idle TCP", 0 },
	{ "repairing", repairing, "TCP in repair mode", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
