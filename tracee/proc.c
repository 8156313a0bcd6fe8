/* Files and directories of /proc/PID; their contents are read in proc_*.c. */
#include "tracee/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

enum { TEXT_LIMIT = 1 << 30 };

int proc_open(pid_t pid, int *procfd, struct err *err)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/%d", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ESRCH, "process %d: no such process", pid);
	if (fd < 0)
		return err_sys(err, "open %s", path);
	*procfd = fd;
	return 0;
}

int proc_text(
	int procfd, const char *name, struct arena *a, char **text, size_t *len, struct err *err)
{
	OWNED_FD fd = openat(procfd, name, O_RDONLY | O_CLOEXEC);
	char *read;
	size_t nr;
	int ret;

	if (fd < 0)
		return err_sys(err, "open %s", name);
	ret = fd_read_text(fd, TEXT_LIMIT, &read, &nr, err);
	if (ret < 0)
		return err_wrap(err, "%s", name), ret;
	*text = arena_strndup(a, read, nr);
	if (len)
		*len = nr;
	free(read);
	return 0;
}

int proc_link(int procfd, const char *name, struct arena *a, char **link, struct err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(procfd, name, target, sizeof target);

	if (len < 0)
		return err_sys(err, "read link %s", name);
	if (len == sizeof target)
		return err_set(
			err, ENAMETOOLONG, "read link %s: longer than %d bytes", name, PATH_MAX);
	*link = arena_strndup(a, target, (size_t)len);
	return 0;
}

/* ---- directories of numbers --------------------------------------------- */

static int int_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static int proc_numbers(
	int procfd, const char *name, struct arena *a, int **numbers, size_t *nr, struct err *err)
{
	int fd = openat(procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), *all = NULL;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0, cap = 0;
	struct dirent *entry;

	if (!dir) {
		int ret = err_sys(err, "open %s", name);

		fd_close(&fd);
		return ret;
	}
	errno = 0;
	for (; (entry = readdir(dir)); errno = 0) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		all = arena_grow(a, all, n, &cap, sizeof *all);
		all[n++] = atoi(entry->d_name);
	}
	if (errno) {
		int ret = err_sys(err, "read %s", name);

		closedir(dir);
		return ret;
	}
	closedir(dir);
	if (n)
		qsort(all, n, sizeof *all, int_compare);
	*numbers = all;
	*nr = n;
	return 0;
}

/* A tid may be smaller than its leader's, when pids have wrapped. */
int proc_tasks(int procfd, struct arena *a, pid_t **tids, size_t *nr, struct err *err)
{
	struct proc_stat stat;
	int ret = proc_stat(procfd, "stat", &stat, err);

	if (ret == 0)
		ret = proc_numbers(procfd, "task", a, tids, nr, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < *nr; i++) {
		if ((*tids)[i] != stat.pid)
			continue;
		memmove(*tids + 1, *tids, i * sizeof **tids);
		(*tids)[0] = stat.pid;
	}
	return 0;
}

int proc_fds(int procfd, struct arena *a, int **nums, size_t *nr, struct err *err)
{
	return proc_numbers(procfd, "fd", a, nums, nr, err);
}

/* ---- children ----------------------------------------------------------- */

static int children_of_thread(int procfd, pid_t tid, struct arena *a, pid_t **pids, size_t *nr,
	size_t *cap, struct err *err)
{
	char name[64], *text;
	uint64_t pid;
	int ret;

	snprintf(name, sizeof name, "task/%d/children", tid);
	ret = proc_text(procfd, name, a, &text, NULL, err);
	if (ret < 0)
		return ret;
	for (struct text t = { text }; text_dec(&t, &pid); text_blanks(&t)) {
		*pids = arena_grow(a, *pids, *nr, cap, sizeof **pids);
		(*pids)[(*nr)++] = (pid_t)pid;
	}
	return 0;
}

/* A thread that ends while we read has no children any more. */
int proc_children(int procfd, struct arena *a, pid_t **pids, size_t *nr, struct err *err)
{
	pid_t *tids, *all = NULL;
	size_t nr_tids, n = 0, cap = 0;
	int ret = proc_tasks(procfd, a, &tids, &nr_tids, err);

	for (size_t i = 0; i < nr_tids && ret == 0; i++) {
		char task[32];

		ret = children_of_thread(procfd, tids[i], a, &all, &n, &cap, err);
		snprintf(task, sizeof task, "task/%d", tids[i]);
		if (ret == -ENOENT && faccessat(procfd, task, F_OK, 0) == 0)
			return err_hint(err, "the kernel was built without CONFIG_PROC_CHILDREN"),
			       ret;
		if (ret == -ENOENT || ret == -ESRCH)
			ret = 0;
	}
	if (ret < 0)
		return ret;
	*pids = all;
	*nr = n;
	return 0;
}
