/* TCP connections that nobody has accepted yet, with what was sent over them. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 30000 };

/* Of both families, where there are both. */
static int listener(int family, struct sockaddr_storage *addr)
{
	int fd = (int)must(socket(family, SOCK_STREAM, 0)), on = 1;
	socklen_t len = sizeof *addr;

	memset(addr, 0, sizeof *addr);
	addr->ss_family = (sa_family_t)family;
	must(bind(fd, (struct sockaddr *)addr,
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	must(listen(fd, 8));
	must(getsockname(fd, (struct sockaddr *)addr, &len));
	return fd;
}

static int connected(const struct sockaddr_storage *listens)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = ((const struct sockaddr_in *)listens)->sin_port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0));

	must(connect(fd, (struct sockaddr *)&addr, sizeof addr));
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;

	must(getsockname(fd, (struct sockaddr *)&addr, &len));
	return ((struct sockaddr_in *)&addr)->sin_port;
}

/* The next one that waits came from there, and has inherited what the listener has. */
static int accepted(int listener, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;
	int fd = (int)must(accept(listener, (struct sockaddr *)&addr, &len)), on = 0;

	expect(((struct sockaddr_in *)&addr)->sin_port == port, "it came from another port");
	len = sizeof on;
	must(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len));
	expect(on, "TCP_NODELAY");
	return fd;
}

static void comes(int fd, const char *text)
{
	char data[64] = "";
	struct pollfd p = { .fd = fd, .events = POLLIN };

	must(poll(&p, 1, 1000));
	must(recv(fd, data, strlen(text), MSG_DONTWAIT));
	expect(!strcmp(data, text), "\"%s\" came as \"%s\"", text, data);
}

static bool ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	must(poll(&p, 1, 1000));
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* All that was sent, a FIN included: the other end may take 40 ms for that, and nobody tells. */
static void acknowledged(int fd)
{
	int left = 1;

	while (left) {
		must(ioctl(fd, SIOCOUTQ, &left));
		poll(NULL, 0, left != 0);
	}
}

static pid_t child_connects(const struct sockaddr_storage *listens, uint16_t *port)
{
	int ready[2];
	pid_t child;
	int fd;

	must(pipe(ready));
	child = (pid_t)must(fork());
	if (child == 0) {
		fd = connected(listens);
		*port = port_of(fd);
		must(write(fd, "of a child", 10));
		acknowledged(fd);
		must(write(ready[1], port, sizeof *port));
		close(ready[0]);
		close(ready[1]);
		for (;;)
			pause();
	}
	must(read(ready[0], port, sizeof *port));
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251);
}

static void comes_large(int fd)
{
	static char want[LARGE], got[LARGE];

	fill(want, sizeof want);
	expect(recv(fd, got, sizeof got, MSG_WAITALL) == LARGE, "less came");
	expect(!memcmp(want, got, sizeof got), "the bytes are others");
}

/* In their order: nothing sent, half closed, an urgent byte, closed, by a child, a lot. */
static void judge(int family)
{
	static char large[LARGE];
	struct sockaddr_storage listens;
	int fd = listener(family, &listens), client[4], server, mark = 0;
	uint16_t port[6];
	pid_t child;
	char byte;

	for (int i = 0; i < 4; i++) {
		client[i] = connected(&listens);
		port[i] = port_of(client[i]);
	}
	must(write(client[1], "half", 4));
	must(shutdown(client[1], SHUT_WR));
	must(write(client[2], "be", 2));
	must(send(client[2], "!", 1, MSG_OOB));
	must(write(client[2], "hind", 4));
	must(write(client[3], "closed", 6));
	must(close(client[3]));
	child = child_connects(&listens, &port[4]);
	client[3] = connected(&listens);
	port[5] = port_of(client[3]);
	fill(large, sizeof large);
	must(write(client[3], large, sizeof large));
	for (int i = 0; i < 4; i++)
		acknowledged(client[i]);
	target_wait();

	server = accepted(fd, port[0]);
	must(write(client[0], "now", 3));
	comes(server, "now");
	server = accepted(fd, port[1]);
	comes(server, "half");
	expect(ended(server), "shut down");
	must(write(server, "back", 4));
	comes(client[1], "back");
	server = accepted(fd, port[2]);
	comes(server, "be");
	must(ioctl(server, SIOCATMARK, &mark));
	expect(mark && recv(server, &byte, 1, MSG_OOB) == 1 && byte == '!', "urgent byte");
	comes(server, "hind");
	server = accepted(fd, port[3]);
	comes(server, "closed");
	expect(ended(server), "closed");
	comes(accepted(fd, port[4]), "of a child");
	must(kill(child, SIGKILL));
	must(waitpid(child, NULL, 0));
	comes_large(accepted(fd, port[5]));
}

static void tcp_waiting(void)
{
	judge(AF_INET);
}

static void tcp_waiting_mapped(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0)
		target_skip("IPv6");
	close(fd);
	judge(AF_INET6);
}

const struct target targets_sock_tcp_waiting[] = {
	{ "tcp_waiting", tcp_waiting, "TCP connections that nobody accepted yet", 0 },
	{ "tcp_waiting_mapped", tcp_waiting_mapped, "the same, an IPv6 listener", 0 },
	{ NULL, NULL, NULL, 0 },
};
