/*
 * Where the file of a bound unix socket is now. Programs bind under a temporary name and rename
 * (haproxy), or link and unlink (supervisord), or unlink at once; getsockname(2) goes on telling
 * the first name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/un.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/unix.h"

struct search {
	struct arena *arena;
	const struct diag_unix *diag;
	const char *name; /* absolute path made of the name */
	struct stat st;   /* of the file, where found */
};

static void file_is(struct unix_file *out, enum unix_place place, char *path, const struct stat *st)
{
	out->place = place;
	out->path = place == UNIX_MOVED ? path : NULL;
	out->mode = place == UNIX_UNLINKED ? 0 : st->st_mode & 07777;
	out->uid = place == UNIX_UNLINKED ? 0 : st->st_uid;
	out->gid = place == UNIX_UNLINKED ? 0 : st->st_gid;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- looking for the inode in a directory ------------------------------------------------------
 */

/*
 * sock_diag tells device and low half of the inode as the socket's file system has them. On
 * overlays stat(2) has another device, so there the inode number has to do.
 */
static bool is_the_file(const struct search *s, const struct stat *st)
{
	return S_ISSOCK(st->st_mode) && (uint32_t)st->st_ino == s->diag->file_ino;
}

/* The entry of directory `dir` that is inode `ino` of device `dev`, in the arena; NULL: none. */
static char *scan_directory(struct search *s, const char *dir, uint32_t ino, dev_t dev)
{
	DIR *d = opendir(dir);
	char *found = NULL;
	struct dirent *e;

	if (!d)
		return NULL;
	while (!found && (e = readdir(d))) {
		struct stat st;

		if ((e->d_type != DT_SOCK && e->d_type != DT_UNKNOWN) ||
			(uint32_t)e->d_ino != ino ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISSOCK(st.st_mode) || (uint32_t)st.st_ino != ino || st.st_dev != dev)
			continue;
		s->st = st;
		found = arena_printf(s->arena, "%s/%s", strcmp(dir, "/") ? dir : "", e->d_name);
	}
	closedir(d);
	return found;
}

static char *parent_of(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? arena_strdup(arena, "/")
			     : arena_strndup(arena, path, (size_t)(slash - path));
}

/* ---- other names of the same file: link(2) --------------------------------------------------- */

static void links_collect(
	struct search *s, const char *dir, const char *path, struct unix_file *out)
{
	DIR *d = opendir(dir);
	size_t cap = out->nr_links;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct stat st;
		char *other;

		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!same_inode(&st, &s->st))
			continue;
		other = arena_printf(s->arena, "%s/%s", strcmp(dir, "/") ? dir : "", e->d_name);
		if (!strcmp(other, path))
			continue;
		out->links = arena_grow(
			s->arena, out->links, out->nr_links, &cap, sizeof *out->links);
		out->links[out->nr_links++] = other;
	}
	if (d)
		closedir(d);
}

static int links_save(struct search *s, struct unix_file *out, struct err *err)
{
	const char *path = out->place == UNIX_MOVED ? out->path : s->name;

	if (out->place == UNIX_UNLINKED || s->st.st_nlink < 2)
		return 0;
	links_collect(s, parent_of(s->arena, path), path, out);
	if (out->nr_links + 1 >= s->st.st_nlink)
		return 0;
	err_set(err, ENOTSUP, "the file of unix socket %s has other names (link(2)) out of reach",
		s->name);
	return err_hint(err, "remove the link, or close the socket before the dump");
}

/* ---- with CAP_NET_ADMIN: the kernel opens the file for us ------------------------------------ */

/* Its own name is gone, but it has another one: link(2), unlink(2). Those who do that stay in one
 * directory. */
static int place_of_linked(
	struct search *s, const char *path, struct unix_file *out, struct err *err)
{
	struct stat st = s->st;
	char *other = scan_directory(s, parent_of(s->arena, path), (uint32_t)st.st_ino, st.st_dev);

	if (other) {
		file_is(out, UNIX_MOVED, other, &st);
		return 0;
	}
	err_set(err, ENOTSUP, "the file of unix socket %s is now at %s, which is out of reach",
		s->name, path);
	return err_hint(err, "close the socket before the dump");
}

static int place_of_opened(struct search *s, int file, struct unix_file *out, struct err *err)
{
	char link[64], path[PATH_MAX];
	struct stat at_name;
	ssize_t n;

	if (fstat(file, &s->st) < 0)
		return err_sys(err, "socket file of %s", s->name);
	if (s->st.st_nlink == 0) {
		file_is(out, UNIX_UNLINKED, NULL, &s->st);
		return 0;
	}
	if (lstat(s->name, &at_name) == 0 && same_inode(&at_name, &s->st)) {
		file_is(out, UNIX_AT_NAME, NULL, &s->st);
		return 0;
	}
	/* Else it was renamed, or the program has changed its directory since it bound a relative
	 * name. */
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return err_sys(err, "path of the socket file of %s", s->name);
	path[n] = '\0';
	if (lstat(path, &at_name) < 0 || !same_inode(&at_name, &s->st))
		return place_of_linked(s, path, out, err);
	file_is(out, UNIX_MOVED, arena_strdup(s->arena, path), &s->st);
	return 0;
}

/* ---- without: look for the inode ------------------------------------------------------------- */

static int place_by_inode(struct search *s, struct unix_file *out)
{
	char *moved;

	if (lstat(s->name, &s->st) == 0 && is_the_file(s, &s->st)) {
		file_is(out, UNIX_AT_NAME, NULL, &s->st);
		return 0;
	}
	moved = scan_directory(
		s, parent_of(s->arena, s->name), s->diag->file_ino, s->diag->file_dev);
	if (moved) {
		file_is(out, UNIX_MOVED, moved, &s->st);
		return 0;
	}
	log_warn("the file of unix socket %s is gone, and where it went only root could tell: it "
		 "comes "
		 "back without a file",
		s->name);
	file_is(out, UNIX_UNLINKED, NULL, &s->st);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Relative names start at what was the working directory at the bind; hopefully it still is. */
static int relative_to(const struct fd_seen *seen, const struct unix_name *name,
	struct arena *arena, char **dir, struct err *err)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	*dir = NULL;
	if (name->bytes[0] == '/')
		return 0;
	snprintf(link, sizeof link, "/proc/%d/cwd", seen->pid);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return err_sys(err, "working directory of process %d", seen->pid);
	path[n] = '\0';
	if (path[0] != '/' || text_ends(path, " (deleted)")) {
		err_set(err, ENOTSUP, "unix socket %.*s is relative to %s, which is out of reach",
			(int)name->len, (const char *)name->bytes, path);
		return err_hint(err, "bind it to an absolute path");
	}
	*dir = arena_strdup(arena, path);
	return 0;
}

int unix_file_save(const struct fd_seen *seen, const struct unix_name *name,
	const struct diag_unix *diag, struct unix_file *out, struct err *err)
{
	struct search s = { .arena = seen->dump->snap->arena, .diag = diag };
	OWNED_FD file = -1;

	if (relative_to(seen, name, s.arena, &out->dir, err) < 0)
		return -err->code;
	s.name = unix_name_path(s.arena, name, out->dir);
	file = ioctl(seen->fd, SIOCUNIXFILE);
	if (file < 0 && !diag->has_file)
		return err_set(
			err, ENOTSUP, "unix socket %s: the kernel does not tell its file", s.name);
	if ((file >= 0 ? place_of_opened(&s, file, out, err) : place_by_inode(&s, out)) < 0)
		return -err->code;
	return links_save(&s, out, err);
}
