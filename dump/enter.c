/* Going where the target is; see enter.h. */
#include "dump/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dump.h"
#include "tracee/proc.h"

/* In this order: what follows may need the privileges that come with the first. */
static const struct {
	const char *name;
	int type;
} namespaces[] = {
	{ "user", CLONE_NEWUSER },
	{ "mnt", CLONE_NEWNS },
	{ "pid", CLONE_NEWPID },
};

enum { NR_NAMESPACES = sizeof namespaces / sizeof namespaces[0] };

static int ns_open(const char *process, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%s/ns/%s", process, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A descriptor of the target's where it is another one than ours, else -1. */
static int ns_other(pid_t pid, const char *name)
{
	OWNED_FD theirs = -1, ours = ns_open("self", name);
	struct stat a, b;
	char process[16];

	snprintf(process, sizeof process, "%d", pid);
	theirs = ns_open(process, name);
	if (theirs < 0 || ours < 0 || fstat(theirs, &a) < 0 || fstat(ours, &b) < 0 ||
		(a.st_dev == b.st_dev && a.st_ino == b.st_ino))
		return -1;
	return take_fd(&theirs);
}

/*
 * One mount, of /proc/PID/mountinfo: root, mount point and options, without the ids in front, and
 * without what follows. NULL: below /proc, where each pid namespace has its own.
 */
static char *mount_of(char *line)
{
	char *end = strstr(line, " - "), *at = line, *point;

	for (int i = 0; at && i < 3; i++)
		at = (at = strchr(at, ' ')) ? at + 1 : NULL;
	point = at ? strchr(at, ' ') : NULL;
	if (!end || !point || !strncmp(point, " /proc", strlen(" /proc")))
		return NULL;
	point = strchr(point + 1, ' ');
	if (point)
		*point = '\0';
	return at;
}

struct mounts {
	char **all;
	size_t nr, cap;
};

static int mount_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Mounts of a process, sorted: a copy of a mount namespace has them in another order. */
static struct mounts mounts_read(const char *process, struct arena *a)
{
	struct mounts mounts = { 0 };
	char path[64], *line = NULL;
	size_t cap = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%s/mountinfo", process);
	file = fopen(path, "re");
	while (file && getline(&line, &cap, file) > 0) {
		char *mount = mount_of(line);

		if (!mount)
			continue;
		mounts.all = arena_grow(a, mounts.all, mounts.nr, &mounts.cap, sizeof *mounts.all);
		mounts.all[mounts.nr++] = arena_strdup(a, mount);
	}
	free(line);
	if (file)
		fclose(file);
	if (mounts.nr)
		qsort(mounts.all, mounts.nr, sizeof *mounts.all, mount_compare);
	return mounts;
}

/* A mount namespace like ours, but for /proc: the same paths lead to the same files, and a restore
 * here loses nothing. */
static bool mounts_are_ours(pid_t pid)
{
	struct arena *a = arena_create();
	struct mounts theirs, ours;
	char process[16];
	bool same;

	snprintf(process, sizeof process, "%d", pid);
	theirs = mounts_read(process, a);
	ours = mounts_read("self", a);
	same = theirs.nr == ours.nr;
	for (size_t i = 0; same && i < ours.nr; i++)
		same = !strcmp(theirs.all[i], ours.all[i]);
	arena_destroy(a);
	return same;
}

/* Where it is only the mount namespace, or one with mounts of its own, the check says so. */
bool enter_needed(pid_t pid)
{
	OWNED_FD pidns = ns_other(pid, "pid"), mnt = ns_other(pid, "mnt");

	return pidns >= 0 && (mnt < 0 || mounts_are_ours(pid));
}

static int inner_pid(pid_t pid, pid_t *inner, struct err *err)
{
	struct arena *a = arena_create();
	struct proc_status status;
	OWNED_FD procfd = -1;
	int ret = proc_open(pid, &procfd, err);

	if (!ret)
		ret = proc_status(procfd, "status", a, &status, err);
	if (!ret)
		*inner = status.nspid;
	arena_destroy(a);
	return ret;
}

/* The directory of the image, which keeps its meaning in any mount namespace. */
static int image_directory(const char *image, char **base, struct err *err)
{
	char *path = strdup(image), *slash;
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!path)
		return err_nomem(err);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	*base = strdup(slash ? slash + 1 : path);
	if (slash)
		slash[slash == path] = '\0';
	fd = open(slash ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err_sys(err, "open %s", slash ? path : ".");
	free(path);
	if (!*base)
		err_nomem(err);
	return fd >= 0 && *base ? fd : -1;
}

/* uid_map or gid_map, user_namespaces(7): does each id mean the same inside and outside? */
static bool maps_to_itself(pid_t pid, const char *map)
{
	unsigned long inside, outside, count;
	bool same = true;
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, map);
	file = fopen(path, "re");
	while (file && fscanf(file, "%lu %lu %lu", &inside, &outside, &count) == 3)
		same &= inside == outside;
	if (!file)
		return false;
	fclose(file);
	return same;
}

/* What is read in there goes into the image, and is taken at its word by a restore out here. */
static int userns_check(pid_t pid, bool *other, struct err *err)
{
	OWNED_FD userns = ns_other(pid, "user");

	*other = userns >= 0;
	if (!*other || (maps_to_itself(pid, "uid_map") && maps_to_itself(pid, "gid_map")))
		return 0;
	err_set(err, ENOTSUP,
		"process %d is in a user namespace of its own with other ids than outside "
		"(/proc/%d/uid_map), which is not supported",
		pid, pid);
	return err_hint(err, "run snapctl in there, for dump and restore, or start the program "
			     "without --map-root-user (-r)");
}

static int enter_all(pid_t pid, struct err *err)
{
	int fds[NR_NAMESPACES], ret = 0;

	for (size_t i = 0; i < NR_NAMESPACES; i++)
		fds[i] = ns_other(pid, namespaces[i].name);
	for (size_t i = 0; i < NR_NAMESPACES; i++) {
		if (!ret && fds[i] >= 0 && setns(fds[i], namespaces[i].type) < 0) {
			ret = err_sys(err, "enter the %s namespace of process %d",
				namespaces[i].name, pid);
			err_hint(err, "run snapctl as root, or as the user who made it");
		}
		fd_close(&fds[i]);
	}
	return ret;
}

int enter(const struct dump_opts *opts, struct dump_opts *inner, struct err *err)
{
	OWNED_FD dir = -1;
	char *image = NULL;

	*inner = *opts;
	inner->pid_outside = opts->pid;
	if (opts->image) {
		dir = image_directory(opts->image, &image, err);
		if (dir < 0)
			return -err->code;
		inner->image = image;
	}
	if (userns_check(opts->pid, &inner->userns_entered, err) < 0 ||
		inner_pid(opts->pid, &inner->pid, err) < 0 || enter_all(opts->pid, err) < 0)
		return -err->code;
	if (dir >= 0 && fchdir(dir) < 0)
		return err_sys(err, "directory of %s", opts->image);
	return 0;
}
