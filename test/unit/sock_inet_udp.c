/* UDP sockets: their addresses, what is queued, and the groups they are members of. */
#include "test/unit/sock_inet.h"

#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* ---- datagrams ------------------------------------------------------------------------------- */

static void test_udp_bound(void **state)
{
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0), client;
	struct fake *f;
	struct addr a;
	char byte;

	(void)state;
	bind_loopback(fd, AF_INET);
	a = name_of(fd);
	f = trip(fd);
	assert_same_name(fd, &a);
	client = new_socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(sendto(client, "u", 1, 0, (struct sockaddr *)&a.sa, a.len), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(client);
	fake_destroy(f);
}

static void test_udp_connected(void **state)
{
	int fd = new_socket(AF_INET6, SOCK_DGRAM, 0), server = new_socket(AF_INET6, SOCK_DGRAM, 0);
	struct addr a, b, peer = { .len = sizeof peer.sa };
	struct fake *f;
	char byte;

	(void)state;
	bind_loopback(server, AF_INET6);
	a = name_of(server);
	assert_int_equal(connect(fd, (struct sockaddr *)&a.sa, a.len), 0);
	b = name_of(fd);
	f = trip(fd);
	assert_same_name(fd, &b);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len), 0);
	assert_memory_equal(&peer.sa, &a.sa, a.len);
	assert_int_equal(send(fd, "c", 1, 0), 1);
	assert_int_equal(recv(server, &byte, 1, 0), 1);
	close(server);
	fake_destroy(f);
}

static void send_text(int from, const struct addr *to, const char *text)
{
	assert_int_equal(sendto(from, text, strlen(text), 0, (struct sockaddr *)&to->sa, to->len),
		strlen(text));
}

static void expect_text(int fd, const char *text, const struct addr *from)
{
	struct addr a = { .len = sizeof a.sa };
	char data[64];

	assert_int_equal(
		recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&a.sa, &a.len),
		strlen(text));
	assert_memory_equal(data, text, strlen(text));
	assert_int_equal(a.len, from->len);
	assert_memory_equal(&a.sa, &from->sa, from->len);
}

/* From senders that are gone or not ours; empty ones; to sockets that are connected, or share their
 * port. */
static void test_udp_queue(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		int family = families[i % 2], fd = new_socket(family, SOCK_DGRAM, 0),
		    from = new_socket(family, SOCK_DGRAM, 0), on = 1, other = -1;
		struct fake *f = fake_create();
		struct addr to, sender;

		if (i >= 4)
			assert_int_equal(
				setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
		bind_loopback(fd, family);
		bind_loopback(from, family);
		to = name_of(fd);
		sender = name_of(from);
		send_text(from, &to, "first");
		send_text(from, &to, "");
		send_text(from, &to, "third");
		if (i >= 2 && i < 4)
			assert_int_equal(connect(fd, (struct sockaddr *)&sender.sa, sender.len), 0);
		if (i >= 4) {
			other = new_socket(family, SOCK_DGRAM, 0);
			assert_int_equal(
				setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
			assert_int_equal(bind(other, (struct sockaddr *)&to.sa, to.len), 0);
		}
		/* Only root can stand in for a sender that is there and not part of the dump. */
		if (i < 2 || geteuid() != 0)
			close(from);
		fake_save(f, fd, &fd_inet);
		fake_carry(f);
		fake_make(f);
		expect_text(fd, "first", &sender);
		expect_text(fd, "", &sender);
		expect_text(fd, "third", &sender);
		if (i >= 2 && geteuid() == 0)
			close(from);
		if (other >= 0)
			close(other);
		fake_destroy(f);
	}
}

/* Saved and not ended: everything is there still, with the options that the program set. */
static void test_udp_queue_stays(void **state)
{
	struct fake *f = fake_create();
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0), value = -7;
	socklen_t len = sizeof value;
	struct addr a;

	(void)state;
	bind_loopback(fd, AF_INET);
	a = name_of(fd);
	send_text(fd, &a, "q");
	fake_save(f, fd, &fd_inet);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &len), 0);
	assert_int_equal(value, 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, &len), 0);
	assert_int_equal(value, -1);
	expect_text(fd, "q", &a);
	fake_destroy(f);
}

static void test_udp_shutdown(void **state)
{
	(void)state;
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		struct fake *f = fake_create();
		int fd = new_socket(AF_INET, SOCK_DGRAM, 0);
		struct pollfd p;
		struct addr a;

		bind_loopback(fd, AF_INET);
		a = name_of(fd);
		assert_int_equal(connect(fd, (struct sockaddr *)&a.sa, a.len), 0);
		assert_int_equal(shutdown(fd, how), 0);
		fake_save(f, fd, &fd_inet);
		fake_carry(f);
		fake_make(f);
		assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), how == SHUT_RD ? 1 : -1);
		if (how == SHUT_RD)
			expect_text(fd, "x", &a);
		p = (struct pollfd){ .fd = fd, .events = POLLRDHUP };
		poll(&p, 1, 0);
		assert_int_equal(!!(p.revents & POLLRDHUP), how != SHUT_WR);
		fake_destroy(f);
	}
}

static void join(int fd, int level, int name, const char *group, const char *source)
{
	struct group_source_req req = { .gsr_interface = if_nametoindex("lo") };
	struct sockaddr_in *g = (void *)&req.gsr_group, *s = (void *)&req.gsr_source;
	struct group_req plain = { .gr_interface = req.gsr_interface };

	g->sin_family = s->sin_family = AF_INET;
	inet_pton(AF_INET, group, &g->sin_addr);
	if (source)
		inet_pton(AF_INET, source, &s->sin_addr);
	plain.gr_group = req.gsr_group;
	assert_int_equal(source ? setsockopt(fd, level, name, &req, sizeof req)
				: setsockopt(fd, level, name, &plain, sizeof plain),
		0);
}

static void filter_of(int fd, const char *group, uint32_t *mode, uint32_t *nr)
{
	char buf[GROUP_FILTER_SIZE(8)] = { 0 };
	struct group_filter *filter = (void *)buf;
	struct sockaddr_in *g = (void *)&filter->gf_group;
	socklen_t len = sizeof buf;

	filter->gf_interface = if_nametoindex("lo");
	filter->gf_numsrc = 8;
	g->sin_family = AF_INET;
	inet_pton(AF_INET, group, &g->sin_addr);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, MCAST_MSFILTER, filter, &len), 0);
	*mode = filter->gf_fmode;
	*nr = filter->gf_numsrc;
}

static void test_multicast(void **state)
{
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	struct ipv6_mreq v6 = { .ipv6mr_interface = if_nametoindex("lo") };
	int fd6 = new_socket(AF_INET6, SOCK_DGRAM, 0);
	struct fake *f = fake_create();
	uint32_t mode, nr;

	(void)state;
	inet_pton(AF_INET6, "ff02::1234", &v6.ipv6mr_multiaddr);
	join(fd, IPPROTO_IP, MCAST_JOIN_GROUP, "239.77.1.1", NULL);
	join(fd, IPPROTO_IP, MCAST_JOIN_GROUP, "239.77.1.2", NULL);
	join(fd, IPPROTO_IP, MCAST_BLOCK_SOURCE, "239.77.1.2", "127.0.0.9");
	join(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, "239.77.1.3", "127.0.0.8");
	assert_int_equal(setsockopt(fd6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &v6, sizeof v6), 0);
	fake_save(f, fd, &fd_inet);
	fake_save(f, fd6, &fd_inet);
	fake_carry(f);
	fake_make(f);
	filter_of(fd, "239.77.1.1", &mode, &nr);
	assert_true(mode == MCAST_EXCLUDE && nr == 0);
	filter_of(fd, "239.77.1.2", &mode, &nr);
	assert_true(mode == MCAST_EXCLUDE && nr == 1);
	filter_of(fd, "239.77.1.3", &mode, &nr);
	assert_true(mode == MCAST_INCLUDE && nr == 1);
	/* Leaving works only for members. */
	assert_int_equal(setsockopt(fd6, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &v6, sizeof v6), 0);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_bound),
		cmocka_unit_test(test_udp_connected),
		cmocka_unit_test(test_udp_queue),
		cmocka_unit_test(test_udp_queue_stays),
		cmocka_unit_test(test_udp_shutdown),
		cmocka_unit_test(test_multicast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
