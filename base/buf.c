/* A byte buffer that grows; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void *buf_reserve(struct buf *b, size_t len)
{
	if (b->cap - b->len < len) {
		size_t cap = b->cap * 2 > b->len + len ? b->cap * 2 : b->len + len;
		char *data = realloc(b->data, cap);

		if (!data)
			memory_none();
		b->data = data;
		b->cap = cap;
	}
	return b->data + b->len;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	if (!len)
		return;
	memcpy(buf_reserve(b, len), data, len);
	b->len += len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	buf_reserve(b, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)len;
}

void buf_finish(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_EMPTY;
}
