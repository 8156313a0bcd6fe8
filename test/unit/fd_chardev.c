/* Plain devices survive, terminals are refused unless they are the caller's. */
/* not beside others: ptys */
#include <errno.h>
#include <sys/sysmacros.h>

#include "test/unit/fd_fake.h"

static void plain_devices_survive(void **state)
{
	static const struct {
		const char *path;
		int flags;
	} devices[] = {
		{ "/dev/null", O_WRONLY | O_APPEND },
		{ "/dev/zero", O_RDONLY },
		{ "/dev/full", O_RDWR },
		{ "/dev/random", O_RDONLY | O_NONBLOCK },
		{ "/dev/urandom", O_RDONLY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		fake_destroy(fake_round_trip(
			open(devices[i].path, devices[i].flags | O_CLOEXEC), &fd_chardev));
}

static int terminal_open(int *master)
{
	char name[64];

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master < 0 || grantpt(*master) < 0 || unlockpt(*master) < 0 ||
		ptsname_r(*master, name, sizeof name))
		return -1;
	return open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static void terminals_are_refused(void **state)
{
	struct fake *f = fake_create();
	int master, fd = terminal_open(&master);

	(void)state;
	if (fd < 0)
		skip(); /* no pseudo terminals here */
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "whose other end is outside the dump");
	close(master);
	fake_destroy(f);
}

/* /dev/stdout opened by a program whose standard output came from the launcher. */
static void terminal_of_the_caller_is_opened_again(void **state)
{
	struct fake *f = fake_create();
	struct snap_ofd *stdout_ofd = snap_add_ofd(f->snap);
	int master, inherited = terminal_open(&master), again;

	(void)state;
	if (inherited < 0)
		skip();
	stdout_ofd->inherited = 1;
	stdout_ofd->label = fake_link(inherited, f->snap->arena);
	f->made[0] = inherited;
	assert_int_equal(ofd_reopen(inherited, O_WRONLY, &again, NULL), 0);
	assert_int_equal(fake_save(f, again, &fd_chardev), 1);
	assert_string_equal(fd_chardev.describe(f->snap, &f->snap->ofds[1], f->snap->arena),
		"opened again from the caller's 1");
	fake_carry(f);
	fake_make(f);
	assert_int_equal(fcntl(again, F_GETFL) & O_ACCMODE, O_WRONLY);
	assert_true(isatty(again));
	close(master);
	fake_destroy(f);
}

static void another_device_by_now(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;
	int fd;

	(void)state;
	fake_save(f, open("/dev/null", O_RDONLY | O_CLOEXEC), &fd_chardev);
	msg = fake_message(f, 0);
	msg->chardev->rdev = makedev(1, 5);
	assert_int_equal(fd_chardev.unpack(f->snap, msg, &f->snap->ofds[0], &f->err), 0);
	fake_expect_words(f, fd_chardev.make(&f->make, &f->snap->ofds[0], &fd, &f->err), ESTALE,
		"/dev/null was device 1:5");
	pb__ofd__free_unpacked(msg, NULL);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, open("/dev/null", O_RDONLY | O_CLOEXEC), &fd_chardev);
	msg = fake_message(f, 0);
	msg->chardev->rdev = makedev(8, 0);
	fake_expect_bad(f, &fd_chardev, msg, "device 8:0");
	msg = fake_message(f, 0);
	msg->chardev->path.data[0] = 'x';
	fake_expect_bad(f, &fd_chardev, msg, "absolute");
	msg = fake_message(f, 0);
	msg->chardev->path.data[3] = '\0';
	fake_expect_bad(f, &fd_chardev, msg, "absolute");
	msg = fake_message(f, 0);
	msg->chardev->has_like = true;
	msg->chardev->like = 1;
	fake_expect_bad(f, &fd_chardev, msg, "descriptor 1 does not exist");
	msg = fake_message(f, 0);
	msg->chardev->has_like = true;
	fake_expect_bad(f, &fd_chardev, msg, "not inherited");
	msg = fake_message(f, 0);
	pb__char_fd__free_unpacked(msg->chardev, NULL);
	msg->chardev = NULL;
	fake_expect_bad(f, &fd_chardev, msg, "missing");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_devices_survive),
		cmocka_unit_test(terminals_are_refused),
		cmocka_unit_test(terminal_of_the_caller_is_opened_again),
		cmocka_unit_test(another_device_by_now),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
