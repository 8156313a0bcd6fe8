/*
 * server PORT [THREADS]: answers each HTTP request on 127.0.0.1 with how many there have been.
 * Linked statically with glibc and with musl: the smallest real server there is. Prints nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_ulong nr_requests;

static void answer(int fd)
{
	char request[4096], text[128];
	int len;

	if (read(fd, request, sizeof request) <= 0)
		return;
	len = snprintf(text, sizeof text,
		"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%lu\n", ++nr_requests);
	/* A client that has gone away already is no reason to end. */
	if (write(fd, text, (size_t)len) < 0)
		return;
	shutdown(fd, SHUT_WR);
}

static void *serve(void *arg)
{
	int fd;

	while ((fd = accept((int)(intptr_t)arg, NULL, NULL)) >= 0) {
		answer(fd);
		close(fd);
	}
	return NULL;
}

static int listen_on(const char *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 64) < 0) {
		perror("server");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	intptr_t fd;
	pthread_t thread;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: server PORT [THREADS]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	fd = listen_on(argv[1]);
	for (int i = 1; argc == 3 && i < atoi(argv[2]); i++)
		if (pthread_create(&thread, NULL, serve, (void *)fd) != 0)
			return 1;
	serve((void *)fd);
	return 0;
}
