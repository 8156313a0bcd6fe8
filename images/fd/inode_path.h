#ifndef IMAGES_FD_INODE_PATH_H
#define IMAGES_FD_INODE_PATH_H

#include <stddef.h>
#include <stdint.h>

/*
 * From inodes back to paths, for watches of inotify(7), of which the kernel shows inode and file
 * handle only. With CAP_DAC_READ_SEARCH the handle is opened; without, whatever the dump knows a
 * path of is looked through: its files, the directories they are in and those above, and then, for
 * a while, what is below.
 */

struct arena;
struct snap;
struct text;

struct inode_path {
	uint64_t dev, ino;
	const char *handle;              /* hex digits of f_handle as fdinfo has them, or NULL */
	uint32_t handle_type, nr_handle; /* bytes */
	char *path; /* out: in arena; NULL if none was found. Not sought if set */
};

/* "fhandle-bytes:8 fhandle-type:1 f_handle:1ac5...", which is not there for file systems without
 * handles: then inode->handle stays NULL. It points into the text. */
void inode_handle_read(struct text *t, struct inode_path *inode);

void inode_paths_find(const struct snap *snap, struct inode_path *wanted, size_t nr);

#endif
