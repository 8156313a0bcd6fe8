/* timerfd through its whole life. */
#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "test/unit/fd_fake.h"

static const int64_t NS = 1000000000;

static int timer(int clock, int flags, int64_t value, int64_t interval)
{
	struct itimerspec spec = {
		.it_value = { value / NS, value % NS },
		.it_interval = { interval / NS, interval % NS },
	};
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(timerfd_settime(fd, flags, &spec, NULL), 0);
	return fd;
}

static int64_t left(int fd)
{
	struct itimerspec spec;

	assert_int_equal(timerfd_gettime(fd, &spec), 0);
	return spec.it_value.tv_sec * NS + spec.it_value.tv_nsec;
}

static int64_t now(int clock)
{
	struct timespec t;

	assert_int_equal(clock_gettime(clock, &t), 0);
	return t.tv_sec * NS + t.tv_nsec;
}

static void rest_of_the_time_survives(void **state)
{
	int fd = timer(CLOCK_MONOTONIC, 0, 1000 * NS, 3 * NS);
	struct fake *f = fake_round_trip(fd, &fd_timerfd);

	(void)state;
	assert_true(left(fd) > 900 * NS && left(fd) <= 1000 * NS);
	fake_destroy(f);
}

static void absolute_time_survives(void **state)
{
	int64_t when = now(CLOCK_REALTIME) + 5000 * NS;
	int fd = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, when, 0);
	struct fake *f = fake_round_trip(fd, &fd_timerfd);
	int64_t differs = now(CLOCK_REALTIME) + left(fd) - when;

	(void)state;
	/* Two clocks were read one after the other, twice: machines stall now and then. */
	assert_true(differs > -NS && differs < NS);
	fake_destroy(f);
}

static void never_set_survives(void **state)
{
	int fd = timerfd_create(CLOCK_BOOTTIME, 0);
	struct fake *f = fake_round_trip(fd, &fd_timerfd);

	(void)state;
	assert_int_equal(left(fd), 0);
	fake_destroy(f);
}

static void unread_expirations_survive(void **state)
{
	int fd = timer(CLOCK_MONOTONIC, 0, 1, 0);
	struct fake *f;
	uint64_t ticks;

	(void)state;
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1), 1);
	f = fake_round_trip(fd, &fd_timerfd);
	assert_int_equal(left(fd), 0);
	assert_int_equal(read(fd, &ticks, sizeof ticks), sizeof ticks);
	assert_int_equal(ticks, 1);
	fake_destroy(f);
}

/* A periodic timer that nobody reads stands still until it is looked at. */
static void periodic_unread_goes_on(void **state)
{
	int fd = timer(CLOCK_MONOTONIC, 0, 1, 500 * NS);
	struct fake *f = fake_create();
	uint64_t ticks;

	(void)state;
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1), 1);
	fake_save(f, fd, &fd_timerfd);
	fake_carry(f);
	fake_make(f);
	assert_true(left(fd) > 400 * NS && left(fd) <= 500 * NS);
	assert_int_equal(read(fd, &ticks, sizeof ticks), sizeof ticks);
	assert_int_equal(ticks, 1);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, timer(CLOCK_MONOTONIC, 0, NS, 0), &fd_timerfd);
	msg = fake_message(f, 0);
	msg->timerfd->settime_flags = 0x100;
	fake_expect_bad(f, &fd_timerfd, msg, "unknown flags");
	msg = fake_message(f, 0);
	msg->timerfd->value = UINT64_MAX;
	fake_expect_bad(f, &fd_timerfd, msg, "beyond");
	msg = fake_message(f, 0);
	pb__timer_fd__free_unpacked(msg->timerfd, NULL);
	msg->timerfd = NULL;
	fake_expect_bad(f, &fd_timerfd, msg, "missing");
	fake_destroy(f);
}

/* What cannot be known at the door is an error when it is made. */
static void unknown_clock(void **state)
{
	struct fake *f = fake_create();
	struct snap_ofd *ofd;
	Pb__Ofd *msg;
	int fd;

	(void)state;
	fake_save(f, timer(CLOCK_MONOTONIC, 0, NS, 0), &fd_timerfd);
	msg = fake_message(f, 0);
	msg->timerfd->clock = 77;
	ofd = &f->snap->ofds[0];
	assert_int_equal(fd_timerfd.unpack(f->snap, msg, ofd, &f->err), 0);
	fake_expect_words(f, fd_timerfd.make(&f->make, ofd, &fd, &f->err), EINVAL, "clock 77");
	pb__ofd__free_unpacked(msg, NULL);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rest_of_the_time_survives),
		cmocka_unit_test(absolute_time_survives),
		cmocka_unit_test(never_set_survives),
		cmocka_unit_test(unread_expirations_survive),
		cmocka_unit_test(periodic_unread_goes_on),
		cmocka_unit_test(damaged_messages),
		cmocka_unit_test(unknown_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
