/* Internet sockets: alive -> record -> message -> record -> alive, then compared and used. */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "images/fd/listens.h"

/* ---- helpers --------------------------------------------------------------------------------- */

struct addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

static struct addr loopback(int family)
{
	struct addr a = { .sa.ss_family = (sa_family_t)family, .len = sizeof(struct sockaddr_in) };

	if (family == AF_INET) {
		((struct sockaddr_in *)&a.sa)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		((struct sockaddr_in6 *)&a.sa)->sin6_addr = in6addr_loopback;
		a.len = sizeof(struct sockaddr_in6);
	}
	return a;
}

static struct addr name_of(int fd)
{
	struct addr a = { .len = sizeof a.sa };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a.sa, &a.len), 0);
	return a;
}

static uint16_t port_of(int fd)
{
	struct addr a = name_of(fd);

	return ntohs(((struct sockaddr_in *)&a.sa)->sin_port);
}

static void assert_same_name(int fd, const struct addr *before)
{
	struct addr now = name_of(fd);

	assert_int_equal(now.len, before->len);
	assert_memory_equal(&now.sa, &before->sa, now.len);
}

static int new_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	assert_true(fd >= 0);
	return fd;
}

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof value) < 0)
		fail_msg("setsockopt %d %d: %s", level, name, strerror(errno));
}

static int get_int(int fd, int level, int name)
{
	int value = -12345;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void bind_loopback(int fd, int family)
{
	struct addr a = loopback(family);

	assert_int_equal(bind(fd, (struct sockaddr *)&a.sa, a.len), 0);
}

static int listener(int family, int protocol, int backlog)
{
	int fd = new_socket(family, SOCK_STREAM, protocol);

	bind_loopback(fd, family);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* A connection can be made and carries bytes. */
static void assert_serves(int fd)
{
	struct addr a = name_of(fd);
	int client = new_socket(a.sa.ss_family, SOCK_STREAM, 0), end;
	char byte = 0;

	assert_int_equal(connect(client, (struct sockaddr *)&a.sa, a.len), 0);
	end = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(end >= 0);
	assert_int_equal(send(client, "x", 1, 0), 1);
	assert_int_equal(recv(end, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	close(end);
	close(client);
}

static struct fake *trip(int fd)
{
	struct fake *f = fake_create();

	fake_save(f, fd, &fd_inet);
	fake_carry(f);
	fake_make(f);
	return f;
}

static uint32_t backlog_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_state, TCP_LISTEN);
	return info.tcpi_sacked;
}

/* ---- stream sockets -------------------------------------------------------------------------- */

static void listening_comes_back(int family, int protocol)
{
	int fd = listener(family, protocol, 77);
	struct addr before = name_of(fd);
	struct fake *f = trip(fd);

	assert_same_name(fd, &before);
	assert_int_equal(backlog_of(fd), 77);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), protocol);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	assert_serves(fd);
	fake_destroy(f);
}

static void test_listen(void **state)
{
	(void)state;
	listening_comes_back(AF_INET, IPPROTO_TCP);
	listening_comes_back(AF_INET6, IPPROTO_TCP);
}

static void test_listen_mptcp(void **state)
{
	int probe = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	(void)state;
	if (probe < 0)
		skip();
	close(probe);
	listening_comes_back(AF_INET, IPPROTO_MPTCP);
}

static void test_neither_bound_nor_listening(void **state)
{
	int fd = new_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct fake *f;

	(void)state;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	f = trip(fd);
	assert_int_equal(port_of(fd), 0);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	fake_destroy(f);
}

static void test_bound_not_listening(void **state)
{
	int fd = new_socket(AF_INET6, SOCK_STREAM, 0);
	struct addr before;
	struct fake *f;

	(void)state;
	bind_loopback(fd, AF_INET6);
	before = name_of(fd);
	f = trip(fd);
	assert_same_name(fd, &before);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_serves(fd);
	fake_destroy(f);
}

/* Both families on one port, which only works with IPV6_V6ONLY set before the bind. */
static void test_dual(void **state)
{
	int v4 = new_socket(AF_INET, SOCK_STREAM, 0), v6 = new_socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in any4 = { .sin_family = AF_INET };
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
	struct fake *f = fake_create();

	(void)state;
	set_int(v6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	assert_int_equal(bind(v4, (struct sockaddr *)&any4, sizeof any4), 0);
	any6.sin6_port = htons(port_of(v4));
	assert_int_equal(bind(v6, (struct sockaddr *)&any6, sizeof any6), 0);
	assert_int_equal(listen(v4, 5), 0);
	assert_int_equal(listen(v6, 6), 0);
	fake_save(f, v6, &fd_inet);
	fake_save(f, v4, &fd_inet);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(port_of(v4), port_of(v6));
	assert_int_equal(get_int(v6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	fake_destroy(f);
}

static void test_reuseport_group(void **state)
{
	struct fake *f = fake_create();
	int fds[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct addr a = i ? name_of(fds[0]) : loopback(AF_INET);

		fds[i] = new_socket(AF_INET, SOCK_STREAM, 0);
		set_int(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&a.sa, a.len), 0);
		assert_int_equal(listen(fds[i], 9), 0);
	}
	for (int i = 0; i < 3; i++)
		fake_save(f, fds[i], &fd_inet);
	fake_carry(f);
	fake_make(f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(port_of(fds[i]), port_of(fds[0]));
		assert_int_equal(backlog_of(fds[i]), 9);
	}
	fake_destroy(f);
}

/* A server's own closed connection (TIME_WAIT) does not keep it from coming back. */
static void restore_over_time_wait(int reuseaddr)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0), client, end;
	struct fake *f;
	struct addr a;
	char byte;

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, reuseaddr);
	bind_loopback(fd, AF_INET);
	assert_int_equal(listen(fd, 5), 0);
	a = name_of(fd);
	client = new_socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a.sa, a.len), 0);
	end = accept(fd, NULL, NULL);
	close(end); /* first to close: this side keeps TIME_WAIT */
	assert_int_equal(recv(client, &byte, 1, 0), 0);
	close(client);
	f = trip(fd);
	assert_same_name(fd, &a);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_REUSEADDR), reuseaddr);
	assert_serves(fd);
	fake_destroy(f);
}

static void test_time_wait(void **state)
{
	(void)state;
	restore_over_time_wait(1);
	if (geteuid() == 0)
		restore_over_time_wait(0);
}

static void test_address_in_use(void **state)
{
	int fd = listener(AF_INET, 0, 5), other;
	struct fake *f = fake_create();
	struct addr a = name_of(fd);
	char words[64];

	(void)state;
	fake_save(f, fd, &fd_inet);
	fake_carry(f);
	close(fd);
	fd_close(&f->dups[0]);
	other = new_socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(other, (struct sockaddr *)&a.sa, a.len), 0);
	assert_int_equal(listen(other, 1), 0);
	f->slots[0] = -1;
	snprintf(words, sizeof words, "tcp 127.0.0.1:%u is in use", port_of(other));
	fake_expect_words(f, fake_try_make(f), EADDRINUSE, words);
	snprintf(words, sizeof words, "process %d", getpid());
	assert_non_null(strstr(f->err.hint, words));
	close(other);
	fake_destroy(f);
}

static void test_waiting_connection(void **state)
{
	int fd = listener(AF_INET, 0, 5), client = new_socket(AF_INET, SOCK_STREAM, 0);
	struct fake *f = fake_create();
	struct addr a = name_of(fd);

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&a.sa, a.len), 0);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "1 connections to tcp 127.0.0.1:");
	fake_destroy(f);

	fd = listener(AF_INET, 0, 5);
	a = name_of(fd);
	close(client);
	client = new_socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a.sa, a.len), 0);
	f = fake_create();
	f->opts.tcp_close = true;
	assert_int_equal(fake_try_save(f, fd), 0);
	close(client);
	fake_destroy(f);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void connection(int family, int protocol, int ends[2])
{
	int fd = listener(family, protocol, 5);
	struct addr a = name_of(fd);

	ends[0] = new_socket(family, SOCK_STREAM, protocol);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&a.sa, a.len), 0);
	ends[1] = accept(fd, NULL, NULL);
	assert_true(ends[1] >= 0);
	close(fd);
}

static void test_established_refused(void **state)
{
	struct fake *f = fake_create();
	int ends[2];

	(void)state;
	connection(AF_INET, 0, ends);
	fake_expect_words(f, fake_try_save(f, ends[0]), ENOTSUP, "is established");
	assert_non_null(strstr(f->err.hint, "--tcp-close"));
	close(ends[1]);
	fake_destroy(f);
}

static void assert_was_reset(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	bool tcp = get_int(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
	short all = POLLERR | POLLHUP |
		    (tcp ? POLLRDHUP | POLLIN : 0); /* the kernel tells less of MPTCP */
	char byte;

	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents & all, all);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(fd, &byte, 1, 0), tcp ? 0 : -1);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

static void closed_connection(int family, int protocol)
{
	struct fake *f = fake_create();
	int ends[2];

	connection(family, protocol, ends);
	set_int(ends[1], IPPROTO_TCP, TCP_NODELAY, 1);
	f->opts.tcp_close = true;
	fake_save(f, ends[1], &fd_inet);
	fake_carry(f);
	fake_make(f);
	assert_was_reset(ends[1]);
	assert_int_equal(
		get_int(ends[1], SOL_SOCKET, SO_PROTOCOL), protocol ? protocol : IPPROTO_TCP);
	assert_int_equal(get_int(ends[1], IPPROTO_TCP, TCP_NODELAY), 1);
	close(ends[0]);
	fake_destroy(f);
}

static void test_tcp_close(void **state)
{
	int probe = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	(void)state;
	closed_connection(AF_INET, 0);
	closed_connection(AF_INET6, 0);
	if (probe >= 0)
		closed_connection(AF_INET, IPPROTO_MPTCP);
	close(probe);
}

/* A connection that was reset before the dump is no longer anybody's: no option is needed. */
static void reset_comes_back(bool told)
{
	struct linger hard = { 1, 0 };
	struct fake *f;
	int ends[2];
	char byte;

	connection(AF_INET, 0, ends);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	close(ends[1]);
	if (told) {
		assert_int_equal(recv(ends[0], &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
	}
	f = trip(ends[0]);
	if (!told)
		assert_was_reset(ends[0]);
	assert_int_equal(recv(ends[0], &byte, 1, 0), 0);
	fake_destroy(f);
}

static void test_reset_connection(void **state)
{
	(void)state;
	reset_comes_back(false);
	reset_comes_back(true);
}

/* What came before the end is read first; hard: then the reset, else the end. */
static void ended_with_data(bool hard, size_t len)
{
	struct linger linger = { hard, 0 };
	struct fake *f = fake_create();
	char *data = malloc(len), *got = malloc(len + 1);
	struct pollfd p = { .events = POLLRDHUP };
	int ends[2], bytes = 0;

	assert_true(data && got);
	memset(data, 'd', len);
	connection(AF_INET, 0, ends);
	bytes = (int)len * 2;
	setsockopt(ends[0], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	assert_int_equal(send(ends[1], data, len, 0), len);
	for (bytes = 0; (size_t)bytes < len; poll(NULL, 0, 1))
		assert_int_equal(ioctl(ends[0], FIONREAD, &bytes), 0);
	if (!hard)
		assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	close(ends[1]);
	p.fd = ends[0];
	assert_int_equal(poll(&p, 1, 5000), 1);
	fake_save(f, ends[0], &fd_inet);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(recv(ends[0], got, len, MSG_WAITALL), len);
	assert_memory_equal(data, got, len);
	assert_int_equal(recv(ends[0], got, 1, MSG_DONTWAIT), hard ? -1 : 0);
	fake_destroy(f);
	free(data);
	free(got);
}

static void test_reset_with_data(void **state)
{
	(void)state;
	ended_with_data(true, 3);
	ended_with_data(false, 3);
	ended_with_data(false, 200000);
}

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
		if (i < 2)
			close(from);
		fake_save(f, fd, &fd_inet);
		fake_carry(f);
		fake_make(f);
		expect_text(fd, "first", &sender);
		expect_text(fd, "", &sender);
		expect_text(fd, "third", &sender);
		if (i >= 2)
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

/* ---- refusals, words, damaged images --------------------------------------------------------- */

static void refused(int family, int type, int protocol, const char *words)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol), ret;
	struct fake *f;

	if (fd < 0)
		return; /* not in this kernel, or not permitted */
	f = fake_create();
	ret = fake_try_save(f, fd);
	fake_expect_words(f, ret, ENOTSUP, words);
	fake_destroy(f);
}

static void test_refused_by_name(void **state)
{
	(void)state;
	refused(AF_INET, SOCK_STREAM, IPPROTO_SCTP, "an SCTP socket");
	refused(AF_VSOCK, SOCK_STREAM, 0, "a vsock socket");
	refused(AF_ALG, SOCK_SEQPACKET, 0, "crypto API");
}

static void test_words(void **state)
{
	struct fake *f = fake_create();
	struct arena *arena = arena_create();
	int tcp = listener(AF_INET, 0, 5), udp = new_socket(AF_INET6, SOCK_DGRAM, 0);
	char words[128];

	(void)state;
	bind_loopback(udp, AF_INET6);
	fake_save(f, tcp, &fd_inet);
	fake_save(f, udp, &fd_inet);
	fake_carry(f);
	snprintf(words, sizeof words, "127.0.0.1:%u, [::1]:%u/udp", port_of(tcp), port_of(udp));
	assert_string_equal(sock_listens(f->snap), words);
	snprintf(words, sizeof words, "tcp 127.0.0.1:%u, listens, backlog 5", port_of(tcp));
	assert_string_equal(fd_inet.describe(f->snap, &f->snap->ofds[0], arena), words);
	snprintf(words, sizeof words, "udp [::1]:%u", port_of(udp));
	assert_string_equal(f->snap->ofds[1].label, words);
	arena_destroy(arena);
	fake_destroy(f);
}

static void test_malformed(void **state)
{
	struct fake *f = fake_create();
	int fd = listener(AF_INET, 0, 5);
	Pb__Ofd *msg;

	(void)state;
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	fake_save(f, fd, &fd_inet);
#define BREAK(words, ...)                                                                          \
	do {                                                                                       \
		msg = fake_message(f, 0);                                                          \
		__VA_ARGS__;                                                                       \
		fake_expect_bad(f, &fd_inet, msg, words);                                          \
	} while (0)
	BREAK("family 5", msg->inet->family = 5);
	BREAK("protocol 99", msg->inet->protocol = 99);
	BREAK("type 2", msg->inet->type = SOCK_DGRAM);
	BREAK("state 77", msg->inet->state = 77);
	BREAK("state 2", msg->inet->state = 2);
	BREAK("state 1", msg->inet->backlog = UINT32_MAX);
	BREAK("4 bytes", msg->inet->family = AF_INET6);
	BREAK("3 bytes", msg->inet->local->addr.len = 3);
	BREAK("port 65536", msg->inet->local->port = 65536);
	BREAK("unknown socket option", msg->inet->options[0]->name = 9999);
	BREAK("SO_KEEPALIVE has 3 bytes", msg->inet->options[0]->value.len = 3);
	BREAK("out of order", msg->inet->options[1]->level = msg->inet->options[0]->level;
		msg->inet->options[1]->name = msg->inet->options[0]->name);
	BREAK("message is missing", pb__inet_sock__free_unpacked(msg->inet, NULL);
		msg->inet = NULL);
#undef BREAK
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_listen_mptcp),
		cmocka_unit_test(test_neither_bound_nor_listening),
		cmocka_unit_test(test_bound_not_listening),
		cmocka_unit_test(test_dual),
		cmocka_unit_test(test_reuseport_group),
		cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_address_in_use),
		cmocka_unit_test(test_waiting_connection),
		cmocka_unit_test(test_established_refused),
		cmocka_unit_test(test_tcp_close),
		cmocka_unit_test(test_reset_connection),
		cmocka_unit_test(test_reset_with_data),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_options_of_other_sizes),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_defaults_are_not_recorded),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_ebpf_filter),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_low_port_without_privilege),
		cmocka_unit_test(test_udp_bound),
		cmocka_unit_test(test_udp_connected),
		cmocka_unit_test(test_udp_queue),
		cmocka_unit_test(test_udp_queue_stays),
		cmocka_unit_test(test_udp_shutdown),
		cmocka_unit_test(test_multicast),
		cmocka_unit_test(test_refused_by_name),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
