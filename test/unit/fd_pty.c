/* Pseudo-terminals: both ends, what they are set to, what is queued in them. */
/* not beside others: ptys */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

#include "test/unit/fd_fake.h"

struct pair {
	int master, slave;
	unsigned index;
};

static struct pair pair_open(void)
{
	struct pair p = { .master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) };
	int zero = 0;

	if (p.master < 0)
		skip(); /* no pseudo-terminals here */
	assert_int_equal(ioctl(p.master, TIOCSPTLCK, &zero), 0);
	assert_int_equal(ioctl(p.master, TIOCGPTN, &p.index), 0);
	p.slave = ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(p.slave >= 0);
	return p;
}

static void termios_change(int fd, tcflag_t off, tcflag_t on)
{
	struct termios t;

	assert_int_equal(tcgetattr(fd, &t), 0);
	t.c_lflag = (t.c_lflag & ~off) | on;
	assert_int_equal(tcsetattr(fd, TCSANOW, &t), 0);
}

/* Through the image and back; both ends stand where they stood. */
static void carry(struct pair *p)
{
	struct fake *f = fake_create();
	char name[2][64];

	assert_int_equal(ttyname_r(p->slave, name[0], sizeof name[0]), 0);
	fake_save(f, p->master, &fd_pty);
	fake_add(f, p->slave);
	fake_save(f, p->master, &fd_pty);
	fake_save(f, p->slave, &fd_pty);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(ttyname_r(p->slave, name[1], sizeof name[1]), 0);
	assert_string_equal(name[0], name[1]);
	for (int i = 0; i < 2; i++) {
		fd_close(&f->made[i]);
		f->slots[i] = -1; /* the caller's still */
	}
	fake_destroy(f);
}

static void pair_close(struct pair *p)
{
	fd_close(&p->slave);
	fd_close(&p->master);
}

static short events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static void expect_read(int fd, const char *data, size_t len)
{
	char got[8192];

	assert_true(events(fd) & POLLIN);
	assert_int_equal(read(fd, got, sizeof got), (ssize_t)len);
	assert_memory_equal(got, data, len);
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void attributes_survive(void **state)
{
	struct winsize size = { 7, 77, 700, 770 }, size_now;
	struct pair p = pair_open();
	struct termios before = { 0 }, now = { 0 };
	int on = 1;

	(void)state;
	assert_int_equal(ioctl(p.master, TIOCSWINSZ, &size), 0);
	assert_int_equal(tcgetattr(p.slave, &before), 0);
	before.c_iflag ^= IXOFF | IUTF8 | INLCR;
	before.c_oflag ^= OLCUC | TABDLY;
	before.c_lflag ^= TOSTOP | ECHOK;
	before.c_cc[VERASE] = 'x';
	cfsetspeed(&before, B1200);
	assert_int_equal(tcsetattr(p.slave, TCSANOW, &before), 0);
	assert_int_equal(tcgetattr(p.slave, &before), 0);
	assert_int_equal(ioctl(p.slave, TIOCEXCL), 0);
	assert_int_equal(ioctl(p.master, TIOCPKT, &on), 0);
	assert_int_equal(ioctl(p.master, TIOCSPTLCK, &on), 0);
	assert_int_equal(fchmod(p.slave, 0622), 0);
	carry(&p);
	assert_int_equal(tcgetattr(p.slave, &now), 0);
	assert_memory_equal(&before, &now, sizeof now);
	assert_int_equal(ioctl(p.slave, TIOCGWINSZ, &size_now), 0);
	assert_memory_equal(&size, &size_now, sizeof size);
	for (size_t i = 0; i < 3; i++) {
		int value = 0;

		assert_int_equal(
			ioctl(i == 1 ? p.slave : p.master,
				(unsigned[]){ TIOCGPKT, TIOCGEXCL, TIOCGPTLCK }[i], &value),
			0);
		assert_true(value);
	}
	pair_close(&p);
}

/* ---- queues --------------------------------------------------------------------------------- */

static void raw_data_of_both_directions(void **state)
{
	struct pair p = pair_open();
	char all[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	termios_change(p.slave, ICANON | ECHO | ISIG | IEXTEN, 0);
	assert_int_equal(write(p.slave, "out\n", 4), 4); /* OPOST makes it out\r\n */
	assert_int_equal(write(p.master, all + 32, 224), 224);
	carry(&p);
	expect_read(p.master, "out\r\n", 5);
	expect_read(p.slave, all + 32, 224);
	assert_false(events(p.slave) & POLLIN);
	assert_false(events(p.master) & POLLIN);
	pair_close(&p);
}

static void lines_keep_their_ends(void **state)
{
	static const char input[] = "one\ntwo;three\004\004\026\003\026\n!\ntyped";
	struct pair p = pair_open();
	struct termios t;

	(void)state;
	assert_int_equal(tcgetattr(p.slave, &t), 0);
	t.c_cc[VEOL] = ';';
	t.c_lflag &= ~(tcflag_t)ECHO;
	assert_int_equal(tcsetattr(p.slave, TCSANOW, &t), 0);
	/* A line, one ended by VEOL, one by end of file, an end of file alone, ^C as data, a rest.
	 */
	assert_int_equal(write(p.master, input, strlen(input)), (ssize_t)strlen(input));
	carry(&p);
	expect_read(p.slave, "one\n", 4);
	expect_read(p.slave, "two;", 4);
	expect_read(p.slave, "three", 5);
	expect_read(p.slave, "", 0);
	expect_read(p.slave, "\003\n!\n", 4);
	assert_false(events(p.slave) & POLLIN);
	assert_int_equal(write(p.master, "\177\177\n", 3), 3); /* erase two of what was typed */
	expect_read(p.slave, "typ\n", 4);
	pair_close(&p);
}

static void packet_mode_status_waits(void **state)
{
	struct pair p = pair_open();
	char got[64];
	int on = 1;

	(void)state;
	assert_int_equal(ioctl(p.master, TIOCPKT, &on), 0);
	assert_int_equal(tcflush(p.slave, TCIOFLUSH), 0);
	assert_int_equal(tcflow(p.slave, TCOOFF), 0);
	carry(&p);
	assert_true(events(p.master) & POLLPRI);
	assert_int_equal(read(p.master, got, sizeof got), 1);
	assert_int_equal(got[0], TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE | TIOCPKT_STOP);
	assert_false(events(p.slave) & POLLOUT);
	assert_int_equal(tcflow(p.slave, TCOON), 0);
	assert_int_equal(write(p.slave, "x", 1), 1);
	assert_int_equal(read(p.master, got, sizeof got), 1);
	assert_int_equal(got[0], TIOCPKT_START);
	expect_read(p.master, "\0x", 2);
	pair_close(&p);
}

/* ^S, with output that waits at the master: ^Q lets it go on, tcflow(3) does not. */
static void stopped_by_a_character(void **state)
{
	struct pair p = pair_open();

	(void)state;
	termios_change(p.slave, ECHO, 0);
	assert_int_equal(write(p.slave, "before", 6), 6);
	assert_int_equal(write(p.master, "\023", 1), 1);
	assert_false(events(p.slave) & POLLOUT);
	carry(&p);
	expect_read(p.master, "before", 6);
	assert_false(events(p.slave) & POLLOUT);
	assert_int_equal(tcflow(p.slave, TCOON), 0);
	assert_false(events(p.slave) & POLLOUT);
	assert_int_equal(write(p.master, "\021", 1), 1);
	assert_true(events(p.slave) & POLLOUT);
	pair_close(&p);
}

/* The dump itself takes the data out and puts it back. */
static void looking_changes_nothing(void **state)
{
	struct fake *f = fake_create();
	struct pair p = pair_open();

	(void)state;
	assert_int_equal(write(p.master, "line\nrest", 9), 9);
	fake_add(f, p.master);
	fake_add(f, p.slave);
	fake_save(f, p.master, &fd_pty);
	fake_save(f, p.slave, &fd_pty);
	assert_int_equal(fake_try_save_links(f), 0);
	expect_read(p.master, "line\r\nrest", 10); /* the echo */
	expect_read(p.slave, "line\n", 5);
	assert_int_equal(write(p.master, "\n", 1), 1);
	expect_read(p.slave, "rest\n", 5);
	fake_destroy(f);
}

/* ---- one end only --------------------------------------------------------------------------- */

static struct fake *carry_one(int fd)
{
	struct fake *f = fake_create();

	fake_save(f, fd, &fd_pty);
	fake_carry(f);
	fake_make(f);
	return f;
}

static void master_whose_slave_was_never_opened(void **state)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), locked = 0;
	struct fake *f;

	(void)state;
	if (fd < 0)
		skip();
	f = carry_one(fd);
	assert_int_equal(events(fd), POLLOUT);
	assert_int_equal(ioctl(fd, TIOCGPTLCK, &locked), 0);
	assert_true(locked);
	fake_destroy(f);
}

static void master_whose_slave_was_closed(void **state)
{
	struct pair p = pair_open();
	struct fake *f;

	(void)state;
	assert_int_equal(write(p.slave, "last words", 10), 10);
	fd_close(&p.slave);
	f = carry_one(p.master);
	assert_true(events(p.master) & POLLHUP);
	expect_read(p.master, "last words", 10);
	assert_int_equal(read(p.master, (char[8]){ 0 }, 8), -1);
	assert_int_equal(errno, EIO);
	fake_destroy(f);
}

static void slave_whose_master_was_closed(void **state)
{
	struct pair p = pair_open();
	struct arena *arena = arena_create();
	struct fake *f;
	char *link;

	(void)state;
	fd_close(&p.master);
	link = fake_link(p.slave, arena);
	f = carry_one(p.slave);
	assert_string_equal(fake_link(p.slave, arena), link);
	assert_int_equal(read(p.slave, (char[8]){ 0 }, 8), 0);
	assert_true(events(p.slave) & POLLHUP);
	arena_destroy(arena);
	fake_destroy(f);
}

static void slave_held_outside_is_refused(void **state)
{
	struct pair p = pair_open();
	struct fake *f = fake_create();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	fake_expect_words(f, fake_try_save(f, p.master), ENOTSUP, "outside the dump");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fd_close(&p.slave);
	fake_destroy(f);
}

/* Somebody else has the number: another one, rather than none. */
static void number_that_is_taken(void **state)
{
	struct pair p = pair_open();
	struct fake *f = fake_create();
	unsigned index;
	int taken;

	(void)state;
	fd_close(&p.slave);
	taken = fcntl(p.master, F_DUPFD_CLOEXEC, 3); /* stays open: keeps the number */
	fake_save(f, p.master, &fd_pty);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(ioctl(p.master, TIOCGPTN, &index), 0);
	assert_int_not_equal(index, p.index);
	close(taken);
	fake_destroy(f);
}

/* ---- damaged images ------------------------------------------------------------------------- */

static void damaged_messages(void **state)
{
	struct pair p = pair_open();
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_add(f, p.master);
	fake_add(f, p.slave);
	fake_save(f, p.master, &fd_pty);
	fake_save(f, p.slave, &fd_pty);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->pty->pair->termios->cc.len = 3;
	fake_expect_bad(f, &fd_pty, msg, "control characters");
	msg = fake_message(f, 0);
	msg->pty->pair->rows = 1 << 20;
	fake_expect_bad(f, &fd_pty, msg, "window");
	msg = fake_message(f, 1);
	msg->pty->master = 99;
	fake_expect_bad(f, &fd_pty, msg, "does not exist");
	msg = fake_message(f, 1);
	msg->pty->has_master = false;
	fake_expect_bad(f, &fd_pty, msg, "without master");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_survive),
		cmocka_unit_test(raw_data_of_both_directions),
		cmocka_unit_test(lines_keep_their_ends),
		cmocka_unit_test(packet_mode_status_waits),
		cmocka_unit_test(stopped_by_a_character),
		cmocka_unit_test(looking_changes_nothing),
		cmocka_unit_test(master_whose_slave_was_never_opened),
		cmocka_unit_test(master_whose_slave_was_closed),
		cmocka_unit_test(slave_whose_master_was_closed),
		cmocka_unit_test(slave_held_outside_is_refused),
		cmocka_unit_test(number_that_is_taken),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
