/* The table of all targets, the protocol with the test, and a helper that waits for a line in a
 * file. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct target *const tables[] = {
	targets_mem_anon,
	targets_mem_advice,
	targets_mem_file,
	targets_mem_shared,
	targets_cpu,
	targets_thread,
	targets_thread_own,
	targets_signal,
	targets_timer,
	targets_cred,
	targets_proc,
	targets_fd_file,
	targets_fd_lock,
	targets_fd_pipe,
	targets_fd_event,
	targets_fd_epoll,
	targets_fd_misc,
	targets_fd_pty,
	targets_fd_mqueue,
	targets_sock_unix,
	targets_sock_inet,
	targets_sock_tcp,
	targets_sock_raw,
	targets_sock_tree,
	targets_sock_bind,
	targets_wait,
	targets_refuse,
	targets_refuse_state,
	targets_confine,
	targets_wait_more,
	targets_odd,
	targets_odd_files,
	targets_odd_mem,
	targets_odd_sock,
	targets_sock_name,
	targets_ipc,
	targets_user,
	targets_mem_huge,
	targets_ring,
	targets_aio,
	targets_tree_family,
	targets_tree_end,
	targets_tree_ids,
	targets_tree_mem,
	targets_tree_shared,
	targets_tree_fd,
	targets_tree_lock,
	targets_tree_attr,
	targets_tree_exec,
	targets_tree_refuse,
	targets_tree_stream,
	targets_tree_odd,
	targets_odd_held,
	targets_odd_signal,
	targets_odd_cpu,
	targets_odd_wait,
	targets_tree_group,
	targets_tree_born,
	targets_pty_held,
	targets_fd_thread,
};

/* The FIFO is opened before the state is prepared, so that its number is 3 in every target. */
static int ctl_fd = -1;
static int out_fd = -1; /* usually opened for each line, so that the state does not hold it */

/* ---- talking to the test
 * ----------------------------------------------------------------------------- */

static int open_out(void)
{
	const char *path = getenv("TARGET_OUT");

	return path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : dup(1);
}

static void say(const char *line)
{
	int fd = out_fd < 0 ? open_out() : out_fd;

	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		_exit(124);
	if (fd != out_fd)
		close(fd);
}

void target_keep_out(void)
{
	out_fd = open_out();
}

void target_skip(const char *what)
{
	char text[256];

	snprintf(text, sizeof text, "SKIP %s: %s\n", what, strerror(errno));
	say(text);
	_exit(77);
}

void target_fail(const char *file, int line, const char *fmt, ...)
{
	char what[400], text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	snprintf(text, sizeof text, "FAIL %s:%d: %s\n",
		strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, what);
	say(text);
	_exit(1);
}

long target_must(const char *file, int line, const char *what, long result)
{
	if (result == -1)
		target_fail(file, line, "%s: %s", what, strerror(errno));
	return result;
}

void target_wait(void)
{
	char line[64];
	ssize_t len;

	snprintf(line, sizeof line, "READY %d\n", getpid());
	say(line);
	len = read(ctl_fd, line, sizeof line);
	expect(len > 0, "read of the control pipe gave %zd: %s", len, strerror(errno));
	expect(len >= 5 && memcmp(line, "check", 5) == 0, "control pipe said %.*s", (int)len, line);
}

/* ---- waiting for a line: target --wait-line FILE TEXT SECONDS
 * -------------------------------------------- */

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

/* ---- waiting for an end: target --wait-exit PID SECONDS
 * ------------------------------------------------------- */

static int wait_exit(pid_t pid, int seconds)
{
	struct pollfd poll_fd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (poll_fd.fd < 0)
		return errno == ESRCH ? 0 : 2;
	return poll(&poll_fd, 1, seconds * 1000) == 1 ? 0 : 1;
}

/* ---- main
 * ----------------------------------------------------------------------------------------------------
 */

static const struct target *find(const char *name)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct target *t = tables[i]; t->name; t++)
			if (strcmp(t->name, name) == 0)
				return t;
	return NULL;
}

/* "name flags about": flags as letters e(ither), r(efused), b(usy), u(nsteady), or "-". */
static void list_one(const struct target *t)
{
	static const char letters[] = "erbu";
	char flags[8] = "-", *at = flags;

	for (int i = 0; letters[i]; i++)
		if (t->flags & 1u << i)
			*at++ = letters[i];
	printf("%-24s %s %s\n", t->name, flags, t->about);
}

static void list(const char *prefix)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct target *t = tables[i]; t->name; t++)
			if (strncmp(t->name, prefix, strlen(prefix)) == 0)
				list_one(t);
}

/* The FIFO is opened for reading and writing: it then has no end of file when the test goes away.
 */
static void open_ctl(void)
{
	const char *path = getenv("TARGET_CTL"), *dir = getenv("TARGET_DIR");

	if (dir && chdir(dir) < 0)
		fail("chdir %s: %s", dir, strerror(errno));
	if (path)
		ctl_fd = open(path, O_RDWR);
	else
		ctl_fd = dup(0);
	if (ctl_fd < 0)
		fail("open %s: %s", path ? path : "stdin", strerror(errno));
}

/* ---- reaping: target --reap COMMAND...
 * ---------------------------------------------------------------------- */

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

int main(int argc, char **argv)
{
	const struct target *target;

	if (argc >= 2 && strcmp(argv[1], "--list") == 0) {
		list(argc > 2 ? argv[2] : "");
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "--wait-line") == 0)
		return wait_line(argv[2], argv[3], atoi(argv[4]));
	if (argc == 4 && strcmp(argv[1], "--wait-exit") == 0)
		return wait_exit(atoi(argv[2]), atoi(argv[3]));
	if (argc >= 3 && strcmp(argv[1], "--reap") == 0)
		return reap(argv + 2);
	target = argc >= 2 ? find(argv[1]) : NULL;
	if (!target) {
		fprintf(stderr, "usage: target NAME | --list [PREFIX] | --wait-line FILE TEXT "
				"SECONDS | --wait-exit PID SECONDS | --reap COMMAND...\n");
		return 2;
	}
	open_ctl();
	target->run();
	say("OK\n");
	return 0;
}
