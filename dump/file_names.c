/* Names of files that have lost one; see file_names.h. */
#include "dump/file_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/way.h"
#include "images/snap.h"

static int directory_of(struct arena *arena, const char *path)
{
	const char *end = strrchr(path, '/');
	const char *dir = end > path ? arena_strndup(arena, path, (size_t)(end - path)) : "/";

	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool file_handle_opens(const struct snap_file *file)
{
	struct arena *scratch = arena_create();
	OWNED_FD dir = way_nearest(file->path), fd = -1;
	struct file_handle *h = arena_alloc(scratch, sizeof *h + file->nr_handle);

	h->handle_bytes = file->nr_handle;
	h->handle_type = file->handle_type;
	memcpy(h->f_handle, file->handle, file->nr_handle);
	fd = dir < 0 ? -1 : open_by_handle_at(dir, h, O_PATH | O_CLOEXEC);
	arena_destroy(scratch);
	return fd >= 0;
}

static bool leads_to(int dir, const struct dirent *entry, dev_t dev, ino_t ino)
{
	struct stat st;

	return entry->d_ino == ino && !fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_ino == ino && st.st_dev == dev;
}

char *file_name_beside(struct arena *arena, const char *path, dev_t dev, ino_t ino)
{
	int fd = directory_of(arena, path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char *name = NULL;

	if (!dir) {
		fd_close(&fd);
		return NULL;
	}
	while (!name && (entry = readdir(dir)))
		if (leads_to(fd, entry, dev, ino))
			name = arena_printf(arena, "%.*s/%s", (int)(strrchr(path, '/') - path),
				path, entry->d_name);
	closedir(dir);
	return name;
}
