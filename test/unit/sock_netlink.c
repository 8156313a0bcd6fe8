/* Netlink sockets: alive -> record -> message -> record -> alive, then compared and used. */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* ---- helpers --------------------------------------------------------------------------------- */

static int new_socket(int type, int protocol)
{
	int fd = socket(AF_NETLINK, type | SOCK_CLOEXEC, protocol);

	assert_true(fd >= 0);
	return fd;
}

static void bind_to(int fd, uint32_t portid, uint32_t groups)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups };

	assert_int_equal(bind(fd, (struct sockaddr *)&nl, sizeof nl), 0);
}

static struct sockaddr_nl name_of(int fd)
{
	struct sockaddr_nl nl;
	socklen_t len = sizeof nl;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&nl, &len), 0);
	return nl;
}

static int get_int(int fd, int level, int name)
{
	int value = -12345;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void set_int(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof value), 0);
}

static struct fake *trip(int fd)
{
	struct fake *f = fake_create();

	fake_save(f, fd, &fd_netlink);
	fake_carry(f);
	fake_make(f);
	return f;
}

static void ask_for_links(int fd)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
	} req = { { sizeof req, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };

	assert_int_equal(send(fd, &req, sizeof req, 0), sizeof req);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_idle(void **state)
{
	char answer[8192];
	struct fake *f;
	int fd = new_socket(SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);

	(void)state;
	f = trip(fd);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), NETLINK_ROUTE);
	assert_int_equal(name_of(fd).nl_pid, 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ask_for_links(fd);
	assert_true(recv(fd, answer, sizeof answer, 0) > 0);
	fake_destroy(f);
}

static pid_t elsewhere(const struct fd_make *m, int32_t recorded)
{
	(void)m;
	return recorded + 1000000;
}

/* The port that is the pid follows the pid; any other stays. */
static void test_port(void **state)
{
	int fd = new_socket(SOCK_DGRAM, NETLINK_ROUTE), other = new_socket(SOCK_RAW, NETLINK_ROUTE);
	struct fake *f = fake_create();

	(void)state;
	bind_to(fd, 0, 0);
	assert_int_equal(name_of(fd).nl_pid, getpid());
	bind_to(other, 0x80001234, 0);
	fake_save(f, fd, &fd_netlink);
	fake_save(f, other, &fd_netlink);
	fake_carry(f);
	f->make.pid_of = elsewhere;
	fake_make(f);
	assert_int_equal(name_of(fd).nl_pid, getpid() + 1000000);
	assert_int_equal(name_of(other).nl_pid, 0x80001234);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	fake_destroy(f);
}

static void test_port_in_use(void **state)
{
	int fd = new_socket(SOCK_RAW, NETLINK_ROUTE), other = new_socket(SOCK_RAW, NETLINK_ROUTE);
	struct fake *f = fake_create();

	(void)state;
	bind_to(fd, 0x80004321, 0);
	fake_save(f, fd, &fd_netlink);
	fake_carry(f);
	close(fd);
	fd_close(&f->dups[0]);
	f->slots[0] = -1;
	bind_to(other, 0x80004321, 0);
	fake_expect_words(f, fake_try_make(f), EADDRINUSE, "bind a netlink socket");
	close(other);
	fake_destroy(f);
}

static void test_groups_and_options(void **state)
{
	int fd = new_socket(SOCK_RAW, NETLINK_ROUTE);
	uint32_t words[4] = { 0 };
	socklen_t len = sizeof words;
	struct fake *f;

	(void)state;
	bind_to(fd, 0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	set_int(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NSID);
	set_int(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
	set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 100000);
	f = trip(fd);
	assert_int_equal(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len), 0);
	assert_int_equal(words[0], RTMGRP_LINK | RTMGRP_IPV4_IFADDR | 1u << (RTNLGRP_NSID - 1));
	assert_int_equal(name_of(fd).nl_groups, words[0]);
	assert_int_equal(name_of(fd).nl_pid, getpid());
	assert_int_equal(get_int(fd, SOL_NETLINK, NETLINK_EXT_ACK), 1);
	assert_int_equal(get_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK), 1);
	assert_int_equal(get_int(fd, SOL_NETLINK, NETLINK_CAP_ACK), 0);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), 200000);
	fake_destroy(f);
}

static void test_refused(void **state)
{
	struct fake *f = fake_create();
	int fd = new_socket(SOCK_RAW, NETLINK_ROUTE);

	(void)state;
	ask_for_links(fd);
	ask_for_links(fd); /* two answers: nobody can tell what the second one is */
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "a message of the kernel that was not");
	fake_destroy(f);
}

/* It is asked for again. */
static void test_answer(void **state)
{
	int fd = new_socket(SOCK_RAW, NETLINK_ROUTE);
	static _Alignas(struct nlmsghdr) char answer[32768];
	const struct nlmsghdr *h = (void *)answer;
	struct fake *f;

	(void)state;
	ask_for_links(fd);
	f = trip(fd);
	assert_true(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0);
	assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(h->nlmsg_pid, name_of(fd).nl_pid);
	fake_destroy(f);
}

/* NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_BIND: as a program that judges packets begins. */
static bool queue_bind(int fd, uint16_t queue)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
		struct nlattr attr;
		struct nfqnl_msg_config_cmd cmd;
	} request = {
		.header = { sizeof request, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
			NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		.family = { AF_UNSPEC, NFNETLINK_V0, htons(queue) },
		.attr = { NLA_HDRLEN + sizeof(struct nfqnl_msg_config_cmd), NFQA_CFG_CMD },
		.cmd = { .command = NFQNL_CFG_CMD_BIND },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer;

	return send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request &&
	       recv(fd, &answer, sizeof answer, 0) > 0 && !answer.error.error;
}

/* One that has been used for questions only is as good as a new one; root may see that. */
static void test_netfilter(void **state)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct fake *f = fake_create();

	(void)state;
	if (fd < 0 || geteuid() != 0)
		skip();
	bind_to(fd, 0, 0);
	fake_save(f, fd, &fd_netlink);
	fake_destroy(f);
	fd = new_socket(SOCK_RAW, NETLINK_NETFILTER);
	bind_to(fd, 0, 0);
	f = fake_create();
	if (queue_bind(fd, 47111))
		fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "queues, logs");
	fake_destroy(f);
}

/* Whoever only writes to the audit log has a socket that the kernel knows nothing about. */
static void test_audit(void **state)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	struct fake *f;

	(void)state;
	if (fd < 0)
		skip();
	f = trip(fd);
	assert_string_equal(
		fd_netlink.describe(f->snap, &f->snap->ofds[0], f->snap->arena), "netlink audit");
	fake_destroy(f);
}

static void set_request(Pb__NetlinkSock *m, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = calloc(1, sizeof *h);

	assert_non_null(h);
	*h = (struct nlmsghdr){ .nlmsg_len = sizeof *h, .nlmsg_type = type, .nlmsg_flags = flags };
	m->request.data = (void *)h;
	m->request.len = sizeof *h;
	m->has_request = true;
}

static void set_message(Pb__NetlinkSock *m)
{
	m->n_queue = 1;
	m->queue = calloc(1, sizeof *m->queue);
	assert_non_null(m->queue);
	m->queue[0] = malloc(sizeof **m->queue);
	assert_non_null(m->queue[0]);
	pb__netlink_message__init(m->queue[0]);
}

static void test_malformed(void **state)
{
	struct fake *f = fake_create();
	int fd = new_socket(SOCK_RAW, NETLINK_ROUTE);
	Pb__Ofd *msg;

	(void)state;
	bind_to(fd, 0x80009999, RTMGRP_LINK);
	fake_save(f, fd, &fd_netlink);
	assert_string_equal(fd_netlink.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		"netlink route, port 2147522969, member of 1 group");
#define BREAK(words, ...)                                                                          \
	do {                                                                                       \
		msg = fake_message(f, 0);                                                          \
		__VA_ARGS__;                                                                       \
		fake_expect_bad(f, &fd_netlink, msg, words);                                       \
	} while (0)
	BREAK("protocol 11", msg->netlink->protocol = NETLINK_CONNECTOR);
	BREAK("protocol 999", msg->netlink->protocol = 999);
	BREAK("type 1", msg->netlink->type = SOCK_STREAM);
	BREAK("port 0", msg->netlink->portid = 0);
	BREAK("group 0", msg->netlink->groups[0] = 0);
	BREAK("group 65537", msg->netlink->groups[0] = 65537);
	BREAK("does not only ask", set_request(msg->netlink, RTM_DELLINK, 0));
	BREAK("does not only ask", set_request(msg->netlink, RTM_GETLINK, NLM_F_CREATE));
	BREAK("does not only ask", set_request(msg->netlink, RTM_GETLINK, 0);
		msg->netlink->request.len--);
	BREAK("messages of protocol 0", set_message(msg->netlink));
	BREAK("is missing", pb__netlink_sock__free_unpacked(msg->netlink, NULL);
		msg->netlink = NULL);
#undef BREAK
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_groups_and_options),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_netfilter),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
