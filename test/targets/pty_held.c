/* Terminals of sessions that have given them up, and full ones. */
#include "target.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { PIECE = 100, AFTER_MS = 200 };

static int pair_open(int *slave)
{
	int master = (int)must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	char name[64];

	must(unlockpt(master));
	expect(ptsname_r(master, name, sizeof name) == 0, "ptsname");
	*slave = (int)must(open(name, O_RDWR | O_NOCTTY));
	return master;
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

static void without_run(void *arg)
{
	if (arg)
		must(ioctl(*(int *)arg, TIOCNOTTY));
	kid_wait();
	expect(open("/dev/tty", O_RDWR) < 0 && errno == ENXIO, "it has the terminal");
}

static void with_run(void *arg)
{
	(void)arg;
	kid_wait();
	expect(open("/dev/tty", O_RDWR) >= 0, "it has lost the terminal");
}

/* Born before the leader takes the terminal, one has none; nor has who gave it up. */
static void leader_run(void *arg)
{
	int *slave = arg;

	must(setsid());
	kid(without_run, NULL);
	must(ioctl(*slave, TIOCSCTTY, 0));
	kid(without_run, slave);
	kid(with_run, NULL);
	kid_wait();
	expect(tcgetpgrp(*slave) == getpgrp(), "the leader is in the background");
	kids_check();
}

/* The foreground group has ended, and its leader does not take the terminal back. */
static void background_run(void *arg)
{
	int *slave = arg;
	pid_t job;

	must(setsid());
	signal(SIGTTOU, SIG_IGN);
	must(ioctl(*slave, TIOCSCTTY, 0));
	job = kid(kid_idle, NULL);
	must(setpgid(job, job));
	must(tcsetpgrp(*slave, job));
	kid_check(job);
	kid_wait();
	expect(tcgetpgrp(*slave) != getpgrp(), "the leader is in the foreground");
}

static void ptyheld_sessions(void)
{
	int first, second;

	pair_open(&first);
	pair_open(&second);
	kid(leader_run, &first);
	kid(background_run, &second);
	target_wait();
	kids_check();
}

/* ---- full ones ---------------------------------------------------------------------------------
 */

static void raw(int fd)
{
	struct termios t;

	must(tcgetattr(fd, &t));
	cfmakeraw(&t);
	must(tcsetattr(fd, TCSANOW, &t));
	must(fcntl(fd, F_SETFL, O_NONBLOCK));
}

/* Until nothing more goes in, also when the kernel has brought some over. */
static size_t fill(int fd)
{
	size_t len = 0;

	for (;;) {
		char piece[PIECE];
		ssize_t put;

		for (size_t i = 0; i < PIECE; i++)
			piece[i] = (char)((len + i) % 251);
		put = write(fd, piece, PIECE);
		if (put <= 0 && poll(NULL, 0, AFTER_MS) == 0)
			put = write(fd, piece, PIECE);
		if (put <= 0)
			return len;
		len += (size_t)put;
	}
}

static void drained(int fd, size_t len, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t at = 0;
	unsigned char byte;

	while (at < len && poll(&p, 1, AFTER_MS * 10) > 0) {
		must(read(fd, &byte, 1));
		expect(byte == at % 251, "%s: byte %zu is another one", what, at);
		at++;
	}
	expect(at == len && poll(&p, 1, 0) == 0, "%s: %zu bytes of %zu", what, at, len);
}

static void ptyheld_full(void)
{
	int slave, master = pair_open(&slave);
	size_t input, output;

	raw(slave);
	must(fcntl(master, F_SETFL, O_NONBLOCK));
	input = fill(master);
	output = fill(slave);
	target_wait();
	drained(slave, input, "input");
	drained(master, output, "output");
}

const struct target targets_pty_held[] = {
	{ "ptyheld_sessions", ptyheld_sessions, "who of a session has its terminal", 0 },
	{ "ptyheld_full", ptyheld_full, "a terminal full of input and output", 0 },
	{ 0 },
};
