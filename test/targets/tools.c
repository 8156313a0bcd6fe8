/* Small programs that the tests need; see tools.h. */
#include "tools.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

/* ---- waiting for a line: target --wait-line FILE TEXT SECONDS */

static bool line_starts(const char *line, const char *text)
{
	return strncmp(line, text, strlen(text)) == 0;
}

/* 1: the line is there, and printed; 0: not yet; -1: it will not come, the target has ended. */
static int line_look(const char *path, const char *text)
{
	char line[1024];
	FILE *file = fopen(path, "re");
	int found = 0;

	while (file && !found && fgets(line, sizeof line, file))
		found = line_starts(line, text)                                  ? 1
			: line_starts(line, "SKIP") || line_starts(line, "FAIL") ? -1
										 : 0;
	if (file)
		fclose(file);
	if (found > 0)
		fputs(line, stdout);
	return found;
}

/* Directory of path in dir: inotify on it also sees a file that is not there yet. */
static void directory_of(const char *path, char *dir, size_t len)
{
	const char *slash = strrchr(path, '/');

	snprintf(dir, len, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static int wait_line(const char *path, const char *text, int seconds)
{
	char dir[512], events[4096];
	int64_t end = now_ms() + seconds * 1000LL, left;
	int fd = inotify_init1(IN_CLOEXEC), found;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	directory_of(path, dir, sizeof dir);
	if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return 2;
	while (!(found = line_look(path, text))) {
		left = end - now_ms();
		if (left <= 0 || poll(&poll_fd, 1, (int)left) <= 0)
			return 1;
		if (read(fd, events, sizeof events) < 0)
			return 2;
	}
	return found > 0 ? 0 : 1;
}

/* ---- waiting for an end: target --wait-exit PID SECONDS */

static int wait_exit(pid_t pid, int seconds)
{
	struct pollfd poll_fd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (poll_fd.fd < 0)
		return errno == ESRCH ? 0 : 2;
	return poll(&poll_fd, 1, seconds * 1000) == 1 ? 0 : 1;
}

/* ---- reaping: target --reap COMMAND... */

/*
 * Run a command, and wait for orphans of its descendants, so that their ids are free at once: some
 * inits reap only now and then.
 */
static int reap(char **argv)
{
	int status, code = 125;
	pid_t pid, child;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	child = (pid_t)must(fork());
	if (child == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	do {
		pid = wait(&status);
		if (pid == child)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	} while (pid != child && (pid > 0 || errno == EINTR));
	return code;
}

/* ---- a clean place: target --alone HOME COMMAND... */

/* bats, make and CI leave pipes open in us; a server that inherits them has a pipe to outside. */
static int alone(char **argv)
{
	static char path[4096], home[4096], locale[] = "LC_ALL=C.UTF-8";
	char *env[16] = { path, home, locale };
	size_t nr = 3;

	snprintf(path, sizeof path, "PATH=%s", getenv("PATH"));
	snprintf(home, sizeof home, "HOME=%s", argv[0]);
	must(chdir(argv[0]));
	/* As of env(1). */
	for (argv++; strchr(argv[0], '=') && argv[1] && nr < sizeof env / sizeof *env - 1; argv++)
		env[nr++] = argv[0];
	/* A shell has what it runs in the background ignore them. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	must(syscall(SYS_close_range, 3, ~0U, 0));
	execvpe(argv[0], argv, env);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

int tool_run(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "--wait-line") == 0)
		return wait_line(argv[2], argv[3], atoi(argv[4]));
	if (argc == 4 && strcmp(argv[1], "--wait-exit") == 0)
		return wait_exit(atoi(argv[2]), atoi(argv[3]));
	if (argc >= 3 && strcmp(argv[1], "--reap") == 0)
		return reap(argv + 2);
	if (argc >= 4 && strcmp(argv[1], "--alone") == 0)
		return alone(argv + 2);
	return -1;
}
