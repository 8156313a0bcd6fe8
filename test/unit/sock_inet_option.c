/* Options and addresses of internet sockets come back. */
#include "test/unit/sock_inet.h"

#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

/* ---- options --------------------------------------------------------------------------------- */

struct int_option {
	int level, name, value;
	bool root;
};

static const struct int_option stream_options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, 1, false },
	{ SOL_SOCKET, SO_KEEPALIVE, 1, false },
	{ SOL_SOCKET, SO_OOBINLINE, 1, false },
	{ SOL_SOCKET, SO_DONTROUTE, 1, false },
	{ SOL_SOCKET, SO_PRIORITY, 5, false },
	{ SOL_SOCKET, SO_RCVLOWAT, 17, false },
	{ SOL_SOCKET, SO_MARK, 99, true },
	{ SOL_SOCKET, SO_INCOMING_CPU, 1, false },
	{ SOL_SOCKET, SO_ZEROCOPY, 1, false },
	{ SOL_SOCKET, SO_TIMESTAMPNS, 1, false },
	{ IPPROTO_TCP, TCP_NODELAY, 1, false },
	{ IPPROTO_TCP, TCP_CORK, 1, false },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 123, false },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 45, false },
	{ IPPROTO_TCP, TCP_KEEPCNT, 6, false },
	{ IPPROTO_TCP, TCP_SYNCNT, 3, false },
	{ IPPROTO_TCP, TCP_LINGER2, 11, false },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, 7, false },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, false },
	{ IPPROTO_TCP, TCP_MAXSEG, 1000, false },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 65536, false },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, 100000, false },
	{ IPPROTO_TCP, TCP_SAVE_SYN, 1, false },
	{ IPPROTO_TCP, TCP_FASTOPEN, 16, false },
	{ IPPROTO_IP, IP_TOS, 0x10, false },
	{ IPPROTO_IP, IP_TTL, 33, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, false },
	{ IPPROTO_IP, IP_FREEBIND, 1, false },
	{ IPPROTO_IP, IP_TRANSPARENT, 1, true },
	{ IPPROTO_IP, IP_MINTTL, 2, false },
};

static const struct int_option stream6_options[] = {
	{ IPPROTO_IPV6, IPV6_V6ONLY, 1, false },
	{ IPPROTO_IPV6, IPV6_TCLASS, 0x20, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12, false },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, false },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0, false },
	{ SOL_SOCKET, SO_KEEPALIVE, 1, false },
};

static const struct int_option dgram_options[] = {
	{ SOL_SOCKET, SO_BROADCAST, 1, false },
	{ SOL_SOCKET, SO_RXQ_OVFL, 1, false },
	{ SOL_SOCKET, SO_NO_CHECK, 1, false },
	{ SOL_SOCKET, SO_TIMESTAMP, 1, false },
	{ SOL_SOCKET, SO_PEEK_OFF, 3, false },
	{ IPPROTO_IP, IP_PKTINFO, 1, false },
	{ IPPROTO_IP, IP_RECVTTL, 1, false },
	{ IPPROTO_IP, IP_RECVERR, 1, false },
	{ IPPROTO_IP, IP_MULTICAST_TTL, 9, false },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, 0, false },
	{ IPPROTO_IP, IP_MULTICAST_ALL, 0, false },
	{ IPPROTO_UDP, UDP_CORK, 1, false },
	{ IPPROTO_UDP, 103 /* UDP_SEGMENT */, 1200, false },
	{ IPPROTO_UDP, 104 /* UDP_GRO */, 1, false },
};

static bool may(const struct int_option *o)
{
	return !o->root || geteuid() == 0;
}

static void options_come_back(int fd, const struct int_option *options, size_t nr, bool listens)
{
	int before[64];
	struct fake *f;

	for (size_t i = 0; i < nr; i++)
		if (may(&options[i]))
			set_int(fd, options[i].level, options[i].name, options[i].value);
	if (listens)
		assert_int_equal(listen(fd, 5), 0);
	for (size_t i = 0; i < nr; i++)
		before[i] = get_int(fd, options[i].level, options[i].name);
	f = trip(fd);
	for (size_t i = 0; i < nr; i++)
		if (get_int(fd, options[i].level, options[i].name) != before[i])
			fail_msg("option %d of level %d was %d", options[i].name, options[i].level,
				before[i]);
	fake_destroy(f);
}

#define NR(array) (sizeof(array) / sizeof *(array))

static void test_options(void **state)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	bind_loopback(fd, AF_INET);
	options_come_back(fd, stream_options, NR(stream_options), true);
	fd = new_socket(AF_INET6, SOCK_STREAM, 0);
	options_come_back(fd, stream6_options, NR(stream6_options), false);
	fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	bind_loopback(fd, AF_INET);
	options_come_back(fd, dgram_options, NR(dgram_options), false);
}

static void test_options_of_other_sizes(void **state)
{
	struct timeval rcv = { 3, 500000 }, snd = { 7, 0 }, now;
	struct linger linger = { 1, 42 }, linger_now;
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);
	char text[16] = "";
	struct fake *f;
	socklen_t len;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &rcv, sizeof rcv), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &snd, sizeof snd), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	f = trip(fd);
	len = sizeof now;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, &len), 0);
	assert_memory_equal(&now, &rcv, sizeof now);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &now, &len), 0);
	assert_memory_equal(&now, &snd, sizeof now);
	len = sizeof linger_now;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger_now, &len), 0);
	assert_memory_equal(&linger_now, &linger, sizeof linger);
	len = sizeof text;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len), 0);
	assert_string_equal(text, "reno");
	len = sizeof text;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, text, &len), 0);
	assert_string_equal(text, "lo");
	fake_destroy(f);
}

/* Buffers that were set come back locked at the same size; the others go on tuning themselves. */
static void test_buffers(void **state)
{
	int fd = listener(AF_INET, 0, 5), rcv, snd, locked;
	struct fake *f;

	(void)state;
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	rcv = get_int(fd, SOL_SOCKET, SO_RCVBUF);
	snd = get_int(fd, SOL_SOCKET, SO_SNDBUF);
	locked = get_int(fd, SOL_SOCKET, 72 /* SO_BUF_LOCK */);
	f = trip(fd);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), rcv);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_SNDBUF), snd);
	assert_int_equal(get_int(fd, SOL_SOCKET, 72), locked);
	fake_destroy(f);
}

/* A plain listener costs no setsockopt(2) at restore. */
static void test_defaults_are_not_recorded(void **state)
{
	int any = new_socket(AF_INET6, SOCK_STREAM, 0); /* binding to one address implies V6ONLY */
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	assert_int_equal(listen(any, 5), 0);
	fake_save(f, listener(AF_INET, 0, 5), &fd_inet);
	fake_save(f, any, &fd_inet);
	fake_save(f, new_socket(AF_INET, SOCK_DGRAM, 0), &fd_inet);
	for (uint32_t i = 0; i < 3; i++) {
		msg = fake_message(f, i);
		if (msg->inet->n_options)
			fail_msg("option %u of level %u", msg->inet->options[0]->name,
				msg->inet->options[0]->level);
		pb__ofd__free_unpacked(msg, NULL);
	}
	fake_destroy(f);
}

static void test_filter(void **state)
{
	struct sock_filter code[] = { { BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 },
		{ BPF_JMP | BPF_JGE | BPF_K, 0, 1, 100 }, { BPF_RET | BPF_K, 0, 0, 0 },
		{ BPF_RET | BPF_K, 0, 0, 0xffff } },
			   now[8];
	struct sock_fprog prog = { NR(code), code };
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = NR(now);
	struct fake *f;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog), 0);
	set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	f = trip(fd);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, now, &len), 0);
	assert_int_equal(len, NR(code));
	assert_memory_equal(now, code, sizeof code);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
	fake_destroy(f);
}

static int load_ebpf(void)
{
	struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = NR(code),
		.insns = (uintptr_t)code,
		.license = (uintptr_t) "GPL" };

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

static void test_ebpf_filter(void **state)
{
	struct fake *f = fake_create();
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0), prog = load_ebpf();

	(void)state;
	if (prog < 0)
		skip();
	set_int(fd, SOL_SOCKET, SO_ATTACH_BPF, prog);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "an eBPF program filters this socket");
	close(prog);
	fake_destroy(f);
}

/* An address of one interface comes back by the interface's name. */
static void test_scope(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex("lo") };
	int fd = new_socket(AF_INET6, SOCK_STREAM, 0);
	struct addr before;
	struct fake *f;

	(void)state;
	inet_pton(AF_INET6, "fe80::77", &a.sin6_addr);
	set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	before = name_of(fd);
	f = trip(fd);
	assert_same_name(fd, &before);
	assert_non_null(strstr(f->snap->ofds[0].label, "[fe80::77%lo]:"));
	fake_destroy(f);
}

/* IPv4 through an IPv6 socket. */
static void test_mapped(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	int fd = new_socket(AF_INET6, SOCK_STREAM, 0);
	struct addr before;
	struct fake *f;

	(void)state;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 3), 0);
	before = name_of(fd);
	f = trip(fd);
	assert_same_name(fd, &before);
	assert_serves(fd);
	fake_destroy(f);
}

static struct fake *saved_on_a_low_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct fake *f = fake_create();
	int fd = new_socket(AF_INET, SOCK_STREAM, 0), port = 1023;

	do
		a.sin_port = htons((uint16_t)port);
	while (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 && --port > 900);
	assert_int_equal(listen(fd, 1), 0);
	fake_save(f, fd, &fd_inet);
	fake_carry(f);
	return f;
}

static void test_low_port_without_privilege(void **state)
{
	struct fake *f;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	f = saved_on_a_low_port();
	pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0 || fake_try_make(f) != -EACCES)
			_exit(1);
		_exit(!strstr(f->err.msg, "bind tcp 127.0.0.1:") ||
			!strstr(f->err.hint, "ip_unprivileged_port_start"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_options_of_other_sizes),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_defaults_are_not_recorded),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_ebpf_filter),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_low_port_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
