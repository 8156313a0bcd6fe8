/* Raw and packet sockets: alive -> record -> message -> record -> alive. Need CAP_NET_RAW. */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

/* RFC 3692: for experiments, so nobody else answers or receives. */
/* linux/icmp.h clashes with net/if.h. */
enum { X_SOL_RAW = 255, X_ICMP_FILTER = 1, X_ICMPV6_FILTER = 1 };
enum {
	PROTOCOL = 253,
	PACKET_VNET_HDR_SZ = 24, /* linux/if_packet.h since 6.6 */
	ETH_P_TEST = 0xb000      /* and the twelve bits after it; no such protocol is in use */
};

static int raw_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 && errno == EPERM) {
		print_message("raw sockets need CAP_NET_RAW\n");
		skip();
	}
	assert_true(fd >= 0);
	return fd;
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

/* An address of our own: what other tests send must not arrive here. */
static struct sockaddr_in loopback(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(127u << 24 | ((uint32_t)getpid() & 0xffffff)) };
}

static struct fake *trip(int fd, const struct fd_kind *kind)
{
	struct fake *f = fake_create();

	fake_save(f, fd, kind);
	fake_carry(f);
	fake_make(f);
	return f;
}

static void test_raw(void **state)
{
	int fd = raw_socket(AF_INET, SOCK_RAW, PROTOCOL);
	struct sockaddr_in to = loopback(), got = { 0 };
	socklen_t len = sizeof got;
	struct fake *f;

	(void)state;
	set_int(fd, IPPROTO_IP, IP_HDRINCL, 1);
	set_int(fd, IPPROTO_IP, IP_TTL, 7);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	/* To port 0, which getpeername(2) does not count as a connection. */
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	f = trip(fd, &fd_inet);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), PROTOCOL);
	assert_int_equal(get_int(fd, IPPROTO_IP, IP_HDRINCL), 1);
	assert_int_equal(get_int(fd, IPPROTO_IP, IP_TTL), 7);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &len), 0);
	assert_int_equal(got.sin_addr.s_addr, to.sin_addr.s_addr);
	set_int(fd, IPPROTO_IP, IP_HDRINCL, 0);
	assert_int_equal(send(fd, "hello", 5, 0), 5); /* connected still */
	assert_int_equal(recv(fd, (char[64]){ 0 }, 64, 0), 25);
	fake_destroy(f);
}

static void test_raw_filters(void **state)
{
	int v4 = raw_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP),
	    v6 = raw_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	uint8_t wanted[32], got[32] = { 0 };
	uint32_t filter = ~1u, now = 0; /* all but echo replies are kept out */
	socklen_t len = sizeof now;
	struct fake *f;

	(void)state;
	memset(wanted, 0xaa, sizeof wanted);
	assert_int_equal(setsockopt(v4, X_SOL_RAW, X_ICMP_FILTER, &filter, sizeof filter), 0);
	assert_int_equal(setsockopt(v6, IPPROTO_ICMPV6, X_ICMPV6_FILTER, wanted, sizeof wanted), 0);
	f = trip(v4, &fd_inet);
	assert_int_equal(getsockopt(v4, X_SOL_RAW, X_ICMP_FILTER, &now, &len), 0);
	assert_int_equal(now, filter);
	fake_destroy(f);
	f = trip(v6, &fd_inet);
	len = sizeof got;
	assert_int_equal(getsockopt(v6, IPPROTO_ICMPV6, X_ICMPV6_FILTER, got, &len), 0);
	assert_memory_equal(got, wanted, sizeof wanted);
	fake_destroy(f);
}

static void test_raw_queue_refused(void **state)
{
	int fd = raw_socket(AF_INET, SOCK_RAW, PROTOCOL);
	struct sockaddr_in to = loopback();
	struct fake *f = fake_create();

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(sendto(fd, "q", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "datagrams that were not read");
	fake_destroy(f);
}

/* ---- packet sockets -----------------------------------------------------------------------------
 */

static struct sockaddr_ll on_loopback(void)
{
	return (struct sockaddr_ll){ .sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)(ETH_P_TEST | (getpid() & 0xfff))),
		.sll_ifindex = (int)if_nametoindex("lo") };
}

static void test_packet(void **state)
{
	int fd = raw_socket(AF_PACKET, SOCK_DGRAM, 0);
	struct sockaddr_ll ll = on_loopback(), got = { 0 };
	struct packet_mreq promiscuous = { .mr_ifindex = ll.sll_ifindex,
		.mr_type = PACKET_MR_PROMISC };
	struct sock_filter keep[] = { BPF_STMT(BPF_RET | BPF_K, 3) };
	struct sock_fprog filter = { 1, keep };
	socklen_t len = sizeof got;
	struct fake *f;

	(void)state;
	set_int(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	set_int(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	assert_int_equal(
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous),
		0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof ll), 0);
	f = trip(fd, &fd_packet);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&got, &len), 0);
	assert_int_equal(got.sll_protocol, ll.sll_protocol);
	assert_int_equal(got.sll_ifindex, ll.sll_ifindex);
	assert_int_equal(get_int(fd, SOL_PACKET, PACKET_AUXDATA), 1);
	assert_int_equal(get_int(fd, SOL_PACKET, PACKET_VERSION), TPACKET_V2);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &promiscuous,
				 sizeof promiscuous),
		0);
	assert_int_equal(sendto(fd, "frame", 5, 0, (struct sockaddr *)&ll, sizeof ll), 5);
	assert_int_equal(
		recv(fd, (char[64]){ 0 }, 64, 0), 3); /* so long is what the filter keeps */
	fake_destroy(f);
}

static void test_packet_fanout(void **state)
{
	int fd = raw_socket(AF_PACKET, SOCK_RAW, 0), group = getpid() & 0xffff, fanout;
	struct sockaddr_ll ll = on_loopback();
	struct fake *f;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof ll), 0);
	set_int(fd, SOL_PACKET, PACKET_FANOUT, group | PACKET_FANOUT_LB << 16);
	fanout = get_int(fd, SOL_PACKET, PACKET_FANOUT);
	f = trip(fd, &fd_packet);
	assert_int_equal(get_int(fd, SOL_PACKET, PACKET_FANOUT), fanout);
	fake_destroy(f);
}

/* Group 0 that spreads by hash reads as 0, like no group. In a network of its own: there may be
 * only one. The last test for that. */
static void test_packet_fanout_zero(void **state)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
		.sll_protocol = on_loopback().sll_protocol };
	int fd, alone;
	struct fake *f;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("network namespaces need CAP_SYS_ADMIN\n");
		skip();
	}
	fd = raw_socket(AF_PACKET, SOCK_RAW, 0);
	alone = raw_socket(AF_PACKET, SOCK_RAW, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof ll), 0);
	assert_int_equal(bind(alone, (struct sockaddr *)&ll, sizeof ll), 0);
	set_int(fd, SOL_PACKET, PACKET_VNET_HDR_SZ, 12);
	set_int(fd, SOL_PACKET, PACKET_FANOUT, 0);
	f = trip(fd, &fd_packet);
	assert_int_equal(get_int(fd, SOL_PACKET, PACKET_VNET_HDR_SZ), 12);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &(int){ 0 }, sizeof(int)), -1);
	assert_int_equal(errno, EALREADY);
	fake_destroy(f);
	f = trip(alone, &fd_packet);
	set_int(alone, SOL_PACKET, PACKET_FANOUT, 0);
	fake_destroy(f);
}

static void test_packet_refused(void **state)
{
	int fd = raw_socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll ll = on_loopback();
	struct tpacket_req ring = { 4096, 1, 2048, 2 };
	struct fake *f = fake_create();

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring), 0);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "with a ring");
	fake_destroy(f);
	f = fake_create();
	fd = raw_socket(AF_PACKET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof ll), 0);
	assert_int_equal(sendto(fd, "frame", 5, 0, (struct sockaddr *)&ll, sizeof ll), 5);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "a frame that was not read");
	fake_destroy(f);
}

static void test_malformed(void **state)
{
	int fd = raw_socket(AF_PACKET, SOCK_RAW, 0);
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, fd, &fd_packet);
	msg = fake_message(f, 0);
	msg->packet->type = SOCK_STREAM;
	fake_expect_bad(f, &fd_packet, msg, "packet socket of type");
	msg = fake_message(f, 0);
	msg->packet->protocol = 65536;
	fake_expect_bad(f, &fd_packet, msg, "packet socket of type");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_raw_filters),
		cmocka_unit_test(test_raw_queue_refused),
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_packet_fanout),
		cmocka_unit_test(test_packet_refused),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_packet_fanout_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
