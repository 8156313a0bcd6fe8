/* What every open file description has: owner and signal of asynchronous input, locks. */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "test/unit/fd_fake.h"

static char path[] = "/tmp/snapctl-fd-common-XXXXXX";

static int group_setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	return close(fd);
}

static int group_teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int file_open(int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* ---- owner ---------------------------------------------------------------------------------- */

static void expect_owner(int type, pid_t pid)
{
	struct f_owner_ex owner = { .type = type, .pid = pid }, now;
	struct fake *f;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETOWN_EX, &owner), 0);
	assert_int_equal(fcntl(ends[0], F_SETSIG, SIGURG), 0);
	f = fake_create();
	fake_add(f, ends[1]);
	fake_save(f, ends[0], &fd_pipe);
	fake_save(f, ends[1], &fd_pipe);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(fcntl(ends[0], F_GETOWN_EX, &now), 0);
	assert_int_equal(now.type, type);
	assert_int_equal(now.pid, pid);
	assert_int_equal(fcntl(ends[0], F_GETSIG), SIGURG);
	assert_int_equal(fcntl(ends[1], F_GETOWN_EX, &now), 0);
	assert_int_equal(now.pid, 0);
	assert_int_equal(fcntl(ends[1], F_GETSIG), 0);
	fake_destroy(f);
}

static void owner_survives(void **state)
{
	(void)state;
	expect_owner(F_OWNER_PID, getpid());
	expect_owner(F_OWNER_TID, getpid());
	expect_owner(F_OWNER_PGRP, getpgrp());
}

static void asynchronous_input_survives(void **state)
{
	sigset_t urgent, old;
	int ends[2], got;
	struct fake *f = fake_create();

	(void)state;
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	sigprocmask(SIG_BLOCK, &urgent, &old);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETOWN, getpid()), 0);
	assert_int_equal(fcntl(ends[0], F_SETSIG, SIGURG), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_ASYNC), 0);
	fake_add(f, ends[1]);
	fake_save(f, ends[0], &fd_pipe);
	fake_save(f, ends[1], &fd_pipe);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(fcntl(ends[0], F_GETFL), O_RDONLY | O_ASYNC);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(sigwait(&urgent, &got), 0);
	assert_int_equal(got, SIGURG);
	sigprocmask(SIG_SETMASK, &old, NULL);
	fake_destroy(f);
}

static void owner_outside_is_refused(void **state)
{
	struct fake *f = fake_create();
	int fd = file_open(O_RDWR);

	(void)state;
	assert_int_equal(fcntl(fd, F_SETOWN, 1), 0);
	fake_expect_words(
		f, fake_try_save(f, fd), ENOTSUP, "process 1, which is not part of the dump");
	fake_destroy(f);
}

/* ---- locks ---------------------------------------------------------------------------------- */

static struct flock range(int type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};
}

static bool in_child(bool (*test)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(test() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool flock_is_held(void)
{
	return flock(open(path, O_RDWR), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool records_are_held(void)
{
	struct flock first = range(F_WRLCK, 10, 1), second = range(F_RDLCK, 1000000, 1),
		     free_part = range(F_WRLCK, 20, 5);
	int fd = open(path, O_RDWR);

	return fcntl(fd, F_SETLK, &first) < 0 && fcntl(fd, F_SETLK, &second) < 0 &&
	       fcntl(fd, F_SETLK, &free_part) == 0;
}

static void flock_survives(void **state)
{
	int fd = file_open(O_RDWR);
	struct fake *f;

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	f = fake_round_trip(fd, &fd_reg);
	assert_int_equal(f->snap->ofds[0].nr_locks, 1);
	assert_true(in_child(flock_is_held));
	fake_destroy(f);
	assert_false(in_child(flock_is_held));
}

/* Of a descriptor with a lock on some bytes and one on the rest; what was saved of them. */
static void record_locks_saved(const struct fake *f, int kind)
{
	assert_int_equal(f->snap->ofds[0].nr_locks, 2);
	assert_int_equal(f->snap->ofds[0].locks[0].kind, kind);
	assert_int_equal(f->snap->ofds[0].locks[0].start, 10);
	assert_int_equal(f->snap->ofds[0].locks[0].len, 5);
	assert_int_equal(f->snap->ofds[0].locks[1].len, 0);
}

static int file_locked(int command)
{
	struct flock first = range(F_RDLCK, 10, 5), rest = range(F_WRLCK, 500, 0);
	int fd = file_open(O_RDWR);

	assert_int_equal(fcntl(fd, command, &first), 0);
	assert_int_equal(fcntl(fd, command, &rest), 0);
	return fd;
}

static void locks_of_open_files_survive(void **state)
{
	struct fake *f = fake_round_trip(file_locked(F_OFD_SETLK), &fd_reg);

	(void)state;
	record_locks_saved(f, LOCK_OFD);
	assert_true(in_child(records_are_held));
	fake_destroy(f);
}

/* Each process takes its own when it has its descriptors (restore/fds.c). */
static void locks_of_processes_are_not_the_makers(void **state)
{
	struct fake *f = fake_create();

	(void)state;
	fake_save(f, file_locked(F_SETLK), &fd_reg);
	record_locks_saved(f, LOCK_POSIX);
	fake_carry(f);
	fake_make(f);
	assert_false(in_child(records_are_held));
	fake_destroy(f);
}

static void lease_survives(void **state)
{
	int fd = file_open(O_RDONLY);
	struct fake *f;

	(void)state;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		close(fd);
		skip(); /* not this file system, or somebody looks at the file */
	}
	f = fake_round_trip(fd, &fd_reg);
	assert_int_equal(fcntl(fd, F_GETLEASE), F_RDLCK);
	fake_destroy(f);
}

/* Somebody who holds `kind` of lock until killed; tells so by a byte. */
static pid_t holder_start(bool posix)
{
	int ends[2], fd;
	struct flock all = range(F_WRLCK, 0, 0);
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		fd = open(path, O_RDWR);
		if ((posix ? fcntl(fd, F_SETLK, &all) : flock(fd, LOCK_EX)) == 0 &&
			write(ends[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], (char[1]){ 0 }, 1), 1);
	close(ends[0]);
	return child;
}

static void lock_taken_by_somebody_else(void **state)
{
	(void)state;
	for (int posix = 0; posix < 2; posix++) {
		struct fake *f = fake_create();
		struct flock all = range(F_WRLCK, 0, 0);
		int fd = file_open(O_RDWR), ret;
		char words[64] = "is now held by somebody else";
		pid_t holder;

		assert_int_equal(posix ? fcntl(fd, F_SETLK, &all) : flock(fd, LOCK_EX), 0);
		fake_save(f, fd, &fd_reg);
		fake_carry(f);
		fd_close(&f->dups[0]);
		close(fd);
		f->slots[0] = -1;
		holder = holder_start(posix);
		ret = fake_try_make(f);
		kill(holder, SIGKILL);
		assert_int_equal(waitpid(holder, NULL, 0), holder);
		if (posix)
			snprintf(words, sizeof words, "is now held by process %d", holder);
		fake_expect_words(f, ret, EAGAIN, words);
		assert_true(f->err.hint[0] != '\0');
		fake_destroy(f);
	}
}

static void locks_that_cannot_be_read_are_refused(void **state)
{
	static const char *const lines[] = {
		"lock:\t1: LEASE  BREAKING  READ 42 fe:00:10952959 0 EOF\n",
		"lock:\t1: DELEG  ACTIVE    READ 42 fe:00:10952959 0 EOF\n",
		"lock:\t1: POSIX  ADVISORY  READ 42 fe:00:10952959 9 3\n",
		"lock:\t1: POSIX  ADVISORY  UNLCK 42 fe:00:10952959 0 EOF\n",
		"lock:\t1: POSIX\n",
		"lock:\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct fake *f = fake_create();
		int fd = file_open(O_RDWR);
		struct snap_ofd ofd = { 0 };

		fake_add(f, fd);
		f->seen[0].fdinfo = arena_printf(f->snap->arena, "pos:\t0\n%s", lines[i]);
		fake_expect_words(f, ofd_save_common(&f->seen[0], &ofd, &f->err), ENOTSUP,
			"cannot be taken again");
		fake_destroy(f);
	}
}

static void fdinfo_without_position(void **state)
{
	struct fake *f = fake_create();
	struct snap_ofd ofd = { 0 };

	(void)state;
	fake_add(f, file_open(O_RDWR));
	f->seen[0].fdinfo = "flags:\t02\n";
	fake_expect_words(f, ofd_save_common(&f->seen[0], &ofd, &f->err), EPROTO, "no position");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owner_survives),
		cmocka_unit_test(asynchronous_input_survives),
		cmocka_unit_test(owner_outside_is_refused),
		cmocka_unit_test(flock_survives),
		cmocka_unit_test(locks_of_open_files_survive),
		cmocka_unit_test(locks_of_processes_are_not_the_makers),
		cmocka_unit_test(lease_survives),
		cmocka_unit_test(lock_taken_by_somebody_else),
		cmocka_unit_test(locks_that_cannot_be_read_are_refused),
		cmocka_unit_test(fdinfo_without_position),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
