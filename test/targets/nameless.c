/* Descriptors of what nobody can open by its name any more: devices, files of gone processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

static pid_t child_make(void)
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void child_end(pid_t pid)
{
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
}

/* As a jail makes its own. */
static void nameless_device(void)
{
	struct stat before, after;
	char byte = 1;
	int fd;

	if (mknod("zero", S_IFCHR | 0640, makedev(1, 5)) < 0)
		target_skip("no mknod");
	must(chown("zero", 12, 34));
	fd = (int)must(open("zero", O_RDONLY));
	must(fstat(fd, &before));
	must(unlink("zero"));
	target_wait();
	expect(read(fd, &byte, 1) == 1 && !byte, "it is another device");
	must(fstat(fd, &after));
	expect(after.st_rdev == before.st_rdev && after.st_mode == before.st_mode &&
			after.st_uid == 12 && after.st_gid == 34 && !after.st_nlink,
		"device %lx, mode %o, owner %u:%u", (long)after.st_rdev, after.st_mode,
		after.st_uid, after.st_gid);
	expect(access("zero", F_OK) == -1, "it has its name again");
}

/* Files, directories and O_PATH below /proc of a process that was waited for. */
static void nameless_process(void)
{
	static const char *const names[] = { "stat", "maps", "task", "", "cmdline" };
	static const int flags[] = { O_RDONLY, O_RDONLY, O_DIRECTORY, O_DIRECTORY, O_PATH };
	pid_t pid = child_make();
	struct stat st;
	char path[64];
	int fds[5];

	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, names[i]);
		fds[i] = (int)must(open(path, flags[i]));
	}
	child_end(pid);
	target_wait();
	expect(read(fds[0], path, sizeof path) == -1 && errno == ESRCH, "stat: %m");
	expect(read(fds[1], path, sizeof path) <= 0, "maps of nobody");
	expect(openat(fds[3], "stat", O_RDONLY) == -1, "somebody is there");
	expect(!fstat(fds[2], &st) && S_ISDIR(st.st_mode), "task");
	expect(fcntl(fds[4], F_GETFL) & O_PATH, "O_PATH");
	snprintf(path, sizeof path, "/proc/%d", pid);
	expect(access(path, F_OK) == -1, "somebody has been left");
}

static void nameless_cwd(void)
{
	pid_t pid = child_make();
	char path[64];

	snprintf(path, sizeof path, "/proc/%d", pid);
	must(chdir(path));
	target_wait();
	expect(access("stat", F_OK) == 0, "another directory");
	child_end(pid);
}

const struct target targets_nameless[] = {
	{ "nameless_device", nameless_device, "a removed device", 0 },
	{ "nameless_process", nameless_process, "/proc of a process that is gone", 0 },
	{ "nameless_cwd", nameless_cwd, "in /proc of a child", TARGET_REFUSED },
	{ NULL, NULL, NULL, 0 },
};
