/*
 * Damaged messages of sockets: whatever bytes of a valid message change, unpacking refuses it or
 * gives a record that can be described and packed again. Says most under a sanitizer.
 */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <net/if.h>
#include <sys/socket.h>

#include "images/fd/listens.h"

enum { ROUNDS = 3000 };

static void set_int(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof value), 0);
}

/* A listener, and a client that has sent something before it was accepted. */
static void save_waiting(struct fake *f)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	assert_int_equal(
		bind(listener, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(send(client, "early", 5, 0), 5);
	f->opts.launched = true;
	fake_save(f, client, &fd_unix);
	fake_save(f, listener, &fd_unix);
}

/* The same of TCP. */
static void save_tcp_waiting(struct fake *f)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof sa;
	uint32_t id;

	assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(send(client, "early", 5, 0), 5);
	fake_save(f, client, &fd_inet);
	fake_save(f, listener, &fd_inet);
	id = (uint32_t)f->snap->nr_ofds - 1;
	assert_int_equal(fd_inet.save_last(&f->seen[id], &f->snap->ofds[id], NULL, &f->err), 0);
}

/* A few sockets with something in every field. */
static struct fake *subjects(void)
{
	struct ipv6_mreq group = { .ipv6mr_interface = if_nametoindex("lo") };
	struct fake *f = fake_create();
	int inet = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), pair[2];

	group.ipv6mr_multiaddr.s6_addr[0] = 0xff;
	group.ipv6mr_multiaddr.s6_addr[1] = 2;
	group.ipv6mr_multiaddr.s6_addr[15] = 0x77;
	set_int(inet, SOL_SOCKET, SO_BROADCAST, 1);
	set_int(inet, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	setsockopt(inet, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group);
	assert_int_equal(bind(inet,
				 (struct sockaddr *)&(struct sockaddr_in6){ .sin6_family = AF_INET6,
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT },
				 sizeof(struct sockaddr_in6)),
		0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
		bind(pair[1], &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)), 0);
	assert_int_equal(send(pair[0], "hello", 5, 0), 5);
	set_int(netlink, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 1);
	fake_save(f, inet, &fd_inet);
	fake_save(f, pair[0], &fd_unix);
	fake_save(f, pair[1], &fd_unix);
	fake_save(f, netlink, &fd_netlink);
	save_waiting(f);
	save_tcp_waiting(f);
	assert_int_equal(fake_try_save_links(f), 0);
	return f;
}

/* Always the same sequence. */
static uint32_t chance(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static bool try_unpack(struct fake *f, uint32_t id, const uint8_t *bytes, size_t len)
{
	struct snap *read = fake_tables(f->snap);
	struct snap_ofd *ofd = &read->ofds[id];
	Pb__Ofd *msg = pb__ofd__unpack(NULL, len, bytes), again = PB__OFD__INIT;
	bool good = msg && ofd->kind->unpack(read, msg, ofd, &f->err) == 0;

	if (good) {
		assert_non_null(ofd->kind->describe(read, ofd, read->arena));
		assert_int_equal(ofd->kind->pack(read, ofd, &again, &f->err), 0);
		assert_true(pb__ofd__get_packed_size(&again) > 0);
		sock_listens(read);
	} else if (msg) {
		assert_int_equal(f->err.code, EBADMSG);
	}
	if (msg)
		pb__ofd__free_unpacked(msg, NULL);
	snap_destroy(read);
	return good;
}

static void damage(struct fake *f, uint32_t id)
{
	uint8_t *good, *bad;
	uint32_t seed = id + 1;
	Pb__Ofd *msg = fake_message(f, id);
	size_t len = pb__ofd__get_packed_size(msg);

	good = malloc(len);
	bad = malloc(len);
	assert_true(good && bad);
	pb__ofd__pack(msg, good);
	pb__ofd__free_unpacked(msg, NULL);
	assert_true(try_unpack(f, id, good, len));
	for (size_t cut = 0; cut < len; cut++)
		try_unpack(f, id, good, cut);
	for (int i = 0; i < ROUNDS; i++) {
		memcpy(bad, good, len);
		for (uint32_t n = chance(&seed) % 3 + 1; n > 0; n--)
			bad[chance(&seed) % len] = (uint8_t)chance(&seed);
		try_unpack(f, id, bad, len);
	}
	free(good);
	free(bad);
}

static void test_damaged(void **state)
{
	struct fake *f = subjects();

	(void)state;
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		damage(f, i);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_damaged) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
