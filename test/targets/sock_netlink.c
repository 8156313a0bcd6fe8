/* Netlink sockets with something to read: answers of the kernel, messages of other sockets. */
#include "target.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEQ = 4711 };

static int bound(int protocol)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int fd = (int)must(socket(AF_NETLINK, SOCK_RAW, protocol));

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	return fd;
}

static uint32_t port_of(int fd)
{
	struct sockaddr_nl addr;
	socklen_t len = sizeof addr;

	must(getsockname(fd, (struct sockaddr *)&addr, &len));
	return addr.nl_pid;
}

/* index: of an interface, for RTM_GETLINK. */
static void ask(int fd, uint16_t type, uint16_t flags, int index)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} request = { { sizeof request, type, (uint16_t)(NLM_F_REQUEST | flags), SEQ, 0 },
		{ .ifi_index = index } };

	must(send(fd, &request, sizeof request, 0));
}

/* How many messages of this type come, and whether `last` comes behind them. */
static int answers(int fd, uint16_t type, uint16_t last)
{
	static _Alignas(struct nlmsghdr) char data[65536];
	int nr = 0;

	for (;;) {
		size_t left = (size_t)must(recv(fd, data, sizeof data, MSG_DONTWAIT));

		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, left);
			h = NLMSG_NEXT(h, left)) {
			expect(h->nlmsg_seq == SEQ && h->nlmsg_pid == port_of(fd),
				"number %u for port %u", h->nlmsg_seq, h->nlmsg_pid);
			if (h->nlmsg_type == last)
				return nr;
			expect(h->nlmsg_type == type, "type %u", h->nlmsg_type);
			nr++;
		}
	}
}

static int answers_now(uint16_t type, uint16_t answer)
{
	int fd = bound(NETLINK_ROUTE), nr;

	ask(fd, type, NLM_F_DUMP, 0);
	nr = answers(fd, answer, NLMSG_DONE);
	close(fd);
	return nr;
}

/* A dump of all links, one of addresses, one link with an acknowledgement, one that is not there.
 */
static void netlink_answers(void)
{
	int fd[4], nr;

	for (int i = 0; i < 4; i++)
		fd[i] = bound(NETLINK_ROUTE);
	ask(fd[0], RTM_GETLINK, NLM_F_DUMP, 0);
	ask(fd[1], RTM_GETADDR, NLM_F_DUMP, 0);
	ask(fd[2], RTM_GETLINK, NLM_F_ACK, 1);
	ask(fd[3], RTM_GETLINK, 0, 0x7ffffff);
	target_wait();
	nr = answers(fd[0], RTM_NEWLINK, NLMSG_DONE);
	expect(nr > 0 && nr == answers_now(RTM_GETLINK, RTM_NEWLINK), "%d links", nr);
	nr = answers(fd[1], RTM_NEWADDR, NLMSG_DONE);
	expect(nr == answers_now(RTM_GETADDR, RTM_NEWADDR), "%d addresses", nr);
	expect(answers(fd[2], RTM_NEWLINK, NLMSG_ERROR) == 1, "one link");
	expect(answers(fd[3], RTM_NEWLINK, NLMSG_ERROR) == 0, "no link");
}

static void tell(int from, uint32_t port, const char *text)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };

	must(sendto(from, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to));
}

static void told(int fd, uint32_t port, const char *text)
{
	struct sockaddr_nl from;
	socklen_t len = sizeof from;
	char data[64] = "";

	must(recvfrom(fd, data, sizeof data - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	expect(!strcmp(data, text) && from.nl_pid == port, "\"%s\" of port %u", data, from.nl_pid);
}

static void netlink_messages(void)
{
	int a = bound(NETLINK_USERSOCK), b = bound(NETLINK_USERSOCK),
	    gone = bound(NETLINK_USERSOCK);
	uint32_t port_gone = port_of(gone);

	tell(a, port_of(b), "first");
	tell(gone, port_of(b), "of one that is closed");
	tell(a, port_of(b), "third");
	tell(b, port_of(a), "back");
	tell(b, port_of(b), "to itself");
	close(gone);
	target_wait();
	told(b, port_of(a), "first");
	told(b, port_gone, "of one that is closed");
	told(b, port_of(a), "third");
	told(a, port_of(b), "back");
	told(b, port_of(b), "to itself");
	tell(a, port_of(b), "later");
	told(b, port_of(a), "later");
	expect(recv(a, &port_gone, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "no more");
}

const struct target targets_sock_netlink[] = {
	{ "netlink_answers", netlink_answers, "answers of the kernel", 0 },
	{ "netlink_messages", netlink_messages, "messages between netlink sockets", 0 },
	{ NULL, NULL, NULL, 0 },
};
