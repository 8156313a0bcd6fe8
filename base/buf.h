#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

/* A byte buffer that grows. Start with BUF_EMPTY; buf_finish frees. Allocation failure aborts. */
struct buf {
	char *data; /* NUL-terminated after buf_printf */
	size_t len, cap;
};

#define BUF_EMPTY                                                                                  \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

void buf_append(struct buf *b, const void *data, size_t len);
/* Room for len more bytes at data + len; the caller fills them and adds to len. */
void *buf_reserve(struct buf *b, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_finish(struct buf *b);

#endif
