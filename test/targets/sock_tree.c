/* Sockets whose ends are in different processes. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void says(int from, int to, const char *text)
{
	char data[32] = "";

	must(write(from, text, strlen(text)));
	expect(read(to, data, sizeof data - 1) == (ssize_t)strlen(text) && !strcmp(data, text),
		"%s became %s", text, data);
}

/* The child echoes what it is sent, until the end; a descriptor comes back. */
static void echo(int fd)
{
	char data[64];
	ssize_t n;

	while ((n = read(fd, data, sizeof data)) > 0)
		if (write(fd, data, (size_t)n) != n)
			_exit(1);
	_exit(n < 0);
}

static void expect_child(pid_t child)
{
	int status = -1;

	must(waitpid(child, &status, 0));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %#x", status);
}

static void tree_unix_pair(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	pid_t child[3];
	int pair[3][2];

	for (int i = 0; i < 3; i++) {
		must(socketpair(AF_UNIX, types[i], 0, pair[i]));
		child[i] = (pid_t)must(fork());
		if (child[i] == 0) {
			for (int j = 0; j <= i; j++)
				close(pair[j][0]);
			echo(pair[i][1]);
		}
		close(pair[i][1]);
		says(pair[i][0], pair[i][0], "hello");
	}
	target_wait();
	for (int i = 0; i < 3; i++) {
		says(pair[i][0], pair[i][0], "again");
		if (types[i] == SOCK_DGRAM) /* which has no end: an empty one stands for it */
			must(send(pair[i][0], "", 0, 0));
		close(pair[i][0]);
		expect_child(child[i]);
	}
}

static int connected(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

	strcpy(addr.sun_path, name);
	must(connect(fd, (struct sockaddr *)&addr, sizeof addr));
	return fd;
}

/* A listener in the parent, its client in a child, the accepted end in another one. */
static void tree_unix_server(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "tree.sock" };
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0)), up[2], end, client;
	pid_t server, user;
	char data[16] = "";

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(listen(fd, 3));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, up));
	user = (pid_t)must(fork());
	if (user == 0) {
		close(fd);
		close(up[0]);
		client = connected("tree.sock");
		write(up[1], "connected", 9);
		/* what the parent says goes through the server and back */
		while (read(up[1], data, sizeof data) > 0)
			if (write(client, data, 4) != 4 || read(client, data, 4) != 4 ||
				write(up[1], data, 4) != 4)
				_exit(2);
		_exit(0);
	}
	close(up[1]);
	must(read(up[0], data, sizeof data));
	end = (int)must(accept(fd, NULL, NULL));
	server = (pid_t)must(fork());
	if (server == 0) {
		close(fd);
		close(up[0]);
		echo(end);
	}
	close(end);
	target_wait();
	says(up[0], up[0], "ping");
	client = connected("tree.sock");
	end = (int)must(accept(fd, NULL, NULL));
	says(client, end, "new");
	close(up[0]);
	expect_child(user);
	expect_child(server);
}

/* A TCP server with two children, and a client in each; the listener is in all of them. */
static void tree_tcp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0)), end[2];
	socklen_t len = sizeof addr;
	pid_t child[2];

	must(bind(fd, (struct sockaddr *)&addr, sizeof addr));
	must(getsockname(fd, (struct sockaddr *)&addr, &len));
	must(listen(fd, 3));
	for (int i = 0; i < 2; i++) {
		end[i] = (int)must(socket(AF_INET, SOCK_STREAM, 0));
		must(connect(end[i], (struct sockaddr *)&addr, sizeof addr));
		child[i] = (pid_t)must(fork());
		if (child[i] == 0) {
			int own = accept(fd, NULL, NULL);

			close(end[0]);
			if (i)
				close(end[1]);
			echo(own);
		}
		says(end[i], end[i], "hello");
	}
	target_wait();
	for (int i = 0; i < 2; i++) {
		says(end[i], end[i], "again");
		must(shutdown(end[i], SHUT_WR));
		expect_child(child[i]);
	}
}

const struct target targets_sock_tree[] = {
	{ "tree_unix_pair", tree_unix_pair, "pairs between parent and child", 0 },
	{ "tree_unix_server", tree_unix_server, "listener, client and accepted end apart", 0 },
	{ "tree_tcp", tree_tcp, "TCP connections between processes", 0 },
	{ NULL, NULL, NULL, 0 },
};
