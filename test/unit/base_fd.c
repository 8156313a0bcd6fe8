/* base/fd: descriptors that are closed for certain, reads and writes that are whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/fd.h"

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int file_with(const char *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int scope_leave(bool take)
{
	OWNED_FD fd = file_with("", 0);

	return take ? take_fd(&fd) : fd;
}

static void leaving_the_scope_closes(void **state)
{
	int fd = scope_leave(false);

	(void)state;
	assert_false(fd_is_open(fd));
}

static void taking_keeps_open(void **state)
{
	int fd = scope_leave(true);

	(void)state;
	assert_true(fd_is_open(fd));
	fd_close(&fd);
	assert_int_equal(fd, -1);
}

static void closing_keeps_errno(void **state)
{
	int fd = 1 << 20, none = -1; /* the first is never open: close fails with EBADF */

	(void)state;
	errno = ENOSPC;
	fd_close(&fd);
	fd_close(&none);
	assert_int_equal(errno, ENOSPC);
}

static void whole_writes_and_reads(void **state)
{
	struct err err = { 0 };
	char data[10000], back[10000];
	OWNED_FD fd = file_with("", 0);

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 7);
	assert_int_equal(fd_write_all(fd, data, sizeof data, &err), 0);
	assert_int_equal(fd_pread_all(fd, back, sizeof back, 0, &err), 0);
	assert_memory_equal(data, back, sizeof data);
	assert_int_equal(fd_pread_all(fd, back, 100, 9950, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "too early"));
}

static void failed_writes_say_so(void **state)
{
	OWNED_FD full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = { 0 };

	(void)state;
	assert_true(full >= 0);
	assert_int_equal(fd_write_all(full, "x", 1, &err), -ENOSPC);
	assert_string_equal(err.msg, "write: No space left on device");
}

static void texts_of_any_size(void **state)
{
	struct err err = { 0 };
	static char data[70000];

	(void)state;
	memset(data, 'm', sizeof data);
	for (size_t size = 0; size < sizeof data; size += 4093) {
		OWNED_FD fd = file_with(data, size);
		char *text = NULL;
		size_t len = 1;

		assert_int_equal(fd_read_text(fd, sizeof data, &text, &len, &err), 0);
		assert_int_equal(len, size);
		assert_int_equal(strlen(text), size);
		free(text);
	}
}

static void endless_texts_are_refused(void **state)
{
	OWNED_FD zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct err err = { 0 };
	char *text = NULL;
	size_t len;

	(void)state;
	assert_true(zero >= 0);
	assert_int_equal(fd_read_text(zero, 100000, &text, &len, &err), -EFBIG);
	assert_null(text);
}

static void unreadable_texts_say_why(void **state)
{
	OWNED_FD dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = { 0 };
	char *text = NULL;
	size_t len;

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(fd_read_text(dir, 100, &text, &len, &err), -EISDIR);
	assert_non_null(strstr(err.msg, "Is a directory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaving_the_scope_closes),
		cmocka_unit_test(taking_keeps_open),
		cmocka_unit_test(closing_keeps_errno),
		cmocka_unit_test(whole_writes_and_reads),
		cmocka_unit_test(failed_writes_say_so),
		cmocka_unit_test(texts_of_any_size),
		cmocka_unit_test(endless_texts_are_refused),
		cmocka_unit_test(unreadable_texts_say_why),
	};

	return cmocka_run_group_tests_name("base/fd", tests, NULL, NULL);
}
