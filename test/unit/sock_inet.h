/* What the unit tests of internet sockets share: names, sockets, round trips. */
#ifndef TEST_UNIT_SOCK_INET_H
#define TEST_UNIT_SOCK_INET_H

#include <errno.h>

#include "test/unit/fd_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* ---- helpers --------------------------------------------------------------------------------- */

struct addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

static inline struct addr loopback(int family)
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

static inline struct addr name_of(int fd)
{
	struct addr a = { .len = sizeof a.sa };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a.sa, &a.len), 0);
	return a;
}

static inline uint16_t port_of(int fd)
{
	struct addr a = name_of(fd);

	return ntohs(((struct sockaddr_in *)&a.sa)->sin_port);
}

static inline void assert_same_name(int fd, const struct addr *before)
{
	struct addr now = name_of(fd);

	assert_int_equal(now.len, before->len);
	assert_memory_equal(&now.sa, &before->sa, now.len);
}

static inline int new_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	assert_true(fd >= 0);
	return fd;
}

static inline void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof value) < 0)
		fail_msg("setsockopt %d %d: %s", level, name, strerror(errno));
}

static inline int get_int(int fd, int level, int name)
{
	int value = -12345;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static inline void bind_loopback(int fd, int family)
{
	struct addr a = loopback(family);

	assert_int_equal(bind(fd, (struct sockaddr *)&a.sa, a.len), 0);
}

static inline int listener(int family, int protocol, int backlog)
{
	int fd = new_socket(family, SOCK_STREAM, protocol);

	bind_loopback(fd, family);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* A connection can be made and carries bytes. */
static inline void assert_serves(int fd)
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

static inline struct fake *trip(int fd)
{
	struct fake *f = fake_create();

	fake_save(f, fd, &fd_inet);
	fake_carry(f);
	fake_make(f);
	return f;
}

static inline uint32_t backlog_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_state, TCP_LISTEN);
	return info.tcpi_sacked;
}

#endif
