#ifndef BASE_WAY_H
#define BASE_WAY_H

#include <stddef.h>

/*
 * Directories on the way to a file that have to be there for a moment. way_make() makes those that
 * are missing and gives the length of the first one's path, 0 if there was none; way_remove()
 * removes them again.
 */
size_t way_make(const char *path);
void way_remove(const char *path, size_t first);
/* The directory of path, or the nearest one above that is still there; -1 with errno. */
int way_nearest(const char *path);

#endif
