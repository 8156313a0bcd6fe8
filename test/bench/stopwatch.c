/*
 * How long programs take to begin, measured from outside, in microseconds.
 *
 *     stopwatch exit N COMMAND...                 vfork and exec until it has ended
 *     stopwatch answer N PORT REQUEST COMMAND...  vfork and exec until the first byte of the answer
 * to REQUEST (with \r \n) from 127.0.0.1:PORT; the command is then ended by SIGTERM
 *
 * Runs N times after one warm-up and prints "median minimum maximum".
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_S = 60, MAX_RUNS = 10000 };

struct probe {
	bool answer; /* until an answer, else until the end */
	struct sockaddr_in server;
	char *request;
	char **command;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void pause_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* What it says on stdout is not wanted among the numbers. */
static pid_t command_start(char **command)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = vfork();

	if (pid < 0 || null < 0)
		err(1, "vfork");
	if (pid == 0) {
		dup2(null, STDOUT_FILENO);
		execvp(command[0], command);
		_exit(127);
	}
	close(null);
	return pid;
}

static int command_wait(const char *name, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err(1, "wait for %s", name);
	return status;
}

/* TERM, and KILL if it will not hear: nothing may be left, whatever is measured. */
static void command_end(const char *name, pid_t pid)
{
	int64_t limit = now_ns() + LIMIT_S * 1000000000LL;

	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (now_ns() > limit) {
			warnx("%s does not end on SIGTERM", name);
			kill(pid, SIGKILL);
			command_wait(name, pid);
			return;
		}
		pause_us(200);
	}
}

/* A connection as soon as somebody listens; -1 while nobody does. */
static int server_connect(const struct sockaddr_in *server)
{
	/* Ended by a reset, so that no TIME_WAIT keeps the port from the next run. */
	const struct linger reset = { .l_onoff = 1 };
	const struct timeval limit = { .tv_sec = LIMIT_S };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		err(1, "socket");
	setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (!connect(s, (const struct sockaddr *)server, sizeof *server))
		return s;
	close(s);
	return -1;
}

static bool server_answers(const struct probe *p)
{
	int s = server_connect(&p->server);
	char byte;
	bool answered;

	if (s < 0)
		return false;
	answered = send(s, p->request, strlen(p->request), MSG_NOSIGNAL) >= 0 &&
		   read(s, &byte, 1) == 1;
	close(s);
	return answered;
}

static int64_t measure_answer(const struct probe *p)
{
	int64_t begin = now_ns(), end;
	pid_t pid = command_start(p->command);

	while (!server_answers(p)) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			errx(1, "%s ended without an answer", p->command[0]);
		if (now_ns() > begin + LIMIT_S * 1000000000LL) {
			command_end(p->command[0], pid);
			errx(1, "%s: no answer within %d s", p->command[0], LIMIT_S);
		}
		pause_us(20);
	}
	end = now_ns();
	command_end(p->command[0], pid);
	return end - begin;
}

static int64_t measure_exit(const struct probe *p)
{
	int64_t begin = now_ns();
	int status = command_wait(p->command[0], command_start(p->command));

	if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
		errx(1, "%s could not be run", p->command[0]);
	return now_ns() - begin;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Undo \r and \n, in place. */
static char *unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && (from[1] == 'r' || from[1] == 'n'))
			*to++ = *++from == 'r' ? '\r' : '\n';
		else
			*to++ = *from;
	}
	*to = '\0';
	return text;
}

static void probe_parse(struct probe *p, int argc, char **argv)
{
	p->answer = argc > 1 && !strcmp(argv[1], "answer");
	if (argc < (p->answer ? 6 : 4))
		errx(2, "usage: stopwatch exit N COMMAND... | answer N PORT REQUEST COMMAND...");
	p->command = argv + (p->answer ? 5 : 3);
	if (!p->answer)
		return;
	p->server = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[3])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	p->request = unescape(argv[4]);
}

int main(int argc, char **argv)
{
	static int64_t times[MAX_RUNS];
	struct probe p = { 0 };
	int runs;

	probe_parse(&p, argc, argv);
	runs = atoi(argv[2]);
	if (runs < 1 || runs > MAX_RUNS)
		errx(2, "%s: from 1 to %d runs", argv[2], MAX_RUNS);
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	for (int i = -1; i < runs; i++) {
		int64_t ns = p.answer ? measure_answer(&p) : measure_exit(&p);

		if (i >= 0)
			times[i] = ns;
	}
	qsort(times, (size_t)runs, sizeof *times, compare);
	printf("%.1f %.1f %.1f\n", times[runs / 2] / 1e3, times[0] / 1e3, times[runs - 1] / 1e3);
	return 0;
}
