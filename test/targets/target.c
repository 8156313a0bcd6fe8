/* The table of all targets, and the protocol with the test. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools.h"

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
	targets_sock_waiting,
	targets_sock_tcp_waiting,
	targets_sock_netlink,
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
	targets_tree_stop,
	targets_tree_ids,
	targets_tree_mem,
	targets_tree_aside,
	targets_tree_shared,
	targets_tree_fd,
	targets_tree_lock,
	targets_tree_attr,
	targets_tree_exec,
	targets_tree_refuse,
	targets_tree_stream,
	targets_tree_odd,
	targets_tree_sibling,
	targets_odd_held,
	targets_nameless,
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

/* ---- talking to the test */

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

/* ---- main */

static const struct target *find(const char *name)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct target *t = tables[i]; t->name; t++)
			if (strcmp(t->name, name) == 0)
				return t;
	return NULL;
}

/* Of TARGET_EITHER and so on. */
static const char letters[] = "erbu";

static bool has_flag(const char *name, char letter)
{
	const struct target *t = find(name);
	const char *at = strchr(letters, letter);

	return t && at && t->flags & 1u << (at - letters);
}

/* "name flags about": flags as letters, or "-". */
static void list_one(const struct target *t)
{
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

int main(int argc, char **argv)
{
	const struct target *target;
	int status = tool_run(argc, argv);

	if (status >= 0)
		return status;
	if (argc >= 2 && strcmp(argv[1], "--list") == 0) {
		list(argc > 2 ? argv[2] : "");
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "--has-flag") == 0)
		return has_flag(argv[2], argv[3][0]) ? 0 : 1;
	target = argc >= 2 ? find(argv[1]) : NULL;
	if (!target) {
		fprintf(stderr, "usage: target NAME | --list [PREFIX] | --has-flag NAME LETTER | "
				"a tool of tools.h\n");
		return 2;
	}
	open_ctl();
	target->run();
	say("OK\n");
	return 0;
}
