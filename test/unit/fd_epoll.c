/* epoll sets: all trigger modes, nested, and items whose slot was closed or reused. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "images/fd/epoll.h"
#include "test/unit/fd_fake.h"

static void watch(int epfd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
}

static int wait_one(int epfd, struct epoll_event *event)
{
	return epoll_wait(epfd, event, 1, 0);
}

static void expect_event(int epfd, uint32_t events, uint64_t data)
{
	struct epoll_event event;

	assert_int_equal(wait_one(epfd, &event), 1);
	assert_int_equal(event.events, events);
	assert_true(event.data.u64 == data);
}

static void expect_nothing(int epfd)
{
	struct epoll_event event;

	assert_int_equal(wait_one(epfd, &event), 0);
}

/* Saves all, makes all; the epoll sets among them show the same. */
static struct fake *round_trip(const int *fds, size_t nr)
{
	struct fake *f = fake_create();
	struct arena *arena = arena_create();
	char *before[16];

	for (size_t i = 0; i < nr; i++)
		fake_add(f, fds[i]);
	for (size_t i = 0; i < nr; i++) {
		if (fake_try_save(f, fds[i]) < 0)
			fail_msg("%s", f->err.msg);
		before[i] = fake_canonical(fake_fdinfo(fds[i], arena), arena);
	}
	fake_carry(f);
	fake_make(f);
	for (size_t i = 0; i < nr; i++)
		assert_string_equal(fake_canonical(fake_fdinfo(fds[i], arena), arena), before[i]);
	arena_destroy(arena);
	return f;
}

static int counter(unsigned value)
{
	return eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void level_and_edge(void **state)
{
	int fds[3] = { epoll_create1(EPOLL_CLOEXEC), counter(0), counter(3) };
	struct fake *f;

	(void)state;
	watch(fds[0], fds[1], EPOLLIN, 0x1122334455667788);
	watch(fds[0], fds[2], EPOLLIN | EPOLLET, 2);
	expect_event(fds[0], EPOLLIN, 2);
	expect_nothing(fds[0]);
	f = round_trip(fds, 3);
	/* The edge was reported; a new one is. */
	expect_nothing(fds[0]);
	assert_int_equal(eventfd_write(fds[2], 1), 0);
	expect_event(fds[0], EPOLLIN, 2);
	expect_nothing(fds[0]);
	assert_int_equal(eventfd_write(fds[1], 1), 0);
	expect_event(fds[0], EPOLLIN, 0x1122334455667788);
	expect_event(fds[0], EPOLLIN, 0x1122334455667788);
	fake_destroy(f);
}

static void other_ways_to_report(void **state)
{
	int fds[3] = { epoll_create1(EPOLL_CLOEXEC), counter(1), counter(0) };
	struct fake *f;

	(void)state;
	watch(fds[0], fds[1], EPOLLIN | EPOLLEXCLUSIVE, 1);
	watch(fds[0], fds[2], EPOLLPRI | EPOLLRDHUP | EPOLLONESHOT, 2);
	f = round_trip(fds, 3);
	expect_event(fds[0], EPOLLIN, 1);
	fake_destroy(f);
}

/* Delivered one-shot items are off until the program says otherwise. */
static void spent_one_shots_stay_off(void **state)
{
	int fds[5] = { epoll_create1(EPOLL_CLOEXEC), counter(1), -1, -1, counter(0) };
	struct epoll_event again = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 7 };
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fds[2] = ends[0];
	fds[3] = ends[1];
	watch(fds[0], fds[1], EPOLLIN | EPOLLONESHOT, 1);
	expect_event(fds[0], EPOLLIN, 1);
	watch(fds[0], ends[0], EPOLLIN | EPOLLONESHOT | EPOLLET, 2);
	assert_int_equal(write(ends[1], "x", 1), 1);
	expect_event(fds[0], EPOLLIN, 2);
	assert_int_equal(read(ends[0], (char[1]){ 0 }, 1), 1);
	/* An ordinary one that is ready, which must not be lost meanwhile. */
	watch(fds[0], fds[4], EPOLLOUT | EPOLLONESHOT, 3);
	f = round_trip(fds, 5);
	expect_event(fds[0], EPOLLOUT, 3);
	expect_nothing(fds[0]);
	assert_int_equal(write(ends[1], "x", 1), 1);
	expect_nothing(fds[0]);
	assert_int_equal(epoll_ctl(fds[0], EPOLL_CTL_MOD, fds[1], &again), 0);
	expect_event(fds[0], EPOLLIN, 7);
	fake_destroy(f);
}

/* What is never ready keeps EPOLLERR and EPOLLHUP, which a timer never reports. */
static void spent_one_shot_that_cannot_be_spent_again(void **state)
{
	struct itimerspec spec = { .it_value.tv_nsec = 1 };
	int fds[2] = { epoll_create1(EPOLL_CLOEXEC), timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC) };
	struct epoll_event event;
	struct fake *f = fake_create();

	(void)state;
	watch(fds[0], fds[1], EPOLLIN | EPOLLONESHOT, 1);
	assert_int_equal(timerfd_settime(fds[1], 0, &spec, NULL), 0);
	assert_int_equal(epoll_wait(fds[0], &event, 1, -1), 1);
	assert_int_equal(read(fds[1], &(uint64_t){ 0 }, 8), 8);
	fake_add(f, fds[0]);
	fake_save(f, fds[1], &fd_timerfd);
	fake_save(f, fds[0], &fd_epoll);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(timerfd_settime(fds[1], 0, &spec, NULL), 0);
	assert_int_equal(read(fds[1], &(uint64_t){ 0 }, 8), 8);
	expect_nothing(fds[0]);
	fake_destroy(f);
}

static void nested(void **state)
{
	int fds[3] = { epoll_create1(EPOLL_CLOEXEC), epoll_create1(EPOLL_CLOEXEC), counter(0) };
	struct fake *f;

	(void)state;
	watch(fds[0], fds[1], EPOLLIN, 1);
	watch(fds[1], fds[2], EPOLLIN, 2);
	f = round_trip(fds, 3);
	expect_nothing(fds[0]);
	assert_int_equal(eventfd_write(fds[2], 1), 0);
	expect_event(fds[0], EPOLLIN, 1);
	expect_event(fds[1], EPOLLIN, 2);
	fake_destroy(f);
}

static void same_file_in_two_slots(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = counter(1);
	int two = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct arena *arena = arena_create();
	char *before;

	(void)state;
	watch(epfd, fd, EPOLLIN | EPOLLET, 1);
	watch(epfd, two, EPOLLIN | EPOLLET, 2);
	before = fake_canonical(fake_fdinfo(epfd, arena), arena);
	fake_add(f, epfd);
	fake_save(f, fd, &fd_eventfd);
	fake_save(f, epfd, &fd_epoll);
	/* The fake knows one slot for each; the other is found by comparing, as if it had moved. */
	fake_carry(f);
	close(two);
	fake_make(f);
	assert_string_equal(fake_canonical(fake_fdinfo(epfd, arena), arena), before);
	arena_destroy(arena);
	fake_destroy(f);
}

/* The slot was closed while a duplicate lives on: the item stays. */
static void closed_behind_its_back(void **state)
{
	int fds[2] = { epoll_create1(EPOLL_CLOEXEC), -1 }, old = counter(1);
	struct fake *f;

	(void)state;
	watch(fds[0], old, EPOLLIN | EPOLLET, 5);
	expect_event(fds[0], EPOLLIN, 5);
	fds[1] = fcntl(old, F_DUPFD_CLOEXEC, 50);
	close(old);
	f = round_trip(fds, 2);
	assert_int_equal(fcntl(old, F_GETFD), -1);
	expect_nothing(fds[0]);
	assert_int_equal(eventfd_write(fds[1], 1), 0);
	expect_event(fds[0], EPOLLIN, 5);
	fake_destroy(f);
}

/* And the slot was used again, for something watched as well: two items of one number. */
static void reused_behind_its_back(void **state)
{
	int fds[3] = { epoll_create1(EPOLL_CLOEXEC), -1, -1 }, slot = counter(1);
	struct fake *f;

	(void)state;
	watch(fds[0], slot, EPOLLIN | EPOLLET, 5);
	fds[1] = fcntl(slot, F_DUPFD_CLOEXEC, 50);
	close(slot);
	fds[2] = counter(0);
	assert_int_equal(fds[2], slot);
	watch(fds[0], slot, EPOLLIN | EPOLLET, 6);
	f = round_trip(fds, 3);
	expect_event(fds[0], EPOLLIN, 5);
	expect_nothing(fds[0]);
	/* What stood in the slot still stands there. */
	assert_int_equal(eventfd_write(slot, 1), 0);
	expect_event(fds[0], EPOLLIN, 6);
	fake_destroy(f);
}

static void slot_keeps_its_flag(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), slot = counter(1), moved;

	(void)state;
	watch(epfd, slot, EPOLLIN, 5);
	moved = fcntl(slot, F_DUPFD_CLOEXEC, 50);
	close(slot);
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), slot);
	fake_add(f, epfd);
	fake_add(f, moved);
	fake_save(f, epfd, &fd_epoll);
	fake_save(f, moved, &fd_eventfd);
	assert_int_equal(fake_try_save_links(f), 0);
	f->made[1] = fcntl(moved, F_DUPFD_CLOEXEC, FAKE_ABOVE);
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_DEL, slot, NULL), -1);
	close(epfd);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(fd_epoll.make_link(&f->make, &f->snap->ofds[0], epfd, &f->err), 0);
	assert_int_equal(fcntl(slot, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(slot, "x", 1), -1);
	expect_event(epfd, EPOLLIN, 5);
	close(slot);
	fake_destroy(f);
}

static void open_outside_only_is_refused(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = counter(1), outside;

	(void)state;
	watch(epfd, fd, EPOLLIN, 1);
	outside = fcntl(fd, F_DUPFD_CLOEXEC, FAKE_ABOVE);
	close(fd);
	fake_save(f, epfd, &fd_epoll);
	fake_expect_words(f, fake_try_save_links(f), ENOTSUP, "open outside the dump only");
	close(outside);
	fake_destroy(f);
}

/* Where kcmp cannot tell, an inode of its own does, and an anonymous one does not. */
static void without_kcmp(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), slot, ends[2], moved;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	watch(epfd, ends[0], EPOLLIN, 1);
	moved = fcntl(ends[0], F_DUPFD_CLOEXEC, 50);
	close(ends[0]);
	f->no_kcmp = true;
	fake_add(f, epfd);
	fake_add(f, moved);
	fake_add(f, ends[1]);
	fake_save(f, epfd, &fd_epoll);
	fake_save(f, moved, &fd_pipe);
	fake_save(f, ends[1], &fd_pipe);
	assert_int_equal(fake_try_save_links(f), 0);
	assert_string_equal(fd_epoll.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		arena_printf(f->snap->arena, "watches %d (closed)", ends[0]));
	slot = counter(1);
	watch(epfd, slot, EPOLLIN, 2);
	fake_save(f, fcntl(slot, F_DUPFD_CLOEXEC, 50), &fd_eventfd);
	close(slot);
	f->seen[0].fdinfo = fake_fdinfo(epfd, f->snap->arena);
	fake_expect_words(f, fake_try_save_links(f), ENOTSUP, "open outside the dump only");
	fake_destroy(f);
}

/* /dev/null instead of the terminal that the program waited on. */
static void caller_gave_something_that_cannot_be_watched(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = counter(1), ret;

	(void)state;
	watch(epfd, fd, EPOLLIN, 1);
	fake_add(f, fd);
	fake_save(f, epfd, &fd_epoll);
	f->snap->ofds[0].inherited = 0;
	f->snap->ofds[0].kind = NULL;
	fake_carry(f);
	assert_int_equal(close(fd), 0);
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), fd);
	f->made[0] = fd;
	ret = fake_try_make(f);
	fake_expect_words(f, ret, EPERM, "watch descriptor");
	assert_non_null(strstr(f->err.hint, "of the caller"));
	fake_destroy(f);
}

static void busy_polling_survives(void **state)
{
	struct epoll_busy_poll want = { .usecs = 50, .budget = 8, .prefer = 1 }, got;
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct fake *f;

	(void)state;
	if (ioctl(epfd, EPOLL_IOC_SET_PARAMS, &want) < 0) {
		close(epfd);
		skip(); /* before Linux 6.9 */
	}
	f = round_trip(&epfd, 1);
	assert_int_equal(ioctl(epfd, EPOLL_IOC_GET_PARAMS, &got), 0);
	assert_memory_equal(&got, &want, sizeof want);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = counter(1);
	Pb__Ofd *msg;

	(void)state;
	watch(epfd, fd, EPOLLIN, 1);
	fake_save(f, epfd, &fd_epoll);
	fake_save(f, fd, &fd_eventfd);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->epoll->items[0]->ofd = 2;
	fake_expect_bad(f, &fd_epoll, msg, "descriptor 2 does not exist");
	msg = fake_message(f, 0);
	msg->epoll->items[0]->ofd = 0;
	fake_expect_bad(f, &fd_epoll, msg, "watches itself");
	msg = fake_message(f, 0);
	msg->epoll->items[0]->num = UINT32_MAX;
	fake_expect_bad(f, &fd_epoll, msg, "without slot");
	msg = fake_message(f, 0);
	msg->epoll->items[0]->has_ofd = false;
	fake_expect_bad(f, &fd_epoll, msg, "without slot");
	msg = fake_message(f, 0);
	msg->epoll->items[0]->has_reported = msg->epoll->items[0]->reported = true;
	fake_expect_bad(f, &fd_epoll, msg, "reported edge");
	msg = fake_message(f, 0);
	msg->epoll->busy_poll_budget = 70000;
	fake_expect_bad(f, &fd_epoll, msg, "budget");
	msg = fake_message(f, 0);
	pb__epoll_fd__free_unpacked(msg->epoll, NULL);
	msg->epoll = NULL;
	fake_expect_bad(f, &fd_epoll, msg, "missing");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_and_edge),
		cmocka_unit_test(other_ways_to_report),
		cmocka_unit_test(spent_one_shots_stay_off),
		cmocka_unit_test(spent_one_shot_that_cannot_be_spent_again),
		cmocka_unit_test(nested),
		cmocka_unit_test(same_file_in_two_slots),
		cmocka_unit_test(closed_behind_its_back),
		cmocka_unit_test(reused_behind_its_back),
		cmocka_unit_test(slot_keeps_its_flag),
		cmocka_unit_test(open_outside_only_is_refused),
		cmocka_unit_test(without_kcmp),
		cmocka_unit_test(caller_gave_something_that_cannot_be_watched),
		cmocka_unit_test(busy_polling_survives),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
