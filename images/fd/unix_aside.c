/*
 * Path names for unix sockets whose files are in nobody's way: a socket's name is what bind(2) was
 * given, and where that leads is a matter of the directory or the root directory of whoever binds.
 * So a short-lived child with another one does, in a directory of its own. Its root directory
 * ordinary users may change in a user namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/way.h"
#include "images/fd/unix.h"

static int enter(const char *dir, bool absolute)
{
	if (!absolute)
		return chdir(dir);
	if (chroot(dir) == 0)
		return 0;
	return errno == EPERM && unshare(CLONE_NEWUSER) == 0 ? chroot(dir) : -1;
}

/* In the child, which has our table of descriptors; gives errno, or 0. */
static int bind_there(const char *dir, int fd, const struct unix_name *name)
{
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(name, &sa);

	if (enter(dir, name->bytes[0] == '/') < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0)
		return errno;
	return 0;
}

static int bind_in_child(const char *dir, int fd, const struct unix_name *name)
{
	struct clone_args args = { .flags = CLONE_FILES };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	int status = 0;

	if (child < 0)
		return -1;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(bind_there(dir, fd, name));
	}
	while (waitpid(child, &status, __WALL) < 0 && errno == EINTR)
		;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno ? -1 : 0;
}

/* Up and out of the directory it must not lead. */
static bool leads_out(struct arena *arena, const struct unix_name *name)
{
	const char *text = arena_strndup(arena, (const char *)name->bytes, name->len);

	return strstr(text, "..") || text[strlen(text) - 1] == '/';
}

int unix_bind_aside(
	struct arena *arena, int fd, const struct unix_name *name, int *held, struct err *err)
{
	char dir[WAY_OWN];
	const char *path;
	size_t way;
	int ret;

	if (leads_out(arena, name))
		return err_set(err, ENOTSUP, "a name with .. in it");
	if (way_own(dir, err) < 0)
		return -err->code;
	path = arena_printf(arena, "%s/%.*s", dir, (int)name->len, (const char *)name->bytes);
	way = way_make(path);
	ret = bind_in_child(dir, fd, name) < 0 ? err_sys(err, "bind in %s", dir) : 0;
	*held = ret < 0 ? -1 : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	unlink(path);
	way_remove(path, way);
	rmdir(dir);
	return ret;
}

void unix_bind_lost(struct arena *arena, int fd, const struct unix_name *name)
{
	char text[UNIX_NAME_TEXT];
	struct sockaddr_storage sa;
	socklen_t len = unix_name_to(name, &sa);
	OWNED_FD held = -1;
	struct err err;

	if (unix_is_path(name) ? unix_bind_aside(arena, fd, name, &held, &err) < 0
			       : bind(fd, (struct sockaddr *)&sa, len) < 0)
		log_warn("the name of a closed unix socket, %s, is lost",
			unix_name_text(name, text));
}
