/* Descriptors of things that have a path. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "images/fd/reg.h"
#include "test/unit/fd_fake.h"

static char dir[] = "/tmp/snapctl-fd-reg-XXXXXX";

static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

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

static int file_open(const char *name, int flags)
{
	int fd = open(below(name), flags | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void flags_and_position_survive(void **state)
{
	static const int flags[] = {
		O_RDONLY,
		O_WRONLY,
		O_RDWR,
		O_WRONLY | O_APPEND,
		O_RDWR | O_SYNC,
		O_RDWR | O_DSYNC,
		O_RDONLY | O_NOATIME,
		O_RDONLY | O_NONBLOCK,
		O_RDONLY | O_NOFOLLOW,
		O_RDWR | O_DIRECT,
		O_ACCMODE,
		O_PATH,
		O_PATH | O_NOFOLLOW,
	};

	(void)state;
	close(file_open("file", O_RDWR));
	assert_int_equal(truncate(below("file"), 100000), 0);
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		int fd = open(below("file"), flags[i] | O_CLOEXEC);
		struct fake *f;

		if (fd < 0 && errno == EINVAL && flags[i] & O_DIRECT)
			continue; /* a tmpfs of old */
		assert_true(fd >= 0);
		if (!(flags[i] & O_PATH))
			assert_int_equal(lseek(fd, 4096 + (off_t)i, SEEK_SET), 4096 + (off_t)i);
		f = fake_round_trip(fd, &fd_reg);
		if (!(flags[i] & O_PATH))
			assert_int_equal(lseek(fd, 0, SEEK_CUR), 4096 + (off_t)i);
		fake_destroy(f);
	}
	unlink(below("file"));
}

/* What F_SETFL changed after the open. */
static void changed_flags_survive(void **state)
{
	int fd = file_open("file", O_RDWR | O_APPEND | O_NONBLOCK);

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NOATIME), 0);
	fake_destroy(fake_round_trip(fd, &fd_reg));
	unlink(below("file"));
}

static void two_descriptions_stay_two(void **state)
{
	struct fake *f = fake_create();
	int one = file_open("file", O_RDWR), two = file_open("file", O_RDWR);

	(void)state;
	assert_int_equal(write(one, "abc", 3), 3);
	fake_save(f, one, &fd_reg);
	fake_save(f, two, &fd_reg);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(lseek(one, 0, SEEK_CUR), 3);
	assert_int_equal(lseek(two, 0, SEEK_CUR), 0);
	unlink(below("file"));
	fake_destroy(f);
}

static void deleted_file(void **state)
{
	int fd = file_open("gone", O_RDWR);
	struct fake *f;

	(void)state;
	assert_int_equal(write(fd, "abc", 3), 3);
	unlink(below("gone"));
	f = fake_round_trip(fd, &fd_reg);
	assert_string_equal(
		fd_reg.describe(f->snap, &f->snap->ofds[0], f->snap->arena), "at 3, deleted");
	fake_destroy(f);
}

/* F_GETFL shows O_TMPFILE, which would be an error for open(2) of a file. */
static void file_that_never_had_a_name(void **state)
{
	struct fake *f = fake_create();
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	if (fd < 0)
		skip(); /* this file system has no O_TMPFILE */
	assert_int_equal(write(fd, "abc", 3), 3);
	fake_save(f, fd, &fd_reg);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
	fake_destroy(f);
}

static void file_is_gone_at_restore(void **state)
{
	struct fake *f = fake_create();

	(void)state;
	fake_save(f, file_open("file", O_RDWR), &fd_reg);
	fake_carry(f);
	unlink(below("file"));
	fake_expect_words(f, fake_try_make(f), ENOENT, "/file: No such file");
	fake_destroy(f);
}

/* ---- directories and O_PATH ----------------------------------------------------------------- */

static void directory_goes_on_where_it_was(void **state)
{
	struct fake *f;
	char buf[4096] = "", rest[4096] = "";
	long nr, len;
	int fd;

	(void)state;
	mkdir(below("d"), 0700);
	for (char name[] = "d/a"; name[2] < 'k'; name[2]++)
		close(file_open(name, O_RDWR));
	fd = open(below("d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(syscall(SYS_getdents64, fd, buf, 120) > 0);
	nr = lseek(fd, 0, SEEK_CUR);
	len = syscall(SYS_getdents64, fd, rest, sizeof rest);
	assert_true(len > 0);
	assert_int_equal(lseek(fd, nr, SEEK_SET), nr);
	f = fake_round_trip(fd, &fd_reg);
	memset(buf, 0, sizeof buf);
	assert_int_equal(syscall(SYS_getdents64, fd, buf, sizeof buf), len);
	assert_memory_equal(buf, rest, (size_t)len);
	fake_destroy(f);
	for (char name[] = "d/a"; name[2] < 'k'; name[2]++)
		unlink(below(name));
	rmdir(below("d"));
}

static void path_descriptors_of_everything(void **state)
{
	(void)state;
	assert_int_equal(symlink("nowhere", below("link")), 0);
	assert_int_equal(mkfifo(below("fifo"), 0600), 0);
	fake_destroy(
		fake_round_trip(open(below("link"), O_PATH | O_NOFOLLOW | O_CLOEXEC), &fd_reg));
	fake_destroy(fake_round_trip(open(below("fifo"), O_PATH | O_CLOEXEC), &fd_reg));
	fake_destroy(fake_round_trip(open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), &fd_reg));
	fake_destroy(fake_round_trip(open("/dev/null", O_PATH | O_CLOEXEC), &fd_reg));
	unlink(below("link"));
	unlink(below("fifo"));
}

static void removed_directory_survives(void **state)
{
	struct fake *f = fake_create();
	struct stat st;
	int fd;

	(void)state;
	mkdir(below("d"), 0700);
	fd = open(below("d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rmdir(below("d"));
	fake_save(f, fd, &fd_reg);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	fake_destroy(f);
}

/* The path of a detached mount is "/". */
static void path_that_leads_elsewhere_is_refused(void **state)
{
	struct fake *f = fake_create();
	int fd = open(dir, O_RDONLY | O_CLOEXEC);
	struct fd_seen seen = fake_see(f, fd, fd);

	(void)state;
	seen.link = "/";
	fake_expect_words(f, fd_reg.check(&seen, &f->err), ENOTSUP, "leads to something else");
	close(fd);
	fake_destroy(f);
}

/* ---- kernel files --------------------------------------------------------------------------- */

static void kernel_files_survive(void **state)
{
	static const char *const paths[] = {
		"/proc/self/status",
		"/proc/self/task",
		"/proc/meminfo",
		"/proc/self",
		"/proc/self/mounts",
		"/sys/kernel",
		"/proc/sys/kernel/ostype",
		"/proc/thread-self/stat",
	};

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		struct fake *f;

		if (fd < 0)
			continue; /* no sysfs here */
		f = fake_round_trip(fd, &fd_reg);
		assert_int_equal(f->snap->nr_files, 0);
		fake_destroy(f);
	}
	fake_destroy(fake_round_trip(open("/proc/self", O_PATH | O_NOFOLLOW | O_CLOEXEC), &fd_reg));
}

static void kernel_file_goes_on_where_it_was(void **state)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[6] = "";
	struct fake *f;

	(void)state;
	assert_int_equal(read(fd, text, 5), 5);
	f = fake_round_trip(fd, &fd_reg);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read(fd, text, 5), 5);
	assert_string_equal(text, "Name:");
	fake_destroy(f);
}

/* They are opened when the memory is there; until then something else stands in their place. */
static void memory_of_the_process_comes_later(void **state)
{
	struct fake *f = fake_create();
	uint32_t ofd;
	int32_t pid = 0;
	int fd;

	(void)state;
	ofd = fake_save(f, open("/proc/self/maps", O_RDONLY | O_CLOEXEC), &fd_reg);
	assert_string_equal(reg_later(f->snap, &f->snap->ofds[ofd], &pid), "/maps");
	assert_int_equal(pid, getpid());
	assert_int_equal(fd_reg.make(&f->make, &f->snap->ofds[ofd], &fd, &f->err), 0);
	close(fd);
	ofd = fake_save(f, open("/proc/self/status", O_RDONLY | O_CLOEXEC), &fd_reg);
	assert_null(reg_later(f->snap, &f->snap->ofds[ofd], &pid));
	ofd = fake_save(f, open("/proc/self/maps", O_PATH | O_CLOEXEC), &fd_reg);
	assert_null(reg_later(f->snap, &f->snap->ofds[ofd], &pid));
	fake_destroy(f);
}

/* Entries below /proc/net are made for each look, and show as deleted. */
static void net_files_are_there(void **state)
{
	(void)state;
	fake_destroy(fake_round_trip(open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC), &fd_reg));
}

static void file_of_another_process_is_refused(void **state)
{
	struct fake *f = fake_create();
	pid_t child = fork();
	char path[64];
	int fd;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		for (;;)
			pause();
	snprintf(path, sizeof path, "/proc/%d/status", child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fake_expect_words(f, fake_try_save(f, fd), ENOTSUP, "not part of the dump");
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fake_destroy(f);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, open(dir, O_RDONLY | O_CLOEXEC), &fd_reg);
	fake_save(f, open("/proc/self/status", O_RDONLY | O_CLOEXEC), &fd_reg);
	msg = fake_message(f, 0);
	msg->reg->file = 1;
	fake_expect_bad(f, &fd_reg, msg, "file 1 does not exist");
	msg = fake_message(f, 0);
	msg->reg->has_file = false;
	fake_expect_bad(f, &fd_reg, msg, "missing");
	msg = fake_message(f, 1);
	msg->reg->has_file = true;
	fake_expect_bad(f, &fd_reg, msg, "missing");
	msg = fake_message(f, 1);
	msg->reg->pid = 1 << 30;
	fake_expect_bad(f, &fd_reg, msg, "no process");
	msg = fake_message(f, 1);
	msg->reg->path.data[0] = 'x';
	fake_expect_bad(f, &fd_reg, msg, "absolute");
	msg = fake_message(f, 0);
	pb__reg_fd__free_unpacked(msg->reg, NULL);
	msg->reg = NULL;
	fake_expect_bad(f, &fd_reg, msg, "missing");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_position_survive),
		cmocka_unit_test(changed_flags_survive),
		cmocka_unit_test(two_descriptions_stay_two),
		cmocka_unit_test(deleted_file),
		cmocka_unit_test(file_that_never_had_a_name),
		cmocka_unit_test(file_is_gone_at_restore),
		cmocka_unit_test(directory_goes_on_where_it_was),
		cmocka_unit_test(path_descriptors_of_everything),
		cmocka_unit_test(removed_directory_survives),
		cmocka_unit_test(path_that_leads_elsewhere_is_refused),
		cmocka_unit_test(kernel_files_survive),
		cmocka_unit_test(kernel_file_goes_on_where_it_was),
		cmocka_unit_test(memory_of_the_process_comes_later),
		cmocka_unit_test(net_files_are_there),
		cmocka_unit_test(file_of_another_process_is_refused),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
