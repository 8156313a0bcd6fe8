/* pidfds of processes inside and outside the dump. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "images/fd/pidfd.h"
#include "test/unit/fd_fake.h"

static int open_pidfd(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static void own_process_survives(void **state)
{
	int fd = open_pidfd(getpid(), O_NONBLOCK);
	struct fake *f = fake_round_trip(fd, &fd_pidfd);

	(void)state;
	assert_int_equal(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
	fake_destroy(f);
}

static void leading_thread_survives(void **state)
{
	int fd = open_pidfd(getpid(), O_EXCL);
	struct fake *f;

	(void)state;
	if (fd < 0)
		skip(); /* PIDFD_THREAD came with Linux 6.9 */
	f = fake_round_trip(fd, &fd_pidfd);
	assert_true(fcntl(fd, F_GETFL) & O_EXCL);
	fake_destroy(f);
}

/* A child that waits to be killed. */
static pid_t child_start(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test must not leave it */
		for (;;)
			pause();
	}
	return pid;
}

static void outside_is_refused(void **state)
{
	struct fake *f = fake_create();
	pid_t child = child_start();
	int fd = open_pidfd(child, 0);

	(void)state;
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "not part of the dump");
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fake_destroy(f);
}

static void ended_process_survives(void **state)
{
	pid_t child = child_start();
	int fd = open_pidfd(child, 0);
	struct pollfd end = { .fd = fd, .events = POLLIN };
	struct fake *f;

	(void)state;
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	f = fake_round_trip(fd, &fd_pidfd);
	assert_int_equal(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(poll(&end, 1, 0), 1);
	fake_destroy(f);
}

/* It is born later: until then ourselves are in its place. */
static void other_process_of_the_dump(void **state)
{
	struct fake *f = fake_create();
	pid_t child = child_start();
	int fd = open_pidfd(child, O_NONBLOCK);
	uint32_t flags = 0;

	(void)state;
	snap_add_proc(f->snap)->pid = child;
	fake_save(f, fd, &fd_pidfd);
	assert_string_equal(fd_pidfd.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		arena_printf(f->snap->arena, "process %d", child));
	assert_int_equal(pidfd_later(f->snap, &f->snap->ofds[0], &flags), child);
	assert_int_equal(flags, O_NONBLOCK);
	assert_int_equal(fd_pidfd.make(&f->make, &f->snap->ofds[0], &f->made[0], &f->err), 0);
	assert_true(fcntl(f->made[0], F_GETFL) & O_NONBLOCK);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, open_pidfd(getpid(), 0), &fd_pidfd);
	msg = fake_message(f, 0);
	msg->pidfd->pid = -1;
	fake_expect_bad(f, &fd_pidfd, msg, "no process -1");
	msg = fake_message(f, 0);
	msg->pidfd->pid = 1 << 30;
	msg->pidfd->has_thread = msg->pidfd->thread = true;
	fake_expect_bad(f, &fd_pidfd, msg, "no process");
	msg = fake_message(f, 0);
	msg->pidfd->has_wait_status = true;
	fake_expect_bad(f, &fd_pidfd, msg, "impossible end");
	msg = fake_message(f, 0);
	msg->pidfd->pid = 0;
	msg->pidfd->has_wait_status = true;
	msg->pidfd->wait_status = 0x137f;
	fake_expect_bad(f, &fd_pidfd, msg, "impossible end 137f");
	msg = fake_message(f, 0);
	msg->pidfd->pid = 0;
	msg->pidfd->has_wait_status = true;
	msg->pidfd->wait_status = 1 << 16;
	fake_expect_bad(f, &fd_pidfd, msg, "impossible end");
	msg = fake_message(f, 0);
	pb__pid_fd__free_unpacked(msg->pidfd, NULL);
	msg->pidfd = NULL;
	fake_expect_bad(f, &fd_pidfd, msg, "missing");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_process_survives),
		cmocka_unit_test(leading_thread_survives),
		cmocka_unit_test(outside_is_refused),
		cmocka_unit_test(ended_process_survives),
		cmocka_unit_test(other_process_of_the_dump),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
