/* fanotify: marks of files, mounts and file systems. */
#include <errno.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "test/unit/fd_fake.h"

static char dir[] = "/tmp/snapctl-fd-fanotify-XXXXXX";

static int group_setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int group_open(unsigned flags)
{
	int fd = fanotify_init(flags | FAN_NONBLOCK, O_RDONLY);

	if (fd < 0)
		skip(); /* root only */
	assert_int_equal(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
	return fd;
}

static void mark(int fd, unsigned how, uint64_t mask, const char *path)
{
	assert_int_equal(fanotify_mark(fd, FAN_MARK_ADD | how, mask, AT_FDCWD, path), 0);
}

static void marks_survive(void **state)
{
	int fd = group_open(FAN_CLASS_NOTIF | FAN_REPORT_FID);

	(void)state;
	mark(fd, 0, FAN_CREATE | FAN_ONDIR | FAN_EVENT_ON_CHILD, dir);
	mark(fd, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, dir);
	mark(fd, FAN_MARK_FILESYSTEM, FAN_DELETE_SELF, "/dev");
	fake_destroy(fake_round_trip(fd, &fd_fanotify));
}

static void mark_of_a_mount_survives(void **state)
{
	int fd = group_open(FAN_CLASS_NOTIF | FAN_UNLIMITED_QUEUE);

	(void)state;
	mark(fd, FAN_MARK_MOUNT, FAN_CLOSE_WRITE, "/proc");
	fake_destroy(fake_round_trip(fd, &fd_fanotify));
}

static void nothing_watched(void **state)
{
	(void)state;
	fake_destroy(fake_round_trip(group_open(FAN_CLASS_NOTIF), &fd_fanotify));
}

static void queued_events_are_refused(void **state)
{
	int fd = group_open(FAN_CLASS_NOTIF | FAN_REPORT_FID);
	struct fake *f = fake_create();

	(void)state;
	mark(fd, 0, FAN_ATTRIB | FAN_ONDIR, dir);
	assert_int_equal(chmod(dir, 0700), 0);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "events wait");
	fake_destroy(f);
}

static void permission_is_refused(void **state)
{
	int fd = group_open(FAN_CLASS_CONTENT);
	struct fake *f = fake_create();

	(void)state;
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "ask for permission");
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	int fd = group_open(FAN_CLASS_NOTIF | FAN_REPORT_FID);
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	mark(fd, 0, FAN_ATTRIB, dir);
	fake_save(f, fd, &fd_fanotify);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->fanotify->flags = FAN_CLASS_CONTENT;
	fake_expect_bad(f, &fd_fanotify, msg, "class");
	msg = fake_message(f, 0);
	msg->fanotify->marks[0]->type = 1;
	fake_expect_bad(f, &fd_fanotify, msg, "of type 1");
	msg = fake_message(f, 0);
	msg->fanotify->marks[0]->path.data[0] = 'x';
	fake_expect_bad(f, &fd_fanotify, msg, "absolute");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_survive),
		cmocka_unit_test(mark_of_a_mount_survives),
		cmocka_unit_test(nothing_watched),
		cmocka_unit_test(queued_events_are_refused),
		cmocka_unit_test(permission_is_refused),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
