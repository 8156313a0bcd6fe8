/* Errors with their context; see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_start(struct err *err, int code, const char *fmt, va_list ap)
{
	err->code = code;
	err->hint[0] = '\0';
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
}

static void err_append_errno(struct err *err, int code)
{
	size_t len = strlen(err->msg);

	snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror(code));
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
	char old[sizeof err->msg];
	va_list ap;
	size_t len;

	if (!err)
		return -EIO;
	memcpy(old, err->msg, sizeof old);
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof err->msg - len, ": %s", old);
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
