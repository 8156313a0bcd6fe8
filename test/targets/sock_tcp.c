/* TCP connections that are carried over (--tcp-established). Both ends are inside: what one end has
 * sent the other one must get, all of it, once. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends {
	int a, b; /* b was accepted */
};

static socklen_t loopback(struct sockaddr_storage *sa, int family, in_port_t port)
{
	struct sockaddr_in6 *v6 = (void *)sa;
	struct sockaddr_in *v4 = (void *)sa;

	memset(sa, 0, sizeof *sa);
	sa->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		v4->sin_port = port;
		return sizeof *v4;
	}
	v6->sin6_addr = in6addr_loopback;
	v6->sin6_port = port;
	return sizeof *v6;
}

static int listener(int family, in_port_t *port)
{
	struct sockaddr_storage sa;
	socklen_t len = loopback(&sa, family, 0);
	int fd = (int)must(socket(family, SOCK_STREAM, 0));

	must(bind(fd, (struct sockaddr *)&sa, len));
	must(listen(fd, 8));
	must(getsockname(fd, (struct sockaddr *)&sa, &len));
	*port = ((struct sockaddr_in *)&sa)->sin_port; /* at the same place in both */
	return fd;
}

static struct ends accepted(int listening, int family, in_port_t port)
{
	struct ends e = { (int)must(socket(family, SOCK_STREAM, 0)), -1 };
	struct sockaddr_storage sa;
	socklen_t len = loopback(&sa, family, port);

	must(connect(e.a, (struct sockaddr *)&sa, len));
	e.b = (int)must(accept(listening, NULL, NULL));
	return e;
}

static struct ends connection(int family)
{
	in_port_t port;
	int fd = listener(family, &port);
	struct ends e = accepted(fd, family, port);

	close(fd);
	return e;
}

static void says(int from, int to, const char *text)
{
	char data[64] = "";

	expect(send(from, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send: %s",
		strerror(errno));
	expect(recv(to, data, strlen(text), MSG_WAITALL) == (ssize_t)strlen(text), "recv %s: %s",
		text, strerror(errno));
	expect(!strcmp(text, data), "%s became %s", text, data);
}

static void talk(struct ends e)
{
	says(e.a, e.b, "there");
	says(e.b, e.a, "and back");
}

static void expect_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	expect(n == 0, "%zd instead of the end: %s", n, n < 0 ? strerror(errno) : "");
}

static uint8_t state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

static void wait_state(int fd, uint8_t state)
{
	int64_t end = now_ms() + 5000;

	while (state_of(fd) != state) {
		expect(now_ms() < end, "state %u, not %u", state_of(fd), state);
		poll(NULL, 0, 1);
	}
}

/* Plain ones of both families, a listener that goes on, and more than one on its port. */
static void tcp_carried(void)
{
	in_port_t port;
	int fd = listener(AF_INET, &port);
	struct ends v4[2] = { accepted(fd, AF_INET, port), accepted(fd, AF_INET, port) },
		    v6 = connection(AF_INET6), more;

	talk(v4[0]);
	target_wait();
	talk(v4[0]);
	talk(v4[1]);
	talk(v6);
	more = accepted(fd, AF_INET, port);
	talk(more);
}

static void tcp_carried_queued(void)
{
	struct ends e = connection(AF_INET), six = connection(AF_INET6);
	char data[16] = "";

	says(e.a, e.b, "read already");
	must(send(e.a, "to b", 4, 0));
	must(send(e.b, "to a", 4, 0));
	must(send(six.a, "six", 3, 0));
	target_wait();
	expect(recv(e.b, data, sizeof data, 0) == 4 && !memcmp(data, "to b", 4), "queue of b");
	expect(recv(e.a, data, sizeof data, 0) == 4 && !memcmp(data, "to a", 4), "queue of a");
	expect(recv(six.b, data, sizeof data, 0) == 3 && !memcmp(data, "six", 3), "queue of six");
	talk(e);
	talk(six);
}

/* As much as fits into both queues: the window is closed, and a part was never sent. */
static size_t stuff(int fd, uint32_t seed)
{
	enum { MOST = 64 << 20 };
	char *data = malloc(MOST);
	size_t done = 0;
	ssize_t n;

	expect(data, "memory");
	pattern_fill(data, MOST, seed);
	while (done < MOST && (n = send(fd, data + done, MOST - done, MSG_DONTWAIT)) > 0)
		done += (size_t)n;
	free(data);
	return done;
}

static void expect_stuffed(int fd, size_t len, uint32_t seed)
{
	char *data = malloc(len);
	size_t done = 0;
	ssize_t n;

	expect(data, "memory");
	while (done < len && (n = recv(fd, data + done, len - done, 0)) > 0)
		done += (size_t)n;
	expect(done == len, "%zu of %zu bytes", done, len);
	expect(pattern_is(data, len, seed), "other bytes");
	free(data);
}

static void tcp_carried_full(void)
{
	struct ends e = connection(AF_INET), both = connection(AF_INET6);
	size_t there = stuff(e.a, 1), one = stuff(both.a, 2), two = stuff(both.b, 3);

	target_wait();
	expect_stuffed(e.b, there, 1);
	expect_stuffed(both.b, one, 2);
	expect_stuffed(both.a, two, 3);
	talk(e);
	talk(both);
}

/* FIN_WAIT2 and CLOSE_WAIT, with and without bytes before the end; FIN_WAIT1 behind a closed
 * window. */
static void tcp_carried_half(void)
{
	struct ends plain = connection(AF_INET), queued = connection(AF_INET6),
		    blocked = connection(AF_INET);
	size_t len = stuff(blocked.a, 5);

	must(shutdown(plain.a, SHUT_WR));
	must(send(queued.b, "last", 4, 0));
	must(shutdown(queued.b, SHUT_WR));
	must(shutdown(blocked.a, SHUT_WR));
	wait_state(plain.a, 5);
	wait_state(plain.b, 8);
	wait_state(queued.b, 5);
	wait_state(queued.a, 8);
	wait_state(blocked.a, 4);
	target_wait();
	expect(state_of(plain.a) == 5 && state_of(plain.b) == 8, "states");
	expect_end(plain.b);
	says(plain.b, plain.a, "still");
	must(close(plain.b));
	expect_end(plain.a);
	says(queued.a, queued.b, "still");
	expect(recv(queued.a, (char[8]){ 0 }, 8, 0) == 4, "bytes before the end");
	expect_end(queued.a);
	expect_stuffed(blocked.b, len, 5);
	expect_end(blocked.b);
	says(blocked.b, blocked.a, "still");
}

/* The other end was closed: the one that connected, and the one that was accepted. */
static void tcp_carried_closed(void)
{
	in_port_t port;
	int listening = listener(AF_INET, &port);
	struct ends e[] = { accepted(listening, AF_INET, port), accepted(listening, AF_INET, port),
		connection(AF_INET6) };
	int left[] = { e[0].a, e[1].b, e[2].a };

	for (int i = 0; i < 3; i++) {
		int other = i == 1 ? e[i].a : e[i].b;

		must(send(other, "last", 4, 0));
		must(close(other));
		wait_state(left[i], 8);
	}
	target_wait();
	for (int i = 0; i < 3; i++) {
		expect(state_of(left[i]) == 8, "state %u", state_of(left[i]));
		expect(recv(left[i], (char[8]){ 0 }, 8, 0) == 4, "bytes before the end");
		expect_end(left[i]);
	}
	e[0] = accepted(listening, AF_INET, port);
	talk(e[0]);
}

static const struct {
	int level, name, value;
} options[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ SOL_SOCKET, SO_REUSEADDR, 1 },
	{ SOL_SOCKET, SO_RCVBUF, 70000 },
	{ SOL_SOCKET, SO_SNDBUF, 80000 },
	{ IPPROTO_TCP, TCP_NODELAY, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 77 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 54321 },
	{ IPPROTO_IP, IP_TOS, 0x10 },
};

static void tcp_carried_options(void)
{
	enum { NR = sizeof options / sizeof *options };
	struct ends e = connection(AF_INET);
	int before[NR], mss = sock_option(e.a, IPPROTO_TCP, TCP_MAXSEG);

	for (int i = 0; i < NR; i++) {
		sock_set(e.a, options[i].level, options[i].name, options[i].value);
		before[i] = sock_option(e.a, options[i].level, options[i].name);
	}
	must(fcntl(e.b, F_SETFL, O_NONBLOCK));
	target_wait();
	for (int i = 0; i < NR; i++)
		expect(sock_option(e.a, options[i].level, options[i].name) == before[i],
			"option %d of level %d is %d, was %d", options[i].name, options[i].level,
			sock_option(e.a, options[i].level, options[i].name), before[i]);
	expect(sock_option(e.a, IPPROTO_TCP, TCP_MAXSEG) > mss / 2, "mss");
	expect(fcntl(e.b, F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
	must(fcntl(e.b, F_SETFL, 0));
	talk(e);
}

/* An IPv6 socket that talks IPv4. */
static void tcp_carried_mapped(void)
{
	struct sockaddr_storage sa = { .ss_family = AF_INET6 };
	int fd = (int)must(socket(AF_INET6, SOCK_STREAM, 0));
	struct ends e = { (int)must(socket(AF_INET, SOCK_STREAM, 0)), -1 };
	socklen_t len = sizeof(struct sockaddr_in6);
	in_port_t port;

	must(bind(fd, (struct sockaddr *)&sa, len));
	must(listen(fd, 1));
	must(getsockname(fd, (struct sockaddr *)&sa, &len));
	port = ((struct sockaddr_in6 *)&sa)->sin6_port;
	len = loopback(&sa, AF_INET, port);
	must(connect(e.a, (struct sockaddr *)&sa, len));
	e.b = (int)must(accept(fd, NULL, NULL));
	must(send(e.a, "early", 5, 0));
	target_wait();
	expect(recv(e.b, (char[8]){ 0 }, 8, 0) == 5, "queue");
	talk(e);
}

/* The other end is outside: an echo until that closes. */
static void tcp_carried_outside(void)
{
	in_port_t port;
	int fd = listener(AF_INET, &port), conn;
	char data[4096], text[16];
	FILE *out = fopen("port.tmp", "we");
	ssize_t n;

	snprintf(text, sizeof text, "%u\n", ntohs(port));
	expect(out && fputs(text, out) >= 0 && fclose(out) == 0, "write the port");
	must(rename("port.tmp", "port"));
	conn = (int)must(accept(fd, NULL, NULL));
	must(recv(conn, data, 4, MSG_WAITALL)); /* the rest stays in the queue */
	must(send(conn, data, 4, 0));
	target_wait();
	while ((n = recv(conn, data, sizeof data, 0)) > 0)
		must(send(conn, data, (size_t)n, 0));
	expect(n == 0, "recv: %s", strerror(errno));
}

const struct target targets_sock_tcp[] = {
	{ "tcp_carried", tcp_carried, "established connections", 0 },
	{ "tcp_carried_queued", tcp_carried_queued, "bytes in both queues", 0 },
	{ "tcp_carried_full", tcp_carried_full, "queues full, window closed", 0 },
	{ "tcp_carried_half", tcp_carried_half, "one direction closed", 0 },
	{ "tcp_carried_closed", tcp_carried_closed, "the other end is closed", 0 },
	{ "tcp_carried_options", tcp_carried_options, "options", 0 },
	{ "tcp_carried_mapped", tcp_carried_mapped, "IPv4 over an IPv6 socket", 0 },
	{ "tcp_carried_outside", tcp_carried_outside, "the other end outside", 0 },
	{ NULL, NULL, NULL, 0 },
};
