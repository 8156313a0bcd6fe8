/* Descriptors of a memfd; its contents are a memory object, which the fake keeps. */
#include <errno.h>
#include <sys/mman.h>

#include "test/unit/fd_fake.h"

static void position_and_contents_survive(void **state)
{
	int fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char text[8] = "";
	struct fake *f;

	(void)state;
	assert_int_equal(write(fd, "contents", 8), 8);
	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	f = fake_round_trip(fd, &fd_memfd);
	assert_int_equal(read(fd, text, sizeof text), 5);
	assert_memory_equal(text, "tents", 5);
	assert_int_equal(fcntl(fd, F_GET_SEALS), 0);
	fake_destroy(f);
}

/* Two descriptions of one memfd stay two, with their own modes and positions, of one file. */
static void opened_twice(void **state)
{
	struct fake *f = fake_create();
	struct stat one, two;
	int fd = memfd_create("twice", MFD_CLOEXEC), reader;

	(void)state;
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_int_equal(ofd_reopen(fd, O_RDONLY | O_APPEND, &reader, NULL), 0);
	fake_save(f, fd, &fd_memfd);
	fake_save(f, reader, &fd_memfd);
	assert_int_equal(f->snap->nr_mems, 1);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 10);
	assert_int_equal(lseek(reader, 0, SEEK_CUR), 0);
	assert_int_equal(fcntl(reader, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDONLY | O_APPEND);
	assert_int_equal(fstat(fd, &one) | fstat(reader, &two), 0);
	assert_int_equal(one.st_ino, two.st_ino);
	fake_destroy(f);
}

static void path_only(void **state)
{
	struct fake *f = fake_create();
	int fd = memfd_create("p", MFD_CLOEXEC), path;

	(void)state;
	assert_int_equal(ofd_reopen(fd, O_PATH, &path, NULL), 0);
	fake_save(f, path, &fd_memfd);
	fake_carry(f);
	fake_make(f);
	assert_true(fcntl(path, F_GETFL) & O_PATH);
	close(fd);
	fake_destroy(f);
}

/* Only the name is like that of a memfd. */
static void a_file_with_such_a_name(void **state)
{
	struct fake *f = fake_create();
	struct fd_seen seen;
	int fd = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	seen = fake_see(f, fd, fd);
	assert_true(fd_memfd.is(&seen));
	seen.st.st_nlink = 1;
	assert_false(fd_memfd.is(&seen));
	close(fd);
	fake_destroy(f);
}

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;

	(void)state;
	fake_save(f, memfd_create("x", MFD_CLOEXEC), &fd_memfd);
	msg = fake_message(f, 0);
	msg->memfd->mem = 1;
	fake_expect_bad(f, &fd_memfd, msg, "memory object 1");
	msg = fake_message(f, 0);
	msg->memfd->has_mem = false;
	fake_expect_bad(f, &fd_memfd, msg, "missing");
	msg = fake_message(f, 0);
	f->snap->mems[0].kind = MEM_PRIVATE;
	fake_expect_bad(f, &fd_memfd, msg, "is none");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(position_and_contents_survive),
		cmocka_unit_test(opened_twice),
		cmocka_unit_test(path_only),
		cmocka_unit_test(a_file_with_such_a_name),
		cmocka_unit_test(damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
