#ifndef BASE_WAY_H
#define BASE_WAY_H

#include <stddef.h>

struct err;

/*
 * Directories on the way to a file that have to be there for a moment. way_make() makes those that
 * are missing and gives the length of the first one's path, 0 if there was none; way_remove()
 * removes them again.
 */
size_t way_make(const char *path);
void way_remove(const char *path, size_t first);
/* The directory of path, or the nearest one above that is still there; -1 with errno. */
int way_nearest(const char *path);

/* A directory of our own for a moment, where few programs look: its path, in at least WAY_OWN
 * bytes. The caller removes it. */
enum { WAY_OWN = 40 };
int way_own(char path[WAY_OWN], struct err *err);

#endif
