/* What a descriptor or a mapping leads to, where it is not what one would think at first. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char **environ;

static void end(pid_t pid)
{
	must(kill(pid, SIGTERM));
	must(waitpid(pid, NULL, 0));
}

/* ---- who has connected ------------------------------------------------------------------------
 */

/* A child that connects, says so, and lives on; as this user. */
static pid_t connecting_child(const struct sockaddr_un *to, socklen_t len, uid_t uid)
{
	int said[2];
	char byte;
	pid_t pid;

	must(pipe(said));
	pid = (pid_t)must(fork());
	if (pid == 0) {
		int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));

		if (uid != getuid())
			must(setresuid(uid, uid, uid));
		must(connect(fd, (const struct sockaddr *)to, len));
		must(write(said[1], "x", 1));
		for (;;)
			pause();
	}
	must(close(said[1]));
	expect(read(said[0], &byte, 1) == 1, "the child did not connect");
	must(close(said[0]));
	return pid;
}

static void odd_held_pending(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(sizeof(sa_family_t) + 1 +
				    (size_t)sprintf(sa.sun_path + 1, "held-%d", getpid()));
	int fd = (int)must(socket(AF_UNIX, SOCK_STREAM, 0));
	uid_t uid[2] = { getuid(), getuid() ? getuid() : 1234 };
	pid_t child[2];

	must(bind(fd, (struct sockaddr *)&sa, len));
	must(listen(fd, 5));
	for (int i = 0; i < 2; i++)
		child[i] = connecting_child(&sa, len, uid[i]);
	target_wait();
	for (int i = 0; i < 2; i++) {
		int server = (int)must(accept(fd, NULL, NULL));
		struct ucred cred = { 0 };
		socklen_t size = sizeof cred;

		must(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &cred, &size));
		expect(cred.pid == child[i] && cred.uid == uid[i],
			"process %d, user %u has connected, not %d, %u", cred.pid, cred.uid,
			child[i], uid[i]);
		end(child[i]);
	}
}

/* ---- /proc of a child -------------------------------------------------------------------------
 */

static int open_of(pid_t pid, const char *what, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d%s", pid, what);
	return (int)must(open(path, flags));
}

static void odd_held_proc(void)
{
	pid_t pid = (pid_t)must(fork());
	int top, fds, path, text;
	char stat[64] = "", want[16];

	for (; pid == 0;)
		pause();
	top = open_of(pid, "", O_RDONLY | O_DIRECTORY);
	fds = open_of(pid, "/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	path = open_of(pid, "/task", O_PATH | O_DIRECTORY);
	text = open_of(pid, "/stat", O_RDONLY);
	target_wait();
	snprintf(want, sizeof want, "%d (", pid);
	must(read(text, stat, sizeof stat - 1));
	expect(strncmp(stat, want, strlen(want)) == 0, "stat is \"%s\"", stat);
	must(faccessat(top, "stat", F_OK, 0));
	must(faccessat(fds, "0", F_OK, 0));
	snprintf(want, sizeof want, "%d", pid);
	must(faccessat(path, want, F_OK, 0));
	expect(fcntl(fds, F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC is lost");
	end(pid);
}

/* ---- extended attributes of a file without a name ----------------------------------------------
 */

static void odd_held_xattr(void)
{
	char value[16] = "";
	int fd = (int)must(open("attributes", O_RDWR | O_CREAT | O_EXCL, 0600));
	int tmp = (int)must(open(".", O_TMPFILE | O_RDWR, 0600));

	if (fsetxattr(fd, "user.first", "one", 3, 0) < 0)
		target_skip("extended attributes");
	must(fsetxattr(fd, "user.empty", "", 0, 0));
	must(fsetxattr(tmp, "user.second", "two", 3, 0));
	must(unlink("attributes"));
	target_wait();
	expect(fgetxattr(fd, "user.first", value, sizeof value) == 3 && !memcmp(value, "one", 3),
		"user.first: %s", strerror(errno));
	expect(fgetxattr(fd, "user.empty", value, sizeof value) == 0, "user.empty: %s",
		strerror(errno));
	expect(fgetxattr(tmp, "user.second", value, sizeof value) == 3 && !memcmp(value, "two", 3),
		"user.second: %s", strerror(errno));
}

/* ---- removed files that are shared with others --------------------------------------------------
 */

/* One is open, one mapped, one both; of each one name is left, beside it. */
static void odd_held_linked(void)
{
	const char *names[] = { "link-open", "link-map", "link-both" };
	int fd[3];
	char *at[3], other[3][16], byte;

	for (int i = 0; i < 3; i++) {
		fd[i] = (int)must(open(names[i], O_RDWR | O_CREAT | O_EXCL, 0600));
		must(ftruncate(fd[i], PAGE));
		at[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd[i], 0);
		expect(at[i] != MAP_FAILED, "mmap: %s", strerror(errno));
		snprintf(other[i], sizeof other[i], "%s2", names[i]);
		must(link(names[i], other[i]));
		must(unlink(names[i]));
	}
	must(munmap(at[0], PAGE));
	must(close(fd[1]));
	target_wait();
	must(pwrite(fd[0], "a", 1, 5));
	at[1][5] = 'b';
	at[2][5] = 'c';
	for (int i = 0; i < 3; i++) {
		int again = (int)must(open(other[i], O_RDONLY));

		must(pread(again, &byte, 1, 5));
		expect(byte == 'a' + i, "%s is another file now", other[i]);
		must(unlink(other[i]));
	}
}

/* The name that is left is somewhere else, and the directory of the old one is gone. */
static void odd_held_moved_away(void)
{
	int fd;
	char byte;

	must(mkdir("away", 0700));
	fd = (int)must(open("away/file", O_RDWR | O_CREAT | O_EXCL, 0600));
	must(link("away/file", "elsewhere-too"));
	must(unlink("away/file"));
	must(rmdir("away"));
	target_wait();
	must(pwrite(fd, "a", 1, 0));
	fd = (int)must(open("elsewhere-too", O_RDONLY));
	must(pread(fd, &byte, 1, 0));
	expect(byte == 'a', "it is another file now");
	expect(access("away", F_OK) == -1, "the directory is back");
	must(unlink("elsewhere-too"));
}

/* Mapped here, open in a child only. */
static void odd_held_elsewhere(void)
{
	int fd = (int)must(open("elsewhere", O_RDWR | O_CREAT | O_EXCL, 0600)), go[2], said[2];
	char *at, byte = 0;
	pid_t pid;

	must(pipe(go));
	must(pipe(said));
	must(ftruncate(fd, PAGE));
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(at != MAP_FAILED, "mmap: %s", strerror(errno));
	must(unlink("elsewhere"));
	pid = (pid_t)must(fork());
	if (pid == 0) {
		must(munmap(at, PAGE));
		must(read(go[0], &byte, 1));
		must(pread(fd, &byte, 1, 7));
		must(write(said[1], &byte, 1));
		for (;;)
			pause();
	}
	must(close(fd));
	target_wait();
	at[7] = 'x';
	must(write(go[1], "g", 1));
	must(read(said[0], &byte, 1));
	expect(byte == 'x', "the child has another file now");
	end(pid);
}

/* ---- a program in a memfd -----------------------------------------------------------------------
 */

static void copy(int to, const char *name)
{
	char buf[65536];
	int from = (int)must(open(name, O_RDONLY | O_CLOEXEC));
	ssize_t n;

	while ((n = must(read(from, buf, sizeof buf))) > 0)
		must(write(to, buf, (size_t)n));
	must(close(from));
}

/* What is open for writing cannot be run, but for the descriptor that memfd_create(2) has given. */
static void odd_held_exec(void)
{
	char *argv[] = { (char *)"true", NULL };
	int fd = (int)must(memfd_create("program", 0)), status;
	pid_t pid;

	copy(fd, "/bin/true");
	target_wait();
	pid = (pid_t)must(fork());
	if (pid == 0) {
		fexecve(fd, argv, environ);
		_exit(errno);
	}
	must(waitpid(pid, &status, 0));
	expect(status == 0, "the program in the memfd ended with %#x: %s", (unsigned)status,
		strerror(WEXITSTATUS(status)));
	expect(lseek(fd, 0, SEEK_CUR) == lseek(fd, 0, SEEK_END), "position is not at the end");
}

/* ---- a segment in pieces ------------------------------------------------------------------------
 */

static bool is_mapped(char *at)
{
	unsigned char core;

	return mincore(at, PAGE, &core) == 0;
}

/* shmdt(2) takes away what is left of one attach, and leaves alone another one of the segment. */
static void odd_held_shm(void)
{
	int id = (int)must(shmget(IPC_PRIVATE, 8 * PAGE, 0600));
	char *at = shmat(id, NULL, 0), *other = shmat(id, NULL, 0);

	expect(at != (char *)-1 && other != (char *)-1, "shmat: %s", strerror(errno));
	must(shmctl(id, IPC_RMID, NULL));
	pattern_fill(at, 8 * PAGE, 3);
	must(munmap(at, PAGE));
	must(mprotect(at + 2 * PAGE, PAGE, PROT_READ));
	must(munmap(at + 4 * PAGE, PAGE));
	must(mprotect(other + PAGE, PAGE, PROT_NONE));
	target_wait();
	expect(!memcmp(other + 2 * PAGE, at + 2 * PAGE, PAGE), "contents differ");
	must(shmdt(at));
	for (int i = 0; i < 8; i++) {
		expect(!is_mapped(at + i * PAGE), "page %d is still there", i);
		expect(is_mapped(other + i * PAGE), "page %d of the other is gone", i);
	}
	must(shmdt(other));
	for (int i = 0; i < 8; i++)
		expect(!is_mapped(other + i * PAGE), "page %d of the other is still there", i);
}

/* ---- a connection that is not read any more -----------------------------------------------------
 */

static void tcp_pair(int pair[2])
{
	struct sockaddr_in sa = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
	socklen_t len = sizeof sa;
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0));

	must(bind(fd, (struct sockaddr *)&sa, sizeof sa));
	must(listen(fd, 1));
	must(getsockname(fd, (struct sockaddr *)&sa, &len));
	pair[0] = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(pair[0], (struct sockaddr *)&sa, sizeof sa));
	pair[1] = (int)must(accept(fd, NULL, NULL));
	must(close(fd));
}

static void odd_held_shut(void)
{
	struct pollfd p = { .events = POLLIN };
	int pair[2];
	char data[8];

	tcp_pair(pair);
	must(shutdown(pair[0], SHUT_RD));
	target_wait();
	expect(recv(pair[0], data, sizeof data, MSG_DONTWAIT) == 0, "can be read again: %s",
		strerror(errno));
	must(write(pair[0], "there", 5));
	p.fd = pair[1];
	must(poll(&p, 1, 10000));
	expect(read(pair[1], data, sizeof data) == 5, "nothing arrives");
}

const struct target targets_odd_held[] = {
	{ "odd_held_pending", odd_held_pending, "who waits to be accepted", 0 },
	{ "odd_held_proc", odd_held_proc, "directories of /proc of a child", 0 },
	{ "odd_held_xattr", odd_held_xattr, "attributes of removed files", 0 },
	{ "odd_held_linked", odd_held_linked, "removed files with another name", 0 },
	{ "odd_held_moved_away", odd_held_moved_away, "a name is left elsewhere", 0 },
	{ "odd_held_elsewhere", odd_held_elsewhere, "mapped here, open in a child", 0 },
	{ "odd_held_exec", odd_held_exec, "a program in a memfd", 0 },
	{ "odd_held_shm", odd_held_shm, "a System V segment in pieces", 0 },
	{ "odd_held_shut", odd_held_shut, "TCP shut down for reading", 0 },
	{ NULL, NULL, NULL, 0 },
};
