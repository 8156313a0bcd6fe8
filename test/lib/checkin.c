/*
 * checkin MODE: a program that takes part (lib/snapctl.h), or pretends to. What it finds out goes
 * to the file "log" in the working directory, line by line.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/protocol.h"
#include "lib/snapctl.h"

static void say(const char *fmt, ...)
{
	int fd = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char line[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	line[len++] = '\n'; /* at once: other processes say something, too */
	if (write(fd, line, (size_t)len) != len)
		exit(9);
	close(fd);
}

/* ---- the token ---------------------------------------------------------------------------------
 */

enum { MASK = 0x5a };

static unsigned char masked[SNAPCTL_TOKEN_LEN]; /* not as it is: it is looked for later */
static int channel;

static void token_note(void)
{
	const char *text = getenv(SNAPCTL_READY_ENV);

	if (!text)
		return;
	channel = atoi(text);
	while (*text++ != ':')
		;
	for (int i = 0; i < SNAPCTL_TOKEN_LEN; i++) /* volatile: not in vector registers */
		masked[i] = ((const volatile unsigned char *)text)[i] ^ MASK;
}

static int token_at(const unsigned char *at)
{
	for (int i = 0; i < SNAPCTL_TOKEN_LEN; i++)
		if ((at[i] ^ MASK) != masked[i])
			return 0;
	return 1;
}

/* In all that can be written. */
static unsigned token_count(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512], prot[5];
	unsigned found = 0;

	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, prot) != 3 || prot[1] != 'w' ||
			prot[0] != 'r')
			continue;
		for (const unsigned char *p = (void *)start; (unsigned long)p + 32 <= end; p++) {
			found += token_at(p);
		}
	}
	fclose(maps);
	return found;
}

/* ---- hooks -------------------------------------------------------------------------------------
 */

static int before(void *name)
{
	say("before %s", (char *)name);
	return strcmp(name, "bad") ? 0 : EIO;
}

static void after(void *name, int restored)
{
	say("after %s %d", (char *)name, restored);
}

static void reseed(void *arg, const unsigned char generation[16])
{
	(void)arg;
	say("reseed %d", generation[0] || generation[1] || generation[2] || generation[3]);
}

/* ---- modes -------------------------------------------------------------------------------------
 */

static void tell(int ret)
{
	const char *const *texts;

	say("ready %d", ret);
	say("generation %s", snapctl_generation());
	for (texts = snapctl_restore_args(); *texts; texts++)
		say("arg %s", *texts);
	for (texts = snapctl_restore_env(); *texts; texts++)
		say("env %s", *texts);
	say("getenv %s", snapctl_getenv("WHO") ? snapctl_getenv("WHO") : "-");
	say("variable %s", getenv(SNAPCTL_READY_ENV) ? "there" : "gone");
	say("tokens %u", token_count());
	say("channel %d", fcntl(channel, F_GETFD) < 0 ? -errno : 0);
	say("again %d", snapctl_ready());
}

static void mode_plain(void)
{
	token_note();
	if (getenv(SNAPCTL_READY_ENV))
		say("tokens %u", token_count());
	tell(snapctl_ready());
}

static void mode_hooks(void)
{
	snapctl_hook("one", before, after, "one");
	snapctl_reseed(reseed, NULL);
	snapctl_hook("two", before, after, "two");
	say("ready %d", snapctl_ready());
}

static void mode_bad_hook(void)
{
	snapctl_hook("one", before, after, "one");
	snapctl_hook("database", before, after, "bad");
	snapctl_hook("three", before, after, "three");
	say("ready %d", snapctl_ready());
}

static void hello_send(int fd, const char *token, uint64_t area)
{
	struct snapctl_hello hello = { .kind = SNAPCTL_CHECKS_IN, .area = area };

	memcpy(hello.magic, SNAPCTL_HELLO_MAGIC, sizeof hello.magic);
	memcpy(hello.token, token, sizeof hello.token);
	if (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) < 0)
		say("send %d", -errno);
}

static void token_right(char token[SNAPCTL_TOKEN_LEN + 1])
{
	for (int i = 0; i < SNAPCTL_TOKEN_LEN; i++)
		token[i] = (char)(masked[i] ^ MASK);
	token[SNAPCTL_TOKEN_LEN] = '\0';
}

/* Children with wrong tokens: each is refused, and the wait goes on. */
static void mode_wrong(void)
{
	char *text = getenv(SNAPCTL_READY_ENV), *token = strchr(text, ':') + 1;

	for (int i = 0; i < SNAPCTL_TOKEN_LEN; i += 31) {
		int status;

		if (fork() == 0) {
			token[i] = token[i] == '0' ? '1' : '0';
			say("child %d", snapctl_ready());
			_exit(0);
		}
		wait(&status);
	}
	say("ready %d", snapctl_ready());
}

static void hello_send(int fd, const char *token, uint64_t area);
static void token_right(char token[SNAPCTL_TOKEN_LEN + 1]);

/* The token once more, after it was good: by the library, and by hand. */
static void mode_replay(void)
{
	char token[SNAPCTL_TOKEN_LEN + 1], value[64];

	token_note();
	say("ready %d", snapctl_ready());
	token_right(token);
	snprintf(value, sizeof value, "%d:%s", channel, token);
	setenv(SNAPCTL_READY_ENV, value, 1);
	say("again %d", snapctl_ready());
	hello_send(channel, token, SNAPCTL_AREA_ADDR);
	setenv(SNAPCTL_READY_ENV, value, 1);
	say("later %d", snapctl_ready());
}

/* They wait for each other in the hook, so that all have sent their message before the first one is
 * looked at. */
static int before_together(void *barrier)
{
	pthread_barrier_wait(barrier);
	return 0;
}

/* Five processes with the right token. */
static void mode_several(void)
{
	pthread_barrier_t *barrier = mmap(
		NULL, sizeof *barrier, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t shared;
	int status;

	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &shared, 5);
	snapctl_reseed(reseed, NULL);
	snapctl_hook("together", before_together, NULL, barrier);
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			say("ready %d", snapctl_ready());
			_exit(0);
		}
	}
	say("ready %d", snapctl_ready());
	while (wait(&status) > 0)
		;
}

/* All that is not a proper message: wrong magic, lengths, areas that are none of ours. */
static void mode_garbage(void)
{
	static char page[8192];
	char token[SNAPCTL_TOKEN_LEN + 1];

	token_note();
	token_right(token);
	send(channel, "", 0, MSG_NOSIGNAL);
	for (size_t len = 1; len < sizeof page; len = len * 3 + 1)
		send(channel, page, len, MSG_NOSIGNAL);
	send(channel, token, SNAPCTL_TOKEN_LEN, MSG_NOSIGNAL);
	hello_send(channel, token, 0);
	hello_send(channel, token, 4096);
	hello_send(channel, token, UINT64_MAX - 4095);
	hello_send(channel, token, ((uintptr_t)page + 4095) & ~4095ull);
	hello_send(channel, token, 0xffffffffff600000);
	explicit_bzero(token, sizeof token);
	say("ready %d", snapctl_ready());
}

/* The right token by somebody outside: who gets it and the descriptor through a socket file. */
static void mode_leak(void)
{
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	struct {
		unsigned short family;
		char path[108];
	} sa = { AF_UNIX, "leak.sock" };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char *text = getenv(SNAPCTL_READY_ENV), byte;
	struct iovec iov = { text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = atoi(text);

	if (bind(server, (struct sockaddr *)&sa, sizeof sa) || listen(server, 1))
		exit(8);
	say("leaking");
	client = accept(server, NULL, NULL);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	sendmsg(client, &msg, 0);
	if (read(client, &byte, 1) != 1) /* the other has tried */
		exit(7);
	close(client);
	close(server);
	say("ready %d", snapctl_ready());
}

/* So many refused ones in a row, and the right one behind them. */
static void mode_flood(void)
{
	char token[SNAPCTL_TOKEN_LEN + 1];

	token_note();
	token_right(token);
	token[0] ^= 1;
	for (int i = 0; i < 10000; i++)
		hello_send(channel, token, 4096);
	say("ready %d", snapctl_ready());
}

/* A child that was forked while a thread of its parent was in a conversation, and the lock with it.
 */
static int before_forks(void *unused)
{
	int status;

	(void)unused;
	if (fork() == 0) {
		alarm(10);
		say("hook %d", snapctl_hook("child", NULL, NULL, NULL));
		say("child %d", snapctl_ready());
		_exit(0);
	}
	wait(&status);
	return 0;
}

static void mode_fork_in_hook(void)
{
	snapctl_hook("forks", before_forks, NULL, NULL);
	say("ready %d", snapctl_ready());
}

static void *ready_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)snapctl_ready();
}

/* Its number is somebody else's before it was answered. */
static void mode_number_taken(void)
{
	struct snapctl_hello hello;
	int pair[2], other[2];
	pthread_t thread;
	char value[64];
	void *ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || pipe(other) < 0)
		exit(9);
	snprintf(value, sizeof value, "%d:%032d", pair[0], 0);
	setenv(SNAPCTL_READY_ENV, value, 1);
	pthread_create(&thread, NULL, ready_thread, NULL);
	if (recv(pair[1], &hello, sizeof hello, 0) != sizeof hello || dup2(other[0], pair[0]) < 0)
		exit(8);
	pthread_join(thread, &ret);
	say("ready %d", (int)(intptr_t)ret);
	say("number %d", fcntl(pair[0], F_GETFD) < 0 ? -errno : 0);
}

static void mode_close(void)
{
	token_note();
	close(channel);
	pause();
}

static void mode_exit(void)
{
	exit(7);
}

static void mode_thread_of_child(void)
{
	int status;

	if (fork() == 0) {
		say("child %d", snapctl_ready());
		_exit(0);
	}
	wait(&status);
	say("parent %d", status);
}

/* ---- asked by others ---------------------------------------------------------------------------
 */

static void mode_listen(void)
{
	snapctl_hook("one", before, after, "one");
	say("listen %d", snapctl_listen(0));
	say("listen %d", snapctl_listen(0));
	for (;;)
		pause();
}

static void mode_listen_bad(void)
{
	snapctl_hook("one", before, after, "one");
	snapctl_hook("database", before, after, "bad");
	say("listen %d", snapctl_listen(SIGUSR2));
	for (;;)
		pause();
}

static void ignore(int sig)
{
	(void)sig;
}

static void mode_listen_taken(void)
{
	signal(SIGQUIT, ignore);
	say("listen %d", snapctl_listen(0));
}

/* With something that cannot be dumped, until a SIGUSR1 comes. */
static void mode_listen_refused(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), sig;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	snapctl_hook("one", before, after, "one");
	say("listen %d", snapctl_listen(0));
	while (sigwait(&usr1, &sig)) /* the signal of who asks interrupts pause(2) */
		;
	close(fd);
	say("closed");
	for (;;)
		pause();
}

/* Listens again when it is told to. */
static void mode_listen_again(void)
{
	signal(SIGUSR1, ignore);
	for (;;) {
		say("listen %d", snapctl_listen(0));
		pause();
	}
}

/* A child is another process, which nobody can ask until it says so itself. */
static void mode_listen_child(void)
{
	say("listen %d", snapctl_listen(0));
	if (fork() > 0)
		for (;;)
			pause();
	say("child %d %d", getpid(), snapctl_listen(0));
	for (;;)
		pause();
}

static void mode_listen_try(void)
{
	say("listen %d", snapctl_listen(0));
}

static void mode_listen_ignored(void)
{
	signal(SIGQUIT, SIG_IGN);
	mode_listen();
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "listen", mode_listen },
	{ "listen-bad", mode_listen_bad },
	{ "listen-taken", mode_listen_taken },
	{ "listen-refused", mode_listen_refused },
	{ "listen-again", mode_listen_again },
	{ "listen-child", mode_listen_child },
	{ "listen-try", mode_listen_try },
	{ "listen-ignored", mode_listen_ignored },
	{ "plain", mode_plain },
	{ "hooks", mode_hooks },
	{ "bad-hook", mode_bad_hook },
	{ "wrong", mode_wrong },
	{ "garbage", mode_garbage },
	{ "leak", mode_leak },
	{ "flood", mode_flood },
	{ "replay", mode_replay },
	{ "several", mode_several },
	{ "fork-in-hook", mode_fork_in_hook },
	{ "number-taken", mode_number_taken },
	{ "close", mode_close },
	{ "exit", mode_exit },
	{ "child", mode_thread_of_child },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		modes[i].run();
		return 0;
	}
	return 2;
}
