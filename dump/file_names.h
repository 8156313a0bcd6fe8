#ifndef DUMP_FILE_NAMES_H
#define DUMP_FILE_NAMES_H

#include <stdbool.h>
#include <sys/types.h>

struct arena;
struct snap_file;

/* May we open a deleted file by its handle, as whoever restores will have to? */
bool file_handle_opens(const struct snap_file *file);
/* Another name of inode ino of device dev in the directory of path, which is one no more; or NULL.
 */
char *file_name_beside(struct arena *arena, const char *path, dev_t dev, ino_t ino);

#endif
