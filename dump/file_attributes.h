#ifndef DUMP_FILE_ATTRIBUTES_H
#define DUMP_FILE_ATTRIBUTES_H

struct arena;
struct err;
struct snap_file;

/* The extended attributes of a file whose contents travel; fd is open for reading. */
int file_attributes_collect(struct arena *arena, int fd, struct snap_file *file, struct err *err);

#endif
