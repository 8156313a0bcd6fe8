/* Files of processes that are gone; see proc_gone.h. */
#include "images/fd/proc_gone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

int32_t proc_path_pid(const char *path, const char **rest)
{
	struct text t = { path };
	uint64_t pid;

	if (!text_word(&t, "/proc/") || !text_dec(&t, &pid) || (*t.at != '/' && *t.at) ||
		pid > INT32_MAX)
		return 0;
	*rest = t.at;
	return (int32_t)pid;
}

bool proc_gone(int32_t pid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof path, "/proc/%d", pid);
	return lstat(path, &st) < 0 && errno == ENOENT;
}

/* Nobody is told of its end; pid 0: any. */
static long child_make(pid_t pid)
{
	struct clone_args args = { .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = !!pid };

	return syscall(SYS_clone3, &args, sizeof args);
}

/* Somebody has to stand for it for a moment. Its number shows in the path and nowhere else. */
int proc_gone_open(int32_t pid, const char *rest, int flags, int *fd, struct err *err)
{
	long child = child_make(pid);
	char path[PATH_MAX];
	int ret = 0;

	if (child < 0)
		child = child_make(0);
	if (child == 0)
		for (;;)
			pause();
	if (child < 0)
		return err_sys(err, "a process that stands for %d", pid);
	snprintf(path, sizeof path, "/proc/%ld%s", child, rest);
	*fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		ret = err_sys(err, "open %s", path);
	if ((kill((pid_t)child, SIGKILL) < 0 || waitpid((pid_t)child, NULL, __WALL) < 0) && !ret)
		ret = err_sys(err, "end of the process that stands for %d", pid);
	return ret;
}
