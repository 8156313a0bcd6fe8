/*
 * Extended attributes of files that are made anew: those of users and access control lists, see
 * xattr(7). Capabilities and labels are somebody else's decision, like set-id bits.
 */
#include "dump/file_attributes.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/snap.h"

enum { NAMES_MAX = 65536 }; /* XATTR_LIST_MAX */

static int attribute_collect(
	struct arena *arena, int fd, const char *name, struct snap_file *file, struct err *err)
{
	struct snap_attribute *a = &file->attributes[file->nr_attributes];
	ssize_t len = fgetxattr(fd, name, NULL, 0);

	if (len >= 0) {
		a->value = arena_alloc(arena, (size_t)len + 1);
		len = fgetxattr(fd, name, a->value, (size_t)len + 1);
	}
	if (len < 0) {
		err_sys(err, "attribute %s", name);
		return err_hint(err, "give the file's owner permission to read it (chmod u+r), or "
				     "run snapctl as root");
	}
	a->name = arena_strdup(arena, name);
	a->len = (size_t)len;
	file->nr_attributes++;
	return 0;
}

int file_attributes_collect(struct arena *arena, int fd, struct snap_file *file, struct err *err)
{
	char names[NAMES_MAX];
	ssize_t len = flistxattr(fd, names, sizeof names);
	size_t nr = 0;

	if (len < 0 && errno != ENOTSUP)
		return err_sys(err, "attributes of %s", file->path);
	for (ssize_t i = 0; i < len; i++)
		nr += !names[i];
	file->attributes = arena_array(arena, nr, sizeof *file->attributes);
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if (snap_attribute_travels(name) &&
			attribute_collect(arena, fd, name, file, err) < 0)
			return -err->code;
	return 0;
}
