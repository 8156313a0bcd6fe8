/* Names for new unix sockets, and the files that belong to them; see unix.h. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/way.h"
#include "images/fd/kind.h"
#include "images/fd/unix.h"

/* A file by the directory it is in: a path may be swapped for a symlink between two looks, this may
 * not. */
struct place {
	int dir;
	const char *base;
};

static void place_finish(struct place *p)
{
	fd_close(&p->dir);
}
#define OWNED_PLACE __attribute__((cleanup(place_finish))) struct place

static int place_open(struct arena *arena, const char *path, struct place *out, struct err *err)
{
	const char *dir = dirname(arena_strdup(arena, path));

	out->base = basename(arena_strdup(arena, path));
	out->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->dir >= 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, "directory of unix socket %s", path);
	err_set(err, ENOENT, "unix socket %s: its directory does not exist", path);
	return err_hint(err, "mkdir -p %s", dir);
}

/* The file itself, by a descriptor of it: neither length of the path nor renames matter then. */
static socklen_t file_address(int file, struct sockaddr_storage *sa)
{
	struct sockaddr_un *un = (void *)sa;

	memset(sa, 0, sizeof *sa);
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof un->sun_path, "/proc/self/fd/%d", file);
	return sizeof *un;
}

/* ---- what stands in the way ------------------------------------------------------------------ */

/*
 * Does anybody have the socket of this file? A datagram socket finds out without disturbing:
 * ECONNREFUSED says nobody, EPROTOTYPE that a socket of another type is there.
 */
static int file_in_use(int file, const char *path, struct err *err)
{
	OWNED_FD probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa;
	socklen_t len = file_address(file, &sa);

	if (probe < 0)
		return err_sys(err, "socket");
	if (connect(probe, (struct sockaddr *)&sa, len) < 0) {
		if (errno == ECONNREFUSED)
			return 0;
		if (errno != EPROTOTYPE && errno != EPERM)
			return err_sys(err, "see whether unix socket %s is still in use", path);
	}
	err_set(err, EADDRINUSE, "unix socket %s is in use", path);
	return err_hint(err, "end the program that has it (ss -xlp shows it)");
}

/* Remove the socket file that a program which is gone has left, and nothing else. */
static int place_clear(const struct place *p, const char *path, struct err *err)
{
	OWNED_FD file = openat(p->dir, p->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st, again;

	if (file < 0)
		return errno == ENOENT ? 0 : err_sys(err, "look at %s", path);
	if (fstat(file, &st) < 0)
		return err_sys(err, "look at %s", path);
	if (!S_ISSOCK(st.st_mode)) {
		err_set(err, EEXIST, "a unix socket belongs at %s, where something else is now",
			path);
		return err_hint(err, "move that out of the way");
	}
	if (file_in_use(file, path, err) < 0)
		return -err->code;
	if (fstatat(p->dir, p->base, &again, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "look at %s", path);
	if (st.st_ino != again.st_ino || st.st_dev != again.st_dev)
		return err_set(err, EBUSY, "%s was replaced while it was looked at", path);
	if (unlinkat(p->dir, p->base, 0) < 0)
		return err_sys(err, "remove stale unix socket %s", path);
	return 0;
}

/* ---- the new file ---------------------------------------------------------------------------- */

/* Born with the right mode, so that nobody slips in who may not. */
static int bind_with_mode(int fd, const struct unix_name *name, uint32_t mode)
{
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(name, &sa);
	mode_t was = umask(0777 & ~mode);
	int ret = bind(fd, (struct sockaddr *)&sa, len);

	umask(was);
	return ret;
}

/* Relative names have to be bound where they are relative to. */
static int bind_in(
	const char *dir, int fd, const struct unix_name *name, uint32_t mode, struct err *err)
{
	OWNED_FD back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret, saved;

	if (back < 0)
		return err_sys(err, "open the working directory");
	if (chdir(dir) < 0)
		return err_sys(err, "working directory %s of a unix socket", dir);
	ret = bind_with_mode(fd, name, mode);
	saved = errno;
	if (fchdir(back) < 0)
		return err_sys(err, "go back to the working directory");
	errno = saved;
	return ret < 0 ? err_sys(err, "bind") : 0;
}

static int bind_path(int fd, const struct unix_sock *sock, const char *path, struct err *err)
{
	/* Of an unlinked file nobody knows the mode any more; others of the dump may have to reach
	 * it. */
	uint32_t mode = sock->file.place == UNIX_UNLINKED ? 0600 : sock->file.mode;
	int ret;

	if (sock->file.dir)
		ret = bind_in(sock->file.dir, fd, &sock->name, mode, err);
	else
		ret = bind_with_mode(fd, &sock->name, mode) < 0 ? err_sys(err, "bind") : 0;
	if (ret < 0)
		err_wrap(err, "unix socket %s", path);
	if (ret < 0 && err->code == EACCES)
		err_hint(err, "restore as a user who may write to that directory");
	return ret;
}

/* Owner and mode as recorded; mostly they already are. */
static int place_attributes(
	const struct place *p, const struct unix_file *file, const char *path, struct err *err)
{
	OWNED_FD fd = -1;
	char link[64];
	struct stat st;

	if (fstatat(p->dir, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EBUSY, "%s was replaced while it was made", path);
	if (st.st_uid == file->uid && st.st_gid == file->gid && (st.st_mode & 07777) == file->mode)
		return 0;
	fd = openat(p->dir, p->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open %s", path);
	if ((st.st_uid != file->uid || st.st_gid != file->gid) &&
		fchownat(fd, "", file->uid, file->gid, AT_EMPTY_PATH) < 0) {
		err_sys(err, "give unix socket %s to user %u, group %u", path, file->uid,
			file->gid);
		return err_hint(err, "restore as root");
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if ((st.st_mode & 07777) != file->mode && chmod(link, file->mode) < 0)
		return err_sys(err, "set mode of unix socket %s", path);
	return 0;
}

static int place_move(struct arena *arena, const struct place *from, const char *path,
	const char *to, struct err *err)
{
	OWNED_PLACE target = { .dir = -1 };

	if (place_open(arena, to, &target, err) < 0 || place_clear(&target, to, err) < 0)
		return -err->code;
	if (renameat2(from->dir, from->base, target.dir, target.base, RENAME_NOREPLACE) < 0 &&
		(errno != EINVAL || renameat(from->dir, from->base, target.dir, target.base) < 0))
		return err_sys(err, "rename unix socket %s to %s", path, to);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int bind_abstract(int fd, const struct unix_sock *sock, struct err *err)
{
	char text[UNIX_NAME_TEXT];
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(&sock->name, &sa);

	if (bind(fd, (struct sockaddr *)&sa, len) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return err_sys(err, "bind unix socket %s", unix_name_text(&sock->name, text));
	err_set(err, EADDRINUSE, "unix socket %s is in use", unix_name_text(&sock->name, text));
	return err_hint(err, "end the program that has it (ss -xp shows it)");
}

static int bind_at(struct arena *arena, int fd, const struct unix_sock *sock, const char *path,
	struct err *err)
{
	OWNED_PLACE place = { .dir = -1 };

	if (place_open(arena, path, &place, err) < 0 || place_clear(&place, path, err) < 0 ||
		bind_path(fd, sock, path, err) < 0)
		return -err->code;
	if (sock->file.place == UNIX_UNLINKED)
		return 0;
	if (place_attributes(&place, &sock->file, path, err) < 0)
		return -err->code;
	if (sock->file.place == UNIX_MOVED)
		return place_move(arena, &place, path, sock->file.path, err);
	return 0;
}

/* Others may have taken the name of what was unlinked. Where it cannot be helped, they are in the
 * way. */
static bool bound_aside(struct arena *arena, int fd, struct unix_sock *sock, const char *path)
{
	struct stat st;
	struct err err;
	int held;

	if (sock->file.place != UNIX_UNLINKED || lstat(path, &st) < 0 ||
		unix_bind_aside(arena, fd, &sock->name, &held, &err) < 0)
		return false;
	sock->file.aside = true;
	sock->file.held = held + 1;
	return true;
}

static int link_one(struct arena *arena, const char *path, const char *other, struct err *err)
{
	OWNED_PLACE from = { .dir = -1 };
	OWNED_PLACE to = { .dir = -1 };

	if (place_open(arena, path, &from, err) < 0 || place_open(arena, other, &to, err) < 0 ||
		place_clear(&to, other, err) < 0)
		return -err->code;
	if (linkat(from.dir, from.base, to.dir, to.base, 0) < 0)
		return err_sys(err, "link unix socket %s to %s", path, other);
	return 0;
}

static int links_make(
	struct arena *arena, const struct unix_file *file, const char *path, struct err *err)
{
	for (size_t i = 0; i < file->nr_links; i++)
		if (link_one(arena, file->path ? file->path : path, file->links[i], err) < 0)
			return -err->code;
	return 0;
}

/* A file that is there no more may have gone with its directory. */
static size_t way_to(const struct unix_sock *sock, const char *path)
{
	struct stat st;

	if (sock->file.place == UNIX_AT_NAME || lstat(path, &st) == 0 || errno != ENOENT)
		return 0;
	return way_make(path);
}

int unix_bind(struct arena *arena, int fd, struct unix_sock *sock, struct err *err)
{
	const char *path;
	int ret;

	if (!sock->name.len)
		return 0;
	if (!unix_is_path(&sock->name))
		return bind_abstract(fd, sock, err);
	path = unix_name_path(arena, &sock->name, sock->file.dir);
	if (bound_aside(arena, fd, sock, path))
		return 0;
	sock->file.way = way_to(sock, path);
	ret = bind_at(arena, fd, sock, path, err);
	if (!ret)
		ret = links_make(arena, &sock->file, path, err);
	if (ret < 0 || sock->file.place == UNIX_MOVED)
		way_remove(path, sock->file.way);
	return ret;
}

int unix_bind_hold(struct arena *arena, struct unix_sock *sock, struct err *err)
{
	const char *path;
	int fd;

	if (sock->file.place != UNIX_UNLINKED || sock->file.aside)
		return 0;
	path = unix_name_path(arena, &sock->name, sock->file.dir);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open unix socket %s", path);
	sock->file.held = fd + 1;
	return 0;
}

void unix_bind_forget(struct unix_sock *sock)
{
	if (sock->file.held)
		close(sock->file.held - 1);
	sock->file.held = 0;
}

int unix_bind_finish(struct arena *arena, const struct unix_sock *sock, struct err *err)
{
	OWNED_PLACE place = { .dir = -1 };
	struct stat st;
	const char *path;

	if (sock->file.place != UNIX_UNLINKED || sock->file.aside)
		return 0;
	path = unix_name_path(arena, &sock->name, sock->file.dir);
	if (place_open(arena, path, &place, err) < 0)
		return -err->code;
	if (fstatat(place.dir, place.base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(err, EBUSY, "%s was replaced while it was made", path);
	if (unlinkat(place.dir, place.base, 0) < 0)
		return err_sys(err, "unlink unix socket %s", path);
	way_remove(path, sock->file.way);
	return 0;
}

int unix_address(struct arena *arena, const struct unix_sock *to, struct sockaddr_storage *sa,
	socklen_t *len, int *held, struct err *err)
{
	const char *path = to->file.path;

	if (!unix_is_path(&to->name)) {
		*len = unix_name_to(&to->name, sa);
		*held = -1;
		return 0;
	}
	if (to->file.held) {
		*len = file_address(to->file.held - 1, sa);
		*held = -1;
		return 0;
	}
	if (to->file.place != UNIX_MOVED)
		path = unix_name_path(arena, &to->name, to->file.dir);
	*held = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*held < 0)
		return err_sys(err, "open unix socket %s", path);
	*len = file_address(*held, sa);
	return 0;
}

int unix_connect(const struct fd_make *m, int fd, const struct unix_sock *to,
	const struct unix_creds *creds, pid_t *by, struct err *err)
{
	struct unix_call call = { .what = UNIX_CALL_CONNECT, .fd = fd };
	char text[UNIX_NAME_TEXT];
	OWNED_FD held = -1;

	if (unix_address(m->snap->arena, to, &call.to, &call.to_len, &held, err) < 0)
		return -err->code;
	unix_call_as(m, creds, &call);
	if (call.error)
		return err_ret(err, -call.error, "connect to unix socket %s",
			unix_name_text(&to->name, text));
	if (by)
		*by = call.pid;
	return 0;
}
