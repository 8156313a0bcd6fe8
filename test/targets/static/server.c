/*
 * server PORT [THREADS [PROCESSES]]: answers each HTTP request on 127.0.0.1 with how many there
 * have been; several processes count in memory that they share, and each has as many threads.
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_ulong *nr_requests;

static void answer(int fd)
{
	char request[4096], text[128];
	int len;

	if (read(fd, request, sizeof request) <= 0)
		return;
	len = snprintf(text, sizeof text,
		"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%lu\n", ++*nr_requests);
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

static void serve_with(int fd, int threads)
{
	pthread_t thread;

	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
			exit(1);
	serve((void *)(intptr_t)fd);
}

int main(int argc, char **argv)
{
	int fd, processes = argc > 3 ? atoi(argv[3]) : 1;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: server PORT [THREADS [PROCESSES]]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	nr_requests = mmap(NULL, sizeof *nr_requests, PROT_READ | PROT_WRITE,
		(processes > 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	if (nr_requests == MAP_FAILED)
		return 1;
	fd = listen_on(argv[1]);
	for (int i = 1; i < processes; i++)
		if (fork() == 0)
			break;
	serve_with(fd, argc > 2 ? atoi(argv[2]) : 1);
	return 0;
}
