/* Datagrams that nobody has read yet, raw and packet sockets. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* RFC 3692: for experiments, so nobody else answers. */
enum { PROTOCOL = 253 };

/* What other tests send at the same time must not arrive here: an address of our own. */
static in_addr_t own_address(void)
{
	return htonl(127u << 24 | ((uint32_t)getpid() & 0xffffff));
}

/* The same for frames; no such protocol is in use. */
static uint16_t own_protocol(void)
{
	return htons((uint16_t)(0xa000 | (getpid() & 0xfff)));
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int udp(int family, union address *own)
{
	int fd = (int)must(socket(family, SOCK_DGRAM, 0));
	socklen_t len = sizeof *own;

	memset(own, 0, sizeof *own);
	own->any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		own->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		own->v6.sin6_addr = in6addr_loopback;
	must(bind(fd, &own->any, family == AF_INET ? sizeof own->v4 : sizeof own->v6));
	must(getsockname(fd, &own->any, &len));
	return fd;
}

static void send_to(int fd, const void *data, size_t len, const union address *to)
{
	socklen_t size = to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6;

	expect(sendto(fd, data, len, 0, &to->any, size) == (ssize_t)len, "sendto: %s",
		strerror(errno));
}

/* The next datagram is this one, from there. */
static void expect_from(int fd, const void *data, size_t len, const union address *from)
{
	static char got[65536];
	union address sender;
	socklen_t size = sizeof sender;
	ssize_t n = recvfrom(fd, got, sizeof got, MSG_DONTWAIT, &sender.any, &size);

	expect(n == (ssize_t)len, "%zd of %zu bytes: %s", n, len, n < 0 ? strerror(errno) : "");
	expect(!memcmp(got, data, len), "other bytes");
	expect(sender.any.sa_family == from->any.sa_family &&
			(sender.any.sa_family == AF_INET
					? !memcmp(&sender.v4, &from->v4, sizeof from->v4)
					: !memcmp(&sender.v6, &from->v6, sizeof from->v6)),
		"another sender");
}

/* From a sender that is there and one that is gone; an empty one and a large one. */
static void udp_queue(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	union address to[2], from[2], gone[2];
	static char large[40000];
	int fd[2], sender, closed;

	pattern_fill(large, sizeof large, 9);
	for (int i = 0; i < 2; i++) {
		fd[i] = udp(families[i], &to[i]);
		sender = udp(families[i], &from[i]);
		closed = udp(families[i], &gone[i]);
		send_to(sender, "first", 5, &to[i]);
		send_to(closed, large, sizeof large, &to[i]);
		send_to(sender, "", 0, &to[i]);
		send_to(closed, "last", 4, &to[i]);
		close(closed);
	}
	target_wait();
	for (int i = 0; i < 2; i++) {
		expect_from(fd[i], "first", 5, &from[i]);
		expect_from(fd[i], large, sizeof large, &gone[i]);
		expect_from(fd[i], "", 0, &from[i]);
		expect_from(fd[i], "last", 4, &gone[i]);
		send_to(fd[i], "goes on", 7, &to[i]);
		expect_from(fd[i], "goes on", 7, &to[i]);
	}
}

/* Bound to any address, so where it was sent to is only told by IP_PKTINFO; and a connected one. */
static void udp_queue_any(void)
{
	union address any = { .v4 = { .sin_family = AF_INET } }, to, from, other;
	int fd = (int)must(socket(AF_INET, SOCK_DGRAM, 0)), sender = udp(AF_INET, &from), on = 1,
	    connected = udp(AF_INET, &other);
	_Alignas(struct cmsghdr) char control[256];
	char data[8];
	struct iovec iov = { data, sizeof data };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	socklen_t len = sizeof any;
	struct in_pktinfo info;

	must(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	must(bind(fd, &any.any, sizeof any.v4));
	must(getsockname(fd, &any.any, &len));
	to = any;
	inet_pton(AF_INET, "127.7.7.7", &to.v4.sin_addr);
	send_to(sender, "there", 5, &to);
	send_to(sender, "before", 6, &other);
	must(connect(connected, &any.any, sizeof any.v4));
	target_wait();
	expect(recvmsg(fd, &msg, MSG_DONTWAIT) == 5, "datagram: %s", strerror(errno));
	expect(CMSG_FIRSTHDR(&msg) && CMSG_FIRSTHDR(&msg)->cmsg_type == IP_PKTINFO,
		"no IP_PKTINFO");
	memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof info);
	expect(info.ipi_addr.s_addr == to.v4.sin_addr.s_addr, "sent to %s",
		inet_ntoa(info.ipi_addr));
	expect_from(connected, "before", 6, &from);
}

static int raw(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	if (fd < 0 && errno == EPERM)
		target_skip("raw sockets need CAP_NET_RAW");
	return (int)must(fd);
}

static void raw_idle(void)
{
	int fd = raw(AF_INET, SOCK_RAW, PROTOCOL), six = raw(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6),
	    connected = raw(AF_INET, SOCK_RAW, PROTOCOL + 1);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = own_address() };
	uint8_t none[32], got[32];
	socklen_t len = sizeof got;

	memset(none, 0xff, sizeof none); /* every ICMPv6 message is kept out */
	must(setsockopt(six, IPPROTO_ICMPV6, 1, none, sizeof none));
	must(bind(fd, (struct sockaddr *)&to, sizeof to));
	sock_set(fd, IPPROTO_IP, IP_TTL, 9);
	sock_set(connected, IPPROTO_IP, IP_HDRINCL, 1);
	must(connect(connected, (struct sockaddr *)&to, sizeof to));
	target_wait();
	expect(sock_option(fd, IPPROTO_IP, IP_TTL) == 9, "IP_TTL");
	expect(sock_option(connected, IPPROTO_IP, IP_HDRINCL) == 1, "IP_HDRINCL");
	must(getsockopt(six, IPPROTO_ICMPV6, 1, got, &len));
	expect(!memcmp(got, none, sizeof none), "ICMPV6_FILTER");
	expect(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof to) == 5, "send");
	expect(recv(fd, got, sizeof got, 0) == 25, "receive");
	sock_set(connected, IPPROTO_IP, IP_HDRINCL, 0);
	expect(send(connected, "hello", 5, 0) == 5, "not connected: %s", strerror(errno));
}

static void packet_idle(void)
{
	int fd = raw(AF_PACKET, SOCK_DGRAM, 0);
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
		.sll_protocol = own_protocol(),
		.sll_ifindex = (int)if_nametoindex("lo") };
	struct packet_mreq all = { .mr_ifindex = ll.sll_ifindex, .mr_type = PACKET_MR_ALLMULTI };
	char data[8];

	sock_set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	must(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all));
	must(bind(fd, (struct sockaddr *)&ll, sizeof ll));
	target_wait();
	expect(sock_option(fd, SOL_PACKET, PACKET_AUXDATA) == 1, "PACKET_AUXDATA");
	must(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &all, sizeof all));
	expect(sendto(fd, "frame", 5, 0, (struct sockaddr *)&ll, sizeof ll) == 5, "send");
	expect(recv(fd, data, sizeof data, 0) == 5, "receive");
}

const struct target targets_sock_raw[] = {
	{ "udp_queue", udp_queue, "datagrams nobody has read, from several senders", 0 },
	{ "udp_queue_any", udp_queue_any, "the same, with the address they were sent to", 0 },
	{ "raw_idle", raw_idle, "raw sockets", 0 },
	{ "packet_idle", packet_idle, "a packet socket", 0 },
	{ NULL, NULL, NULL, 0 },
};
