/*
 * checkins N: a child checks in N times, and we answer as snapctl does: by writing into its memory
 * while it stands still. It may not have more descriptors or memory at the end.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/protocol.h"
#include "lib/snapctl.h"

static const char token[] = "0123456789abcdef0123456789abcdef";

struct use {
	long pages, fds;
};

static struct use use_now(void)
{
	struct use use = { 0, 0 };
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%ld", &use.pages) != 1)
		exit(3);
	fclose(file);
	for (int fd = 0; fd < 256; fd++)
		use.fds += lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF;
	return use;
}

static void after(void *nr, int restored)
{
	(void)restored;
	++*(long *)nr;
}

static int child(int channel, long wanted)
{
	long told = 0;
	struct use before = { 0 }, now;
	char value[96];

	snapctl_hook("count", NULL, after, &told);
	for (long i = 0; i < wanted; i++) {
		if (i == 100) /* libc has its buffers by then */
			before = use_now();
		/* Not setenv(3), which keeps a copy of each value for ever. */
		snprintf(value, sizeof value, "%s=%d:%s", SNAPCTL_READY_ENV, channel, token);
		if (putenv(value) || snapctl_ready() != 0)
			return 4;
	}
	now = use_now();
	if (told != wanted || now.fds != before.fds || now.pages > before.pages) {
		fprintf(stderr, "%ld of %ld told, %ld descriptors after %ld, %ld pages after %ld\n",
			told, wanted, now.fds, before.fds, now.pages, before.pages);
		return 5;
	}
	return 0;
}

static int answer(pid_t pid, const struct snapctl_hello *hello)
{
	uint32_t state = SNAPCTL_WENT_ON;
	struct iovec here = { &state, sizeof state };
	struct iovec there = { (char *)(uintptr_t)hello->area + 12, sizeof state };
	int status;

	/* Stopped and continued, it looks at the word again: as after snapctl's freeze. */
	kill(pid, SIGSTOP);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) ||
		process_vm_writev(pid, &here, 1, &there, 1, 0) != sizeof state)
		return -1;
	return kill(pid, SIGCONT);
}

int main(int argc, char **argv)
{
	long wanted = argc > 1 ? atol(argv[1]) : 1000, i;
	struct snapctl_hello hello;
	int pair[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		_exit(child(pair[1], wanted));
	}
	close(pair[1]);
	for (i = 0; i < wanted; i++)
		if (recv(pair[0], &hello, sizeof hello, 0) != sizeof hello ||
			memcmp(hello.token, token, sizeof hello.token) || answer(pid, &hello) < 0)
			break;
	waitpid(pid, &status, 0);
	if (i < wanted || status) {
		fprintf(stderr, "%ld of %ld answered, status 0x%x\n", i, wanted, status);
		return 1;
	}
	return 0;
}
