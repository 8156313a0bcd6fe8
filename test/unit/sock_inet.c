/* TCP sockets: alive -> record -> message -> record -> alive, then compared and used. */
#include "test/unit/sock_inet.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "images/fd/listens.h"
#include "images/fd/sock_diag.h"
#include "tracee/tracee.h"

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
	fake_expect_words(f, fake_try_save(f, fd), EAGAIN, "1 connections to tcp 127.0.0.1:");
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
	if (setsockopt(ends[0], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
		len = len < 50000 ? len : 50000; /* not root: what fits into any buffer */
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

/* Whoever needs no words gives no struct err. */
static void test_nobody_listens_to_errors(void **state)
{
	struct diag_port found;
	struct rlimit all, none;
	int status, fd;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		getrlimit(RLIMIT_NOFILE, &all);
		none = (struct rlimit){ 0, all.rlim_max };
		setrlimit(RLIMIT_NOFILE, &none);
		_exit(sock_diag_port(IPPROTO_TCP, 1, &found, NULL) != -EMFILE ||
			thread_getfd(getpid(), 0, &fd, NULL) != -EMFILE);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
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
		cmocka_unit_test(test_refused_by_name),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nobody_listens_to_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
