/* base/err: messages collect their context, hints stay nearest to the cause, nothing overruns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

static void set_returns_the_negative_code(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_set(&err, ENOTSUP, "io_uring in descriptor %d", 7), -ENOTSUP);
	assert_int_equal(err.code, ENOTSUP);
	assert_string_equal(err.msg, "io_uring in descriptor 7");
	assert_string_equal(err.hint, "");
}

static void sys_takes_errno_and_its_words(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = EACCES;
	assert_int_equal(err_sys(&err, "open %s", "maps"), -EACCES);
	assert_string_equal(err.msg, "open maps: Permission denied");
}

static void sys_without_errno_is_still_a_failure(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = 0;
	assert_int_equal(err_sys(&err, "read"), -EIO);
}

static void ret_takes_the_answer_of_the_kernel(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = EPERM;
	assert_int_equal(err_ret(&err, -EEXIST, "clone3"), -EEXIST);
	assert_string_equal(err.msg, "clone3: File exists");
	assert_int_equal(err_ret(&err, 5, "mmap elsewhere"), -EIO);
}

static void wrap_puts_context_in_front(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, EBUSY, "open maps");
	assert_int_equal(err_wrap(&err, "task %d", 42), -EBUSY);
	assert_int_equal(err_wrap(&err, "redis-server"), -EBUSY);
	assert_string_equal(err.msg, "redis-server: task 42: open maps");
}

static void first_hint_stays(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, EPERM, "seize");
	assert_int_equal(err_hint(&err, "run it as %s", "root"), -EPERM);
	assert_int_equal(err_hint(&err, "something vaguer"), -EPERM);
	err_wrap(&err, "dump");
	assert_string_equal(err.hint, "run it as root");
}

static void new_failure_forgets_the_old_hint(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, EPERM, "first way");
	err_hint(&err, "of the first way");
	err_set(&err, ENOENT, "second way");
	assert_string_equal(err.hint, "");
}

static void long_messages_are_cut(void **state)
{
	struct err err = { 0 };
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	errno = ENOENT;
	err_sys(&err, "open %s", text);
	err_wrap(&err, "%s", text);
	err_hint(&err, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
	assert_int_equal(strlen(err.hint), sizeof err.hint - 1);
	assert_int_equal(err.code, ENOENT);
}

static void nobody_need_listen(void **state)
{
	(void)state;
	errno = EACCES;
	assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(err_sys(NULL, "x"), -EACCES);
	assert_int_equal(err_ret(NULL, -ENOMEM, "x"), -ENOMEM);
	assert_true(err_wrap(NULL, "x") < 0);
	assert_true(err_hint(NULL, "x") < 0);
	assert_int_equal(err_nomem(NULL), -ENOMEM);
}

static void the_reason_survives_long_names(void **state)
{
	struct err err = { 0 };
	char name[4096];

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	errno = ENAMETOOLONG;
	err_sys(&err, "open %s", name);
	err_wrap(&err, "image %s", name);
	assert_ptr_equal(strstr(err.msg, "image xxx"), err.msg);
	assert_non_null(strstr(err.msg, "x...x"));
	assert_non_null(strstr(err.msg, "x: File name too long"));
	assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_returns_the_negative_code),
		cmocka_unit_test(sys_takes_errno_and_its_words),
		cmocka_unit_test(sys_without_errno_is_still_a_failure),
		cmocka_unit_test(ret_takes_the_answer_of_the_kernel),
		cmocka_unit_test(wrap_puts_context_in_front),
		cmocka_unit_test(first_hint_stays),
		cmocka_unit_test(new_failure_forgets_the_old_hint),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(the_reason_survives_long_names),
		cmocka_unit_test(nobody_need_listen),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
