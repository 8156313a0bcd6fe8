/* Message queues: messages in their order, attributes, names. */
#include <errno.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/syscall.h>

#include "test/unit/fd_fake.h"

static const char *const NAMES[] = { "/snapctl-test-a", "/snapctl-test-b" };

static int queue_open(const char *name, int flags)
{
	struct mq_attr attr = { .mq_maxmsg = 5, .mq_msgsize = 100 };
	int fd = mq_open(name, flags | O_CREAT | O_CLOEXEC, 0640, &attr);

	if (fd < 0)
		skip(); /* no message queues here */
	return fd;
}

static int names_remove(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
		mq_unlink(NAMES[i]);
	return 0;
}

static void expect_message(int fd, const char *text, unsigned priority)
{
	unsigned got_priority = 0;
	char got[100];

	assert_int_equal(mq_receive(fd, got, sizeof got, &got_priority), (ssize_t)strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(got_priority, priority);
}

static void fill(int fd)
{
	assert_int_equal(mq_send(fd, "first", 5, 3), 0);
	assert_int_equal(mq_send(fd, "urgent", 6, 32767), 0);
	assert_int_equal(mq_send(fd, "second", 6, 3), 0);
	assert_int_equal(mq_send(fd, "", 0, 0), 0);
}

static void expect_filled(int fd)
{
	struct mq_attr attr;

	assert_int_equal(mq_getattr(fd, &attr), 0);
	assert_int_equal(attr.mq_maxmsg, 5);
	assert_int_equal(attr.mq_msgsize, 100);
	assert_int_equal(attr.mq_curmsgs, 4);
	expect_message(fd, "urgent", 32767);
	expect_message(fd, "first", 3);
	expect_message(fd, "second", 3);
	expect_message(fd, "", 0);
}

static void there_still(void **state)
{
	int fd = queue_open(NAMES[0], O_RDWR | O_NONBLOCK);
	struct fake *f;

	(void)state;
	fill(fd);
	f = fake_round_trip(fd, &fd_mqueue);
	expect_filled(fd);
	fake_destroy(f);
}

/* Two descriptors, one of them may only send; the queue is gone when they are made again. */
static void gone_by_now(void **state)
{
	int receive = queue_open(NAMES[0], O_RDONLY | O_NONBLOCK),
	    send = queue_open(NAMES[0], O_WRONLY);
	struct fake *f = fake_create();
	struct stat st;

	(void)state;
	fill(send);
	fake_save(f, send, &fd_mqueue);
	fake_save(f, receive, &fd_mqueue);
	fake_carry(f);
	assert_int_equal(mq_unlink(NAMES[0]), 0);
	fake_make(f);
	assert_int_equal(fcntl(receive, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(send, F_GETFL) & O_ACCMODE, O_WRONLY);
	assert_int_equal(fstat(send, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_nlink, 1);
	expect_filled(receive);
	assert_int_equal(mq_send(send, "more", 4, 1), 0);
	expect_message(receive, "more", 1);
	fake_destroy(f);
}

static void without_a_name(void **state)
{
	int fd = queue_open(NAMES[1], O_RDWR), other;
	struct fake *f;

	(void)state;
	fill(fd);
	assert_int_equal(mq_unlink(NAMES[1]), 0);
	other = queue_open(NAMES[1], O_RDWR | O_NONBLOCK);
	f = fake_create();
	fake_save(f, fd, &fd_mqueue);
	fake_carry(f);
	fake_make(f);
	expect_filled(fd);
	assert_int_equal(mq_receive(other, (char[100]){ 0 }, 100, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	mq_close(other);
	fake_destroy(f);
}

static void another_one_by_now(void **state)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 1 };
	int fd = queue_open(NAMES[0], O_RDWR), other;
	struct fake *f = fake_create();

	(void)state;
	fake_save(f, fd, &fd_mqueue);
	fake_carry(f);
	assert_int_equal(mq_unlink(NAMES[0]), 0);
	other = mq_open(NAMES[0], O_CREAT | O_RDWR, 0600, &attr);
	assert_true(other >= 0);
	fake_expect_words(f, fake_try_make(f), ESTALE, "and now has 1 of 1");
	mq_close(other);
	fake_destroy(f);
}

static void notification_is_refused(void **state)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int fd = queue_open(NAMES[0], O_RDWR);
	struct fake *f = fake_create();

	(void)state;
	assert_int_equal(mq_notify(fd, &event), 0);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "mq_notify");
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	int fd = queue_open(NAMES[0], O_RDWR);
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fill(fd);
	fake_save(f, fd, &fd_mqueue);
	assert_int_equal(fake_try_save_links(f), 0);
	msg = fake_message(f, 0);
	msg->mqueue->name.data[0] = '/';
	fake_expect_bad(f, &fd_mqueue, msg, "a name");
	msg = fake_message(f, 0);
	msg->mqueue->messages[1]->priority = 32768;
	fake_expect_bad(f, &fd_mqueue, msg, "impossible message 1");
	msg = fake_message(f, 0);
	msg->mqueue->first = 7;
	fake_expect_bad(f, &fd_mqueue, msg, "is none");
	msg = fake_message(f, 0);
	msg->mqueue->max_messages = 1;
	fake_expect_bad(f, &fd_mqueue, msg, "impossible attributes");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(there_still, names_remove),
		cmocka_unit_test_teardown(gone_by_now, names_remove),
		cmocka_unit_test_teardown(without_a_name, names_remove),
		cmocka_unit_test_teardown(another_one_by_now, names_remove),
		cmocka_unit_test_teardown(notification_is_refused, names_remove),
		cmocka_unit_test_teardown(damaged_messages, names_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
