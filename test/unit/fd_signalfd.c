/* signalfd through its whole life. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "test/unit/fd_fake.h"

static void mask_survives(void **state)
{
	sigset_t mask;
	struct fake *f;
	int fd;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMAX);
	fd = signalfd(-1, &mask, SFD_NONBLOCK);
	f = fake_round_trip(fd, &fd_signalfd);
	fake_destroy(f);
}

static void delivers(void **state)
{
	struct signalfd_siginfo info;
	sigset_t mask, old;
	struct fake *f;
	int fd;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, &old);
	fd = signalfd(-1, &mask, 0);
	f = fake_round_trip(fd, &fd_signalfd);
	raise(SIGUSR2);
	assert_int_equal(read(fd, &info, sizeof info), sizeof info);
	assert_int_equal(info.ssi_signo, SIGUSR2);
	sigprocmask(SIG_SETMASK, &old, NULL);
	fake_destroy(f);
}

static void describes(void **state)
{
	struct fake *f = fake_create();
	sigset_t mask;

	(void)state;
	sigemptyset(&mask);
	fake_save(f, signalfd(-1, &mask, 0), &fd_signalfd);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	fake_save(f, signalfd(-1, &mask, 0), &fd_signalfd);
	assert_string_equal(
		fd_signalfd.describe(f->snap, &f->snap->ofds[0], f->snap->arena), "no signals");
	assert_string_equal(
		fd_signalfd.describe(f->snap, &f->snap->ofds[1], f->snap->arena), "INT TERM");
	fake_destroy(f);
}

static void damaged_message(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg = calloc(1, sizeof *msg);

	(void)state;
	assert_non_null(msg);
	pb__ofd__init(msg);
	fake_expect_bad(f, &fd_signalfd, msg, "missing");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mask_survives),
		cmocka_unit_test(delivers),
		cmocka_unit_test(describes),
		cmocka_unit_test(damaged_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
