/* eventfd through its whole life. */
#include <errno.h>
#include <sys/eventfd.h>

#include "test/unit/fd_fake.h"

static uint64_t read_count(int fd)
{
	uint64_t value = 0;

	assert_int_equal(read(fd, &value, sizeof value), sizeof value);
	return value;
}

static void count_survives(void **state)
{
	int fd = eventfd(7, EFD_NONBLOCK);
	struct fake *f = fake_round_trip(fd, &fd_eventfd);

	(void)state;
	assert_int_equal(read_count(fd), 7);
	assert_int_equal(read(fd, &(uint64_t){ 0 }, 8), -1);
	assert_int_equal(errno, EAGAIN);
	fake_destroy(f);
}

static void semaphore_survives(void **state)
{
	int fd = eventfd(2, EFD_SEMAPHORE | EFD_CLOEXEC);
	struct fake *f = fake_round_trip(fd, &fd_eventfd);

	(void)state;
	assert_int_equal(read_count(fd), 1);
	assert_int_equal(read_count(fd), 1);
	fake_destroy(f);
}

static void highest_count_survives(void **state)
{
	uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, 0);
	struct fake *f;

	(void)state;
	assert_int_equal(write(fd, &most, sizeof most), sizeof most);
	f = fake_round_trip(fd, &fd_eventfd);
	assert_true(read_count(fd) == most);
	fake_destroy(f);
}

/* Before Linux 6.5 fdinfo does not say whether it is a semaphore: ask, and leave it as it was. */
static void old_kernel(uint64_t count, int flags)
{
	struct fake *f = fake_create();
	struct arena *arena = arena_create();
	int fd = eventfd((unsigned)count, flags);
	uint32_t id = fake_save(f, fd, &fd_eventfd);
	char *line = strstr((char *)(uintptr_t)f->seen[id].fdinfo, "eventfd-semaphore");

	if (line)
		*line = '\0';
	assert_int_equal(fd_eventfd.save(&f->seen[id], &f->snap->ofds[id], &f->err), 0);
	fake_carry(f);
	fake_make(f);
	line = fake_fdinfo(fd, arena);
	assert_int_equal(strtoull(text_field(line, "eventfd-count"), NULL, 16), count);
	if (count > 1)
		assert_int_equal(read_count(fd), flags & EFD_SEMAPHORE ? 1 : count);
	arena_destroy(arena);
	fake_destroy(f);
}

static void old_kernel_semaphore(void **state)
{
	(void)state;
	for (uint64_t count = 0; count < 4; count++) {
		old_kernel(count, 0);
		old_kernel(count, EFD_SEMAPHORE);
	}
}

static void the_live_one_is_not_changed(void **state)
{
	struct fake *f = fake_create();
	int fd = eventfd(3, EFD_SEMAPHORE);
	uint32_t id = fake_save(f, fd, &fd_eventfd);

	(void)state;
	*strstr((char *)(uintptr_t)f->seen[id].fdinfo, "eventfd-semaphore") = '\0';
	assert_int_equal(fd_eventfd.save(&f->seen[id], &f->snap->ofds[id], &f->err), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(read_count(fd), 1);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, eventfd(1, 0), &fd_eventfd);
	msg = fake_message(f, 0);
	msg->eventfd->count = UINT64_MAX;
	fake_expect_bad(f, &fd_eventfd, msg, "that high");
	msg = fake_message(f, 0);
	pb__event_fd__free_unpacked(msg->eventfd, NULL);
	msg->eventfd = NULL;
	fake_expect_bad(f, &fd_eventfd, msg, "missing");
	fake_destroy(f);
}

static void describes(void **state)
{
	struct fake *f = fake_create();

	(void)state;
	fake_save(f, eventfd(5, EFD_SEMAPHORE), &fd_eventfd);
	assert_string_equal(fd_eventfd.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		"count 5, semaphore");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(count_survives),
		cmocka_unit_test(semaphore_survives),
		cmocka_unit_test(highest_count_survives),
		cmocka_unit_test(old_kernel_semaphore),
		cmocka_unit_test(the_live_one_is_not_changed),
		cmocka_unit_test(damaged_messages),
		cmocka_unit_test(describes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
