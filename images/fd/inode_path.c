/* From inodes back to paths; see inode_path.h. */
#include "images/fd/inode_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/snap.h"

enum { HANDLE_MOST = 128, MOUNTINFO_LIMIT = 16 * 1024 * 1024 };
/* Directories can be huge, and the target may be standing still meanwhile. */
enum { ENTRIES_MOST = 50000 };

/* ---- by file handle ------------------------------------------------------------------------- */

union handle {
	struct file_handle head;
	char room[sizeof(struct file_handle) + HANDLE_MOST];
};

static bool handle_read(const struct inode_path *w, union handle *out)
{
	if (!w->handle || w->nr_handle > HANDLE_MOST)
		return false;
	out->head.handle_bytes = w->nr_handle;
	out->head.handle_type = (int)w->handle_type;
	for (uint32_t i = 0; i < w->nr_handle; i++) {
		char digits[3] = { w->handle[2 * i], w->handle[2 * i + 1], '\0' };
		struct text t = { digits };
		uint64_t byte;

		if (!text_hex(&t, &byte) || *t.at)
			return false;
		out->head.f_handle[i] = (unsigned char)byte;
	}
	return true;
}

/* The path of an open file, if it leads back to that file. */
static char *path_of(int fd, struct arena *arena)
{
	char self[40], path[PATH_MAX];
	struct stat file, found;
	ssize_t len;

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	len = readlink(self, path, sizeof path - 1);
	if (len <= 0)
		return NULL;
	path[len] = '\0';
	if (fstat(fd, &file) < 0 || lstat(path, &found) < 0 || file.st_dev != found.st_dev ||
		file.st_ino != found.st_ino)
		return NULL;
	return arena_strdup(arena, path);
}

static char *path_below(const char *mountpoint, union handle *handle, struct arena *arena)
{
	OWNED_FD mount = open(mountpoint, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	OWNED_FD file = -1;

	if (mount < 0)
		return NULL;
	file = open_by_handle_at(mount, &handle->head, O_PATH | O_CLOEXEC);
	return file < 0 ? NULL : path_of(file, arena);
}

/* "36 35 98:0 /mnt1 /mnt2 rw - ext3 ...": device and mount point of one line of mountinfo. */
static bool mountinfo_line(const char *line, size_t len, uint64_t *dev, char path[PATH_MAX])
{
	uint64_t id, parent, maj, min;
	struct text t = { line };
	size_t root, point;

	if (!text_dec(&t, &id) || !text_char(&t, ' ') || !text_dec(&t, &parent) ||
		!text_char(&t, ' ') || !text_dec(&t, &maj) || !text_char(&t, ':') ||
		!text_dec(&t, &min) || !text_char(&t, ' '))
		return false;
	root = strcspn(t.at, " \n");
	t.at += root;
	if (!text_char(&t, ' '))
		return false;
	point = strcspn(t.at, " \n");
	if (point >= PATH_MAX || t.at + point > line + len)
		return false;
	memcpy(path, t.at, point);
	path[point] = '\0';
	text_unescape(path);
	*dev = makedev((unsigned)maj, (unsigned)min);
	return true;
}

/* Every mount of the file system is tried: not all of them show all of it. */
static char *path_by_handle(const char *mountinfo, const struct inode_path *w, struct arena *arena)
{
	struct text t = { mountinfo };
	char point[PATH_MAX], *path = NULL;
	union handle handle;
	const char *line;
	uint64_t dev;
	size_t len;

	if (!handle_read(w, &handle))
		return NULL;
	while (!path && text_line(&t, &line, &len))
		if (mountinfo_line(line, len, &dev, point) && dev == w->dev)
			path = path_below(point, &handle, arena);
	return path;
}

static void find_by_handle(const struct snap *snap, struct inode_path *wanted, size_t nr)
{
	OWNED_FD fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char *mountinfo;
	size_t len;

	/* Not allowed, not readable: then the search has to do. */
	if (fd < 0 || fd_read_text(fd, MOUNTINFO_LIMIT, &mountinfo, &len, NULL) < 0)
		return;
	for (size_t i = 0; i < nr; i++)
		if (!wanted[i].path)
			wanted[i].path = path_by_handle(mountinfo, &wanted[i], snap->arena);
	free(mountinfo);
}

/* ---- by search ------------------------------------------------------------------------------ */

struct dirs {
	char **array;
	size_t nr, cap;
};

struct search {
	struct arena *arena;
	struct inode_path **missing; /* sorted by ino */
	size_t nr_missing, nr_left;
	struct dirs near;  /* to be looked through first, each once */
	struct dirs far;   /* below those */
	size_t nr_entries; /* seen so far */
};

static int missing_compare(const void *a, const void *b)
{
	const struct inode_path *x = *(struct inode_path *const *)a,
				*y = *(struct inode_path *const *)b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void dirs_add(struct search *s, struct dirs *dirs, const char *path)
{
	dirs->array = arena_grow(s->arena, dirs->array, dirs->nr, &dirs->cap, sizeof *dirs->array);
	dirs->array[dirs->nr++] = arena_strdup(s->arena, path);
}

static void search_add_near(struct search *s, const char *path)
{
	for (size_t i = 0; i < s->near.nr; i++)
		if (!strcmp(s->near.array[i], path))
			return;
	dirs_add(s, &s->near, path);
}

/* First of the missing with this inode number. */
static size_t missing_first(const struct search *s, uint64_t ino)
{
	size_t low = 0, high = s->nr_missing;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->missing[mid]->ino < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A path whose inode number may be one that is looked for. What is found may have more in it. */
static void search_try(struct search *s, const char *path, uint64_t ino)
{
	size_t i = missing_first(s, ino);
	struct stat st;

	if (i == s->nr_missing || s->missing[i]->ino != ino || lstat(path, &st) < 0)
		return;
	for (; i < s->nr_missing && s->missing[i]->ino == ino; i++) {
		if (s->missing[i]->path || s->missing[i]->dev != st.st_dev || st.st_ino != ino)
			continue;
		s->missing[i]->path = arena_strdup(s->arena, path);
		s->nr_left--;
		if (S_ISDIR(st.st_mode))
			search_add_near(s, path);
	}
}

static void search_entry(struct search *s, const char *dir, const struct dirent *entry)
{
	char path[PATH_MAX];

	if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return;
	if (snprintf(path, sizeof path, "%s/%s", strcmp(dir, "/") ? dir : "", entry->d_name) >=
		(int)sizeof path)
		return;
	search_try(s, path, entry->d_ino);
	if (entry->d_type == DT_DIR)
		dirs_add(s, &s->far, path);
}

static void search_dir(struct search *s, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && s->nr_left && s->nr_entries < ENTRIES_MOST && (entry = readdir(d))) {
		s->nr_entries++;
		search_entry(s, dir, entry);
	}
	if (d)
		closedir(d);
}

/* Going down is only worth it on file systems where something is missing, and to get to them. */
static bool worth_going_down(const struct search *s, const char *dir)
{
	struct stat st, root;

	if (lstat(dir, &st) < 0)
		return false;
	for (size_t i = 0; i < s->nr_missing; i++)
		if (!s->missing[i]->path && s->missing[i]->dev == st.st_dev)
			return true;
	return lstat("/", &root) == 0 && root.st_dev == st.st_dev;
}

/* Both lists grow while they are gone through. */
static void search_all(struct search *s)
{
	size_t near = 0, far = 0;

	while (s->nr_left && s->nr_entries < ENTRIES_MOST) {
		if (near < s->near.nr)
			search_dir(s, s->near.array[near++]);
		else if (far == s->far.nr)
			return;
		else if (worth_going_down(s, s->far.array[far++]))
			search_dir(s, s->far.array[far - 1]);
	}
}

/* The path of a file the dump knows, and all directories above it. */
static void search_begin_at(struct search *s, const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir)
		return;
	while (dir[0] == '/') {
		char *slash = strrchr(dir, '/');

		if (lstat(dir, &st) == 0) {
			search_try(s, dir, st.st_ino);
			if (S_ISDIR(st.st_mode))
				search_add_near(s, dir);
		}
		if (!strcmp(dir, "/"))
			return;
		slash[slash == dir] = '\0';
	}
}

static void find_by_search(const struct snap *snap, struct inode_path *wanted, size_t nr)
{
	struct search s = { .arena = snap->arena };

	s.missing = arena_array(s.arena, nr, sizeof *s.missing);
	for (size_t i = 0; i < nr; i++)
		if (!wanted[i].path)
			s.missing[s.nr_missing++] = &wanted[i];
	s.nr_left = s.nr_missing;
	if (s.nr_left == 0)
		return;
	qsort(s.missing, s.nr_missing, sizeof *s.missing, missing_compare);
	for (size_t i = 0; i < snap->nr_files; i++)
		if (snap->files[i].path)
			search_begin_at(&s, snap->files[i].path);
	search_all(&s);
}

void inode_handle_read(struct text *t, struct inode_path *inode)
{
	uint64_t bytes, type;

	if (!text_word_hex(t, "fhandle-bytes:", &bytes) ||
		!text_word_hex(t, "fhandle-type:", &type))
		return;
	text_blanks(t);
	if (!text_word(t, "f_handle:") || strspn(t->at, "0123456789abcdef") < 2 * bytes)
		return;
	inode->handle = t->at;
	inode->nr_handle = (uint32_t)bytes;
	inode->handle_type = (uint32_t)type;
}

void inode_paths_find(const struct snap *snap, struct inode_path *wanted, size_t nr)
{
	find_by_handle(snap, wanted, nr);
	find_by_search(snap, wanted, nr);
}
