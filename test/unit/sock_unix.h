/* What the unit tests of unix sockets share: a private directory, names, sockets, round trips. */
#ifndef TEST_UNIT_SOCK_UNIX_H
#define TEST_UNIT_SOCK_UNIX_H

#include <errno.h>

#include "test/unit/fd_fake.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- a private directory --------------------------------------------------------------------- */

static char dir[64];

static inline int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/snapctl-sock-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

/* ---- helpers --------------------------------------------------------------------------------- */

struct name {
	struct sockaddr_un un;
	socklen_t len;
};

/* "@x" is abstract; "x" is below the private directory; "/x" and "./x" are as they are. */
static inline struct name named(const char *text)
{
	struct name n = { .un.sun_family = AF_UNIX };

	if (text[0] == '@')
		n.len = (socklen_t)snprintf(
				n.un.sun_path + 1, 100, "snapctl-test-%d-%s", getpid(), text + 1) +
			1;
	else if (text[0] == '/' || text[0] == '.')
		n.len = (socklen_t)snprintf(n.un.sun_path, 100, "%s", text) + 1;
	else
		n.len = (socklen_t)snprintf(n.un.sun_path, 100, "%s/%s", dir, text) + 1;
	n.len += (socklen_t)offsetof(struct sockaddr_un, sun_path);
	return n;
}

static inline struct name own_name(int fd)
{
	struct name n = { .len = sizeof n.un };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&n.un, &n.len), 0);
	return n;
}

static inline struct name peer_name(int fd)
{
	struct name n = { .len = sizeof n.un };

	assert_int_equal(getpeername(fd, (struct sockaddr *)&n.un, &n.len), 0);
	return n;
}

static inline void assert_name(struct name is, struct name be)
{
	assert_int_equal(is.len, be.len);
	assert_memory_equal(&is.un, &be.un, be.len);
}

static const struct name no_name = { .un.sun_family = AF_UNIX, .len = sizeof(sa_family_t) };

static inline int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static inline int bound(int type, const char *text)
{
	struct name n = named(text);
	int fd = new_socket(type);

	if (bind(fd, (struct sockaddr *)&n.un, n.len) < 0)
		fail_msg("bind %s: %s", text, strerror(errno));
	return fd;
}

static inline int listening(int type, const char *text, int backlog)
{
	int fd = bound(type, text);

	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static inline int try_connect(int fd, const char *text)
{
	struct name n = named(text);

	return connect(fd, (struct sockaddr *)&n.un, n.len);
}

static inline int connected(int type, const char *text)
{
	int fd = new_socket(type);

	if (try_connect(fd, text) < 0)
		fail_msg("connect %s: %s", text, strerror(errno));
	return fd;
}

static inline int accepted(int fd)
{
	int end = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	assert_true(end >= 0);
	return end;
}

static inline void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_DONTWAIT), strlen(text));
}

static inline void assert_get(int fd, const char *text)
{
	char buf[256] = "";

	assert_int_equal(recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(buf, text);
}

static inline void says(int from, int to, const char *text)
{
	put(from, text);
	assert_get(to, text);
}

static inline void assert_empty(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void assert_serves(int listener, const char *text)
{
	int client = connected(SOCK_STREAM, text), end = accepted(listener);

	put(client, "hello");
	assert_get(end, "hello");
	close(client);
	close(end);
}

static inline int get_int(int fd, int name)
{
	int value = -12345;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &len), 0);
	return value;
}

static inline void set_int(int fd, int name, int value)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value), 0);
}

/* Save all of them, make them again in their slots. */
static inline struct fake *trip(const int *fds, size_t nr)
{
	struct fake *f = fake_create();

	for (size_t i = 0; i < nr; i++)
		fake_save(f, fds[i], &fd_unix);
	fake_carry(f);
	fake_make(f);
	return f;
}

#define TRIP(...) trip((int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

/* All but fd are closed: it must not be saved, with these words. */
static inline void refuse_as(int fd, int code, const char *words)
{
	struct fake *f = fake_create();
	int ret = fake_try_save(f, fd);

	if (ret >= 0)
		ret = fake_try_save_links(f);
	fake_expect_words(f, ret, code, words);
	fake_destroy(f);
}

static inline void refuse(int fd, const char *words)
{
	refuse_as(fd, ENOTSUP, words);
}

/* ---- without privilege ----------------------------------------------------------------------- */

/* Files are found by inode where the kernel does not open them for us (SIOCUNIXFILE needs
 * CAP_NET_ADMIN). */
static inline void as_nobody(void (*test)(void **))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (geteuid() == 0 &&
			(setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(1);
		test(NULL); /* a failed assertion ends this child with another status */
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The private directory anew, and nobody's. */
static inline void directory_of_nobody(void **state)
{
	assert_int_equal(teardown(state), 0);
	assert_int_equal(setup(state), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(dir, 65534, 65534), 0);
}

#endif
