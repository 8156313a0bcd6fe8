/* Memory that dies together; see arena.h. Chunks double in size, large objects get their own. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_ALIGN = 16, ARENA_FIRST = 16 * 1024, ARENA_LARGEST = 4 * 1024 * 1024 };

struct chunk {
	struct chunk *next;
	size_t cap, used;
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena {
	struct chunk *chunks;
};

void memory_none(void)
{
	fputs("snapctl: out of memory\n", stderr);
	_exit(MEMORY_NONE);
}

static struct chunk *chunk_create(size_t cap)
{
	struct chunk *c = calloc(1, sizeof *c + cap);

	if (!c)
		memory_none();
	c->cap = cap;
	return c;
}

struct arena *arena_create(void)
{
	struct arena *a = calloc(1, sizeof *a);

	if (!a)
		memory_none();
	a->chunks = chunk_create(ARENA_FIRST);
	return a;
}

void arena_destroy(struct arena *a)
{
	if (!a)
		return;
	while (a->chunks) {
		struct chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
	free(a);
}

void *arena_alloc(struct arena *a, size_t len)
{
	struct chunk *c = a->chunks;
	void *p;

	if (len > SIZE_MAX / 4)
		memory_none();
	len = (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (c->cap - c->used < len) {
		size_t cap = c->cap * 2 < ARENA_LARGEST ? c->cap * 2 : ARENA_LARGEST;
		struct chunk *fresh = chunk_create(len > cap ? len : cap);

		fresh->next = c;
		a->chunks = c = fresh;
	}
	p = c->data + c->used;
	c->used += len;
	return p;
}

void *arena_array(struct arena *a, size_t nr, size_t size)
{
	if (size && nr > SIZE_MAX / 4 / size)
		memory_none();
	return arena_alloc(a, nr * size);
}

void *arena_copy(struct arena *a, const void *data, size_t len)
{
	void *p = arena_alloc(a, len);

	if (len)
		memcpy(p, data, len);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len < 0)
		memory_none();
	p = arena_alloc(a, (size_t)len + 1);
	vsnprintf(p, (size_t)len + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

void *arena_grow(struct arena *a, void *array, size_t nr, size_t *cap, size_t size)
{
	void *moved;

	if (nr < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 8;
	moved = arena_array(a, *cap, size);
	if (nr)
		memcpy(moved, array, nr * size);
	return moved;
}
