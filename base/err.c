/* Errors with their context; see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A path has at most 4095 bytes. */
enum { ALL_LEN = 8192 };

/* Names may be of any length, and the reason stands at the end: what is too much is taken out of
 * the middle. */
static void err_fit(struct err *err, const char *all)
{
	const size_t room = sizeof err->msg - 1, head = room / 3, len = strlen(all);

	if (len <= room)
		memcpy(err->msg, all, len + 1);
	else
		snprintf(err->msg, sizeof err->msg, "%.*s...%s", (int)head, all,
			all + len - (room - head - 3));
}

static void err_append(struct err *err, const char *tail)
{
	char all[2 * sizeof err->msg + 2];

	snprintf(all, sizeof all, "%s: %s", err->msg, tail);
	err_fit(err, all);
}

static void err_start(struct err *err, int code, const char *fmt, va_list ap)
{
	char all[ALL_LEN];

	err->code = code;
	err->hint[0] = '\0';
	vsnprintf(all, sizeof all, fmt, ap);
	err_fit(err, all);
}

static void err_append_errno(struct err *err, int code)
{
	err_append(err, strerror(code));
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -code;
	va_start(ap, fmt);
	err_start(err, code, fmt, ap);
	va_end(ap);
	return -code;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	va_list ap;

	if (!err)
		return -code;
	va_start(ap, fmt);
	err_start(err, code, fmt, ap);
	va_end(ap);
	err_append_errno(err, code);
	return -code;
}

int err_ret(struct err *err, long ret, const char *fmt, ...)
{
	int code = ret < 0 ? (int)-ret : EIO;
	va_list ap;

	if (!err)
		return -code;
	va_start(ap, fmt);
	err_start(err, code, fmt, ap);
	va_end(ap);
	err_append_errno(err, code);
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char old[sizeof err->msg], all[ALL_LEN];
	va_list ap;

	if (!err)
		return -EIO;
	memcpy(old, err->msg, sizeof old);
	va_start(ap, fmt);
	vsnprintf(all, sizeof all, fmt, ap);
	va_end(ap);
	err_fit(err, all);
	err_append(err, old);
	if (!err->code)
		err->code = EIO;
	return -err->code;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -EIO;
	if (!err->hint[0]) {
		va_start(ap, fmt);
		vsnprintf(err->hint, sizeof err->hint, fmt, ap);
		va_end(ap);
	}
	if (!err->code)
		err->code = EIO;
	return -err->code;
}

int err_nomem(struct err *err)
{
	return err_set(err, ENOMEM, "not enough memory for snapctl itself");
}
