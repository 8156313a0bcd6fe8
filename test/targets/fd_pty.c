/* Pseudo-terminals: both ends in this process, one end only, queued data, modes. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { READ_MOST = 256, PATIENCE_MS = 5000 };

static int master_open(const char *path)
{
	int fd = (int)must(open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));

	must(unlockpt(fd));
	return fd;
}

static int slave_open(int master)
{
	char name[64];

	expect(ptsname_r(master, name, sizeof name) == 0, "ptsname");
	return (int)must(open(name, O_RDWR | O_NOCTTY));
}

static void local_modes(int fd, tcflag_t off, tcflag_t on)
{
	struct termios t;

	must(tcgetattr(fd, &t));
	t.c_lflag = (t.c_lflag & ~off) | on;
	must(tcsetattr(fd, TCSANOW, &t));
}

static short events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLOUT };

	return must(poll(&p, 1, 0)) ? p.revents : 0;
}

/*
 * A line can be read while its echo is on the way still (n_tty makes it at the end of a batch), so
 * what is missing may come. Without any, it is what one read says: nothing, or the end.
 */
static void reads(int fd, const char *data, size_t len)
{
	char got[READ_MOST];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t nr = 0, more;

	do {
		more = must(poll(&p, 1, PATIENCE_MS)) ? read(fd, got + nr, sizeof got - (size_t)nr)
						      : -2;
		nr += more;
	} while (more > 0 && nr < (ssize_t)len);
	expect(nr == (ssize_t)len && memcmp(got, data, len) == 0,
		"read %zd bytes instead of \"%s\"", nr, data);
}

static void writes(int fd, const char *data)
{
	must(write(fd, data, strlen(data)));
}

/* ---- both ends ------------------------------------------------------------------------------- */

static void pty_pair(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master),
	    again = slave_open(master),
	    peer = (int)must(ioctl(master, TIOCGPTPEER, O_WRONLY | O_NOCTTY | O_CLOEXEC));
	struct winsize size = { 50, 132, 1, 2 }, now = { 0 };
	struct termios before = { 0 }, after = { 0 };
	char name[2][64];

	must(ioctl(slave, TIOCSWINSZ, &size));
	must(tcgetattr(slave, &before));
	cfmakeraw(&before);
	before.c_cc[VMIN] = 3;
	before.c_cc[VTIME] = 9;
	cfsetspeed(&before, B19200);
	must(tcsetattr(slave, TCSANOW, &before));
	must(tcgetattr(slave, &before));
	must(fcntl(again, F_SETFL, O_NONBLOCK));
	must(fchmod(slave, 0620));
	expect(ttyname_r(slave, name[0], sizeof name[0]) == 0, "ttyname");
	target_wait();
	expect(ttyname_r(again, name[1], sizeof name[1]) == 0, "ttyname");
	expect(strcmp(name[0], name[1]) == 0, "%s became %s", name[0], name[1]);
	must(tcgetattr(master, &after));
	expect(memcmp(&before, &after, sizeof before) == 0, "terminal attributes");
	must(ioctl(master, TIOCGWINSZ, &now));
	expect(memcmp(&size, &now, sizeof size) == 0, "window size");
	writes(peer, "from the peer");
	reads(master, "from the peer", 13);
	writes(master, "keys");
	reads(again, "keys", 4);
	expect(fcntl(again, F_GETFL) & O_NONBLOCK && !(fcntl(slave, F_GETFL) & O_NONBLOCK),
		"flags");
	close(slave);
	close(again);
	close(peer);
	expect(events(master) & POLLHUP, "somebody has a slave open still");
}

/* Numbers with a hole between them, by both names of the multiplexer. */
static void pty_many(void)
{
	int masters[4], slaves[4];
	char name[4][64], now[64];

	for (int i = 0; i < 4; i++) {
		masters[i] = master_open(i % 2 ? "/dev/pts/ptmx" : "/dev/ptmx");
		slaves[i] = slave_open(masters[i]);
		expect(ttyname_r(slaves[i], name[i], sizeof name[i]) == 0, "ttyname");
	}
	close(slaves[1]);
	close(masters[1]);
	target_wait();
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			continue;
		expect(ttyname_r(slaves[i], now, sizeof now) == 0 && strcmp(now, name[i]) == 0,
			"%s became %s", name[i], now);
		writes(slaves[i], name[i]);
		reads(masters[i], name[i], strlen(name[i]));
	}
}

/* ---- queued data ----------------------------------------------------------------------------- */

static void pty_lines(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master);

	writes(slave, "prompt\n");
	writes(master, "first\rsecond\r"); /* ICRNL makes lines of them, the echo is queued, too */
	writes(master, "ended\4\4");
	writes(master, "being typex");
	target_wait();
	writes(master, "\177d\n");
	reads(slave, "first\n", 6);
	reads(slave, "second\n", 7);
	reads(slave, "ended", 5);
	reads(slave, "", 0);
	reads(slave, "being typed\n", 12);
	reads(master, "prompt\r\nfirst\r\nsecond\r\nendedbeing typex\b \bd\r\n", 45);
}

static void pty_raw(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master);
	static char all[15 * READ_MOST];

	local_modes(slave, ICANON | ECHO | ISIG | IEXTEN, 0);
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)(' ' + i % 90);
	must(write(master, all, sizeof all));
	must(write(master, "\0\377\3\4", 4));
	must(fcntl(slave, F_SETFL, O_NONBLOCK));
	writes(slave, "answer");
	target_wait();
	for (size_t at = 0; at < sizeof all; at += READ_MOST)
		reads(slave, all + at, READ_MOST);
	reads(slave, "\0\377\3\4", 4);
	reads(master, "answer", 6);
	expect(!(events(slave) & POLLIN) && !(events(master) & POLLIN), "there is more");
}

static void pty_packet(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master), on = 1, is = 0;
	char got[64];

	local_modes(slave, ECHO, 0);
	must(ioctl(master, TIOCPKT, &on));
	must(ioctl(slave, TIOCEXCL));
	must(tcflow(slave, TCOOFF));
	writes(master, "typed\n");
	must(ioctl(master, TIOCSPTLCK, &on));
	target_wait();
	must(ioctl(slave, TIOCGEXCL, &is));
	expect(is, "exclusive mode");
	must(ioctl(master, TIOCGPTLCK, &is));
	expect(is, "lock");
	expect(events(master) & POLLPRI && read(master, got, sizeof got) == 1 &&
			got[0] == TIOCPKT_STOP,
		"status of packet mode");
	expect(!(events(slave) & POLLOUT), "output is not stopped");
	must(tcflow(slave, TCOON));
	reads(master, (char[]){ TIOCPKT_START }, 1);
	reads(slave, "typed\n", 6);
	writes(slave, "x");
	reads(master, "\0x", 2);
}

/* ---- one end --------------------------------------------------------------------------------- */

static void pty_masters(void)
{
	int fresh = (int)must(posix_openpt(O_RDWR | O_NOCTTY)), closed = master_open("/dev/ptmx"),
	    slave = slave_open(closed);
	char byte;

	writes(slave, "bye");
	close(slave);
	target_wait();
	expect(!(events(fresh) & POLLHUP), "the slave was opened");
	must(unlockpt(fresh));
	slave = slave_open(fresh);
	writes(slave, "hello");
	reads(fresh, "hello", 5);
	reads(closed, "bye", 3);
	expect(read(closed, &byte, 1) == -1 && errno == EIO, "the slave was not closed");
}

static void pty_hung_up(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master),
	    other = slave_open(master);
	char byte;

	close(master);
	target_wait();
	expect(read(slave, &byte, 1) == 0 && read(other, &byte, 1) == 0, "no end of file");
	expect(write(slave, "x", 1) == -1 && errno == EIO, "it can be written to");
	expect(!isatty(slave) && errno == EIO, "it is a terminal");
}

/* vhangup(2) of a terminal whose master lives; another slave was opened after that. */
static void pty_vhangup(void)
{
	int master = master_open("/dev/ptmx"), old = slave_open(master), fresh;
	char byte;

	if (ioctl(old, TIOCVHANGUP) < 0)
		target_skip("TIOCVHANGUP");
	fresh = slave_open(master);
	target_wait();
	expect(read(old, &byte, 1) == 0, "the old one is not hung up");
	writes(fresh, "x");
	reads(master, "x", 1);
}

/* ---- controlling terminals ------------------------------------------------------------------- */

/* Leader of a session with a terminal of its own, which it opens once more by its name for all. */
static void pty_controlling(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master), tty;
	sigset_t interrupt;

	must(setsid());
	must(ioctl(slave, TIOCSCTTY, 0));
	tty = (int)must(open("/dev/tty", O_RDWR));
	local_modes(tty, ECHO, NOFLSH); /* both come behind the signal, at any time */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	must(sigprocmask(SIG_BLOCK, &interrupt, NULL));
	target_wait();
	expect(tcgetsid(slave) == getpid() && tcgetpgrp(tty) == getpid(), "session or group");
	writes(master, "\3");
	expect(sigtimedwait(&interrupt, NULL, &(struct timespec){ 5, 0 }) == SIGINT, "no SIGINT");
	writes(tty, "x");
	reads(master, "x", 1);
}

/* The foreground group of a session: ends with 42 on ^C. */
static void foreground_run(int ready)
{
	sigset_t interrupt;

	must(setpgid(0, 0));
	signal(SIGTTOU, SIG_IGN);
	must(tcsetpgrp(0, getpid()));
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	must(sigprocmask(SIG_BLOCK, &interrupt, NULL));
	writes(ready, "x");
	close(ready);
	sigwaitinfo(&interrupt, NULL);
	_exit(42);
}

/* As a shell: leader of the session, with a job in the foreground. */
static void session_run(int slave, int ready)
{
	int status;
	pid_t job;

	must(setsid());
	must(ioctl(slave, TIOCSCTTY, 0));
	for (int fd = 0; fd < 3; fd++)
		must(dup2(slave, fd));
	close(slave);
	job = (pid_t)must(fork());
	if (job == 0)
		foreground_run(ready);
	close(ready);
	must(waitpid(job, &status, 0));
	_exit(WIFEXITED(status) && tcgetsid(0) == getpid() && tcgetpgrp(0) == job
			? WEXITSTATUS(status)
			: 1);
}

/* As a terminal emulator: the session in the terminal is that of a child. */
static void pty_session(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master), ready[2], status;
	pid_t child;
	char byte;

	must(pipe(ready));
	child = (pid_t)must(fork());
	if (child == 0) {
		close(master);
		close(ready[0]);
		session_run(slave, ready[1]);
	}
	close(slave);
	close(ready[1]);
	must(read(ready[0], &byte, 1));
	must(read(ready[0], &byte, 1)); /* end of file: both have closed it */
	close(ready[0]);
	target_wait();
	writes(master, "\3");
	must(waitpid(child, &status, 0));
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", status);
	expect(events(master) & POLLHUP, "somebody has a slave open still");
}

/* ---- refused --------------------------------------------------------------------------------- */

/* A process that is nobody's child holds fd alone, as long as this one lives. */
static void orphan_holds(int fd)
{
	pid_t child = (pid_t)must(fork());
	char path[64];

	if (child == 0) {
		snprintf(path, sizeof path, "/proc/%d", getppid());
		if (fork() == 0) {
			close_range(3, (unsigned)fd - 1, 0);
			close_range((unsigned)fd + 1, ~0u, 0);
			while (access(path, F_OK) == 0)
				usleep(50000);
		}
		_exit(0);
	}
	must(waitpid(child, NULL, 0));
	close(fd);
}

static void pty_master_outside(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master);

	orphan_holds(master);
	target_wait();
	expect(isatty(slave), "it is hung up");
}

static void pty_slave_outside(void)
{
	int master = master_open("/dev/ptmx"), slave = slave_open(master);

	orphan_holds(slave);
	target_wait();
	expect(!(events(master) & POLLHUP), "it is hung up");
}

static void pty_console(void)
{
	int fd = open("/dev/tty1", O_RDWR | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		target_skip("/dev/tty1");
	target_wait();
	expect(isatty(fd), "it is closed");
}

const struct target targets_fd_pty[] = {
	{ "pty_pair", pty_pair, "a pseudo-terminal: attributes, window, several slaves", 0 },
	{ "pty_many", pty_many, "several pseudo-terminals and their numbers", 0 },
	{ "pty_lines", pty_lines, "lines of input, end of file, a line being typed, output", 0 },
	{ "pty_raw", pty_raw, "raw input and output", 0 },
	{ "pty_packet", pty_packet, "packet mode, exclusive, locked, stopped", 0 },
	{ "pty_masters", pty_masters, "masters whose slave is closed, or was never opened", 0 },
	{ "pty_hung_up", pty_hung_up, "slaves whose master is closed", 0 },
	{ "pty_vhangup", pty_vhangup, "a slave hung up by vhangup, another one alive", 0 },
	{ "pty_controlling", pty_controlling, "a controlling terminal, /dev/tty", 0 },
	{ "pty_session", pty_session, "a session in a terminal, with its foreground group", 0 },
	{ "pty_master_outside", pty_master_outside, "a slave whose master is elsewhere",
		TARGET_REFUSED },
	{ "pty_slave_outside", pty_slave_outside, "a master whose slave is elsewhere",
		TARGET_REFUSED },
	{ "pty_console", pty_console, "a virtual console", TARGET_REFUSED },
	{ 0 },
};
