#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

/*
 * Memory that dies together. The model of a command lives in one arena: nothing in it is freed by
 * itself. Allocation never returns NULL: a tool that cannot get a few kilobytes for its model
 * cannot say anything useful either, so it prints one line and ends (sizes that come from an image
 * are bounded by the reader before they get here). Not thread-safe.
 */
struct arena;

/* Says so and ends the process, with our status for failures. No core file: what is in our memory
 * is the target's. */
enum { MEMORY_NONE = 125 };
_Noreturn void memory_none(void);

struct arena *arena_create(void);
void arena_destroy(struct arena *a); /* NULL is fine */

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t len);
/* Zeroed array; overflow of nr * size ends us. */
void *arena_array(struct arena *a, size_t nr, size_t size);
void *arena_copy(struct arena *a, const void *data, size_t len);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Make room for one more element at the end of an array that may move. Usage:
 *     vmas = arena_grow(a, vmas, nr, &cap, sizeof *vmas);
 *     vmas[nr++] = ...;
 * New elements are zeroed. The outgrown array stays in the arena until it dies.
 */
void *arena_grow(struct arena *a, void *array, size_t nr, size_t *cap, size_t size);

#endif
