/* Sockets whose address was possible with an option that is off by now. */
#include <arpa/inet.h>
#include <netinet/in.h>
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

static void set(int fd, int level, int name, int value)
{
	must(setsockopt(fd, level, name, &value, sizeof value));
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	must(getsockopt(fd, level, name, &value, &len));
	return value;
}

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
		set(fd[i], SOL_SOCKET, option, 1);
		must(bind(fd[i], (struct sockaddr *)&sa, sizeof sa));
		must(getsockname(fd[i], (struct sockaddr *)&sa, &len));
		note(fd[i]);
	}
	for (int i = 0; i < 2; i++) {
		if (listens && (option == SO_REUSEPORT || i == 0))
			must(listen(fd[i], 3 + i));
		if (i == 0 || both)
			set(fd[i], SOL_SOCKET, option, 0);
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
	set(fd, level, option, 1);
	must(bind(fd, family == AF_INET ? (void *)&v4 : (void *)&v6,
		family == AF_INET ? sizeof v4 : sizeof v6));
	set(fd, level, option, 0);
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
	expect(get(b->fd, SOL_SOCKET, SO_REUSEADDR) == was[0] &&
			get(b->fd, SOL_SOCKET, SO_REUSEPORT) == was[1] &&
			get(b->fd, SOL_SOCKET, SO_ACCEPTCONN) == was[2] &&
			get(b->fd, IPPROTO_IP, IP_FREEBIND) == was[3],
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
		was[i][0] = get(all[i].fd, SOL_SOCKET, SO_REUSEADDR);
		was[i][1] = get(all[i].fd, SOL_SOCKET, SO_REUSEPORT);
		was[i][2] = get(all[i].fd, SOL_SOCKET, SO_ACCEPTCONN);
		was[i][3] = get(all[i].fd, IPPROTO_IP, IP_FREEBIND);
	}
	target_wait();
	for (int i = 0; i < nr; i++)
		expect_same(&all[i], was[i]);
}

const struct target targets_sock_bind[] = {
	{ "bound_earlier", bound_earlier, "addresses had by options that are off by now", 0 },
	{ NULL, NULL, NULL, 0 },
};
