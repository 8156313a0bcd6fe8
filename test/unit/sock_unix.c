/* Unix sockets: alive -> record -> message -> record -> alive, then compared and used. */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "images/fd/listens.h"

/* ---- a private directory --------------------------------------------------------------------- */

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/snapctl-sock-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
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
static struct name named(const char *text)
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

static struct name own_name(int fd)
{
	struct name n = { .len = sizeof n.un };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&n.un, &n.len), 0);
	return n;
}

static struct name peer_name(int fd)
{
	struct name n = { .len = sizeof n.un };

	assert_int_equal(getpeername(fd, (struct sockaddr *)&n.un, &n.len), 0);
	return n;
}

static void assert_name(struct name is, struct name be)
{
	assert_int_equal(is.len, be.len);
	assert_memory_equal(&is.un, &be.un, be.len);
}

static const struct name no_name = { .un.sun_family = AF_UNIX, .len = sizeof(sa_family_t) };

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static int bound(int type, const char *text)
{
	struct name n = named(text);
	int fd = new_socket(type);

	if (bind(fd, (struct sockaddr *)&n.un, n.len) < 0)
		fail_msg("bind %s: %s", text, strerror(errno));
	return fd;
}

static int listening(int type, const char *text, int backlog)
{
	int fd = bound(type, text);

	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int try_connect(int fd, const char *text)
{
	struct name n = named(text);

	return connect(fd, (struct sockaddr *)&n.un, n.len);
}

static int connected(int type, const char *text)
{
	int fd = new_socket(type);

	if (try_connect(fd, text) < 0)
		fail_msg("connect %s: %s", text, strerror(errno));
	return fd;
}

static int accepted(int fd)
{
	int end = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	assert_true(end >= 0);
	return end;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_DONTWAIT), strlen(text));
}

static void assert_get(int fd, const char *text)
{
	char buf[256] = "";

	assert_int_equal(recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(buf, text);
}

static void says(int from, int to, const char *text)
{
	put(from, text);
	assert_get(to, text);
}

static void assert_empty(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_serves(int listener, const char *text)
{
	int client = connected(SOCK_STREAM, text), end = accepted(listener);

	put(client, "hello");
	assert_get(end, "hello");
	close(client);
	close(end);
}

static int get_int(int fd, int name)
{
	int value = -12345;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &len), 0);
	return value;
}

static void set_int(int fd, int name, int value)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value), 0);
}

/* Save all of them, make them again in their slots. */
static struct fake *trip(const int *fds, size_t nr)
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
static void refuse(int fd, const char *words)
{
	struct fake *f = fake_create();
	int ret = fake_try_save(f, fd);

	if (ret >= 0)
		ret = fake_try_save_links(f);
	fake_expect_words(f, ret, ENOTSUP, words);
	fake_destroy(f);
}

/* ---- alone ----------------------------------------------------------------------------------- */

static void test_fresh(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = new_socket(types[i] | SOCK_NONBLOCK);
		struct fake *f = TRIP(fd);

		assert_int_equal(get_int(fd, SO_TYPE), types[i]);
		assert_name(own_name(fd), no_name);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		fake_destroy(f);
	}
}

static void listener_comes_back(int type, const char *text)
{
	int fd = listening(type, text, 37), client, end;
	struct fake *f = TRIP(fd);

	assert_name(own_name(fd), named(text));
	assert_int_equal(get_int(fd, SO_ACCEPTCONN), 1);
	assert_non_null(strstr(fd_unix.describe(f->snap, &f->snap->ofds[0], f->snap->arena),
		"listens, backlog 37"));
	client = connected(type, text);
	end = accepted(fd);
	put(client, "x");
	assert_get(end, "x");
	close(client);
	close(end);
	fake_destroy(f);
}

static void test_listen(void **state)
{
	(void)state;
	listener_comes_back(SOCK_STREAM, "l1");
	listener_comes_back(SOCK_SEQPACKET, "l2");
	listener_comes_back(SOCK_STREAM, "@l3");
}

static void test_backlog_is_the_same(void **state)
{
	int fd = listening(SOCK_STREAM, "b", 1), clients[2], third;
	struct fake *f = TRIP(fd);

	(void)state;
	for (int i = 0; i < 2; i++)
		clients[i] = connected(SOCK_STREAM, "b");
	third = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
	assert_int_equal(try_connect(third, "b"), -1);
	assert_int_equal(errno, EAGAIN);
	close(clients[0]);
	close(clients[1]);
	close(third);
	fake_destroy(f);
}

static void test_autobind(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = new_socket(SOCK_DGRAM);
	struct name before;
	struct fake *f;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)), 0);
	before = own_name(fd);
	assert_int_equal(before.len, sizeof(sa_family_t) + 6);
	f = TRIP(fd);
	assert_name(own_name(fd), before);
	fake_destroy(f);
}

static void test_options(void **state)
{
	int fd = bound(SOCK_DGRAM, "o"), snd;
	struct timeval tv = { 2, 0 }, now;
	socklen_t len = sizeof now;
	struct fake *f;

	(void)state;
	set_int(fd, SO_PASSCRED, 1);
	set_int(fd, SO_SNDBUF, 40000);
	set_int(fd, SO_PEEK_OFF, 4);
	set_int(fd, SO_TIMESTAMP, 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
	snd = get_int(fd, SO_SNDBUF);
	f = TRIP(fd);
	assert_int_equal(get_int(fd, SO_PASSCRED), 1);
	assert_int_equal(get_int(fd, SO_SNDBUF), snd);
	assert_int_equal(get_int(fd, SO_PEEK_OFF), 4);
	assert_int_equal(get_int(fd, SO_TIMESTAMP), 1);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, &len), 0);
	assert_memory_equal(&now, &tv, sizeof tv);
	fake_destroy(f);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_mode_and_owner(void **state)
{
	int fd = listening(SOCK_STREAM, "m", 5);
	struct name n = named("m");
	struct stat before, after;
	struct fake *f;
	mode_t mask;

	(void)state;
	assert_int_equal(chmod(n.un.sun_path, 0620), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(n.un.sun_path, 12345, 54321), 0);
	assert_int_equal(stat(n.un.sun_path, &before), 0);
	mask = umask(027);
	f = TRIP(fd);
	assert_int_equal(umask(mask), 027);
	assert_int_equal(stat(n.un.sun_path, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_gid, before.st_gid);
	fake_destroy(f);
}

/* As haproxy does. */
static void test_renamed(void **state)
{
	int fd = listening(SOCK_STREAM, "r.4242.tmp", 5);
	struct fake *f;

	(void)state;
	assert_int_equal(rename(named("r.4242.tmp").un.sun_path, named("r").un.sun_path), 0);
	f = TRIP(fd);
	assert_name(own_name(fd), named("r.4242.tmp"));
	assert_serves(fd, "r");
	assert_int_equal(access(named("r.4242.tmp").un.sun_path, F_OK), -1);
	assert_string_equal(sock_listens(f->snap), named("r").un.sun_path);
	fake_destroy(f);
	assert_int_equal(unlink(named("r").un.sun_path), 0);
}

static void test_unlinked(void **state)
{
	int fd = listening(SOCK_STREAM, "u", 5);
	struct fake *f;

	(void)state;
	assert_int_equal(unlink(named("u").un.sun_path), 0);
	f = TRIP(fd);
	assert_name(own_name(fd), named("u"));
	assert_int_equal(get_int(fd, SO_ACCEPTCONN), 1);
	assert_int_equal(access(named("u").un.sun_path, F_OK), -1);
	assert_null(sock_listens(f->snap));
	fake_destroy(f);
}

/* An old listener whose path a new one has taken over; the old one was made first or last. */
static void test_replaced(void **state)
{
	(void)state;
	for (int old_first = 0; old_first < 2; old_first++) {
		int old = listening(SOCK_STREAM, "p", 5), new;
		struct fake *f;

		assert_int_equal(unlink(named("p").un.sun_path), 0);
		new = listening(SOCK_STREAM, "p", 6);
		f = old_first ? TRIP(old, new) : TRIP(new, old);
		assert_name(own_name(old), named("p"));
		assert_serves(new, "p");
		fake_destroy(f);
		assert_int_equal(unlink(named("p").un.sun_path), 0);
	}
}

/* The same with connections to both of them: their names come out right. */
static void test_replaced_with_connections(void **state)
{
	int old = listening(SOCK_STREAM, "pc", 5), old_client = connected(SOCK_STREAM, "pc");
	int old_end = accepted(old), new, client, end;
	struct fake *f;

	(void)state;
	assert_int_equal(unlink(named("pc").un.sun_path), 0);
	new = listening(SOCK_STREAM, "pc", 6);
	client = connected(SOCK_STREAM, "pc");
	end = accepted(new);
	put(old_client, "to old");
	put(client, "to new");
	f = TRIP(old, old_client, old_end, new, client, end);
	assert_get(old_end, "to old");
	assert_get(end, "to new");
	assert_name(own_name(old_end), named("pc"));
	assert_name(peer_name(old_client), named("pc"));
	assert_serves(new, "pc");
	fake_destroy(f);
}

static void test_relative(void **state)
{
	char *was = getcwd(NULL, 0), *now;
	struct fake *f;
	int fd;

	(void)state;
	assert_int_equal(chdir(dir), 0);
	fd = listening(SOCK_STREAM, "./rel", 5);
	f = fake_create();
	fake_save(f, fd, &fd_unix);
	fake_carry(f);
	assert_int_equal(chdir("/"), 0);
	fake_make(f);
	now = getcwd(NULL, 0);
	assert_string_equal(now, "/");
	assert_name(own_name(fd), named("./rel"));
	assert_serves(fd, "rel");
	assert_int_equal(chdir(was), 0);
	free(was);
	free(now);
	fake_destroy(f);
}

/* Saved, and the original is gone. The caller puts something in the way. */
static struct fake *saved(int fd)
{
	struct fake *f = fake_create();

	fake_save(f, fd, &fd_unix);
	fake_carry(f);
	fd_close(&f->dups[0]);
	close(fd);
	f->slots[0] = -1;
	return f;
}

static void test_somebody_listens(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	struct fake *f = saved(listening(SOCK_STREAM, "s", 5));
	struct stat before, after;

	(void)state;
	for (int i = 0; i < 3; i++) {
		int other;

		assert_int_equal(unlink(named("s").un.sun_path), 0);
		other = bound(types[i], "s");
		assert_int_equal(stat(named("s").un.sun_path, &before), 0);
		fake_expect_words(f, fake_try_make(f), EADDRINUSE, "is in use");
		assert_int_equal(stat(named("s").un.sun_path, &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		close(other);
	}
	fake_destroy(f);
}

/* Neither files nor symlinks are removed, nor what they lead to. */
static void test_not_a_socket(void **state)
{
	struct fake *f = saved(listening(SOCK_STREAM, "n", 5));
	char path[128], to[128];
	struct stat st;
	int file;

	(void)state;
	strcpy(path, named("n").un.sun_path);
	strcpy(to, named("stale").un.sun_path);
	assert_int_equal(unlink(path), 0);
	file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	fake_expect_words(f, fake_try_make(f), EEXIST, "something else is now");
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	close(file);
	assert_int_equal(unlink(path), 0);
	close(bound(SOCK_STREAM, "stale"));
	assert_int_equal(symlink(to, path), 0);
	fake_expect_words(f, fake_try_make(f), EEXIST, "something else is now");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(to, &st), 0);
	fake_destroy(f);
}

static void test_directory_is_gone(void **state)
{
	struct name n = named("d");
	struct fake *f;
	int fd;

	(void)state;
	assert_int_equal(mkdir(n.un.sun_path, 0700), 0);
	fd = listening(SOCK_STREAM, "d/x", 5);
	f = saved(fd);
	assert_int_equal(unlink(named("d/x").un.sun_path), 0);
	assert_int_equal(rmdir(n.un.sun_path), 0);
	fake_expect_words(f, fake_try_make(f), ENOENT, "directory does not exist");
	assert_non_null(strstr(f->err.hint, "mkdir -p"));
	fake_destroy(f);
}

static void test_abstract_in_use(void **state)
{
	struct fake *f = saved(listening(SOCK_STREAM, "@a", 5));
	int other = bound(SOCK_DGRAM, "@a"), ret;

	(void)state;
	close(other);
	other = bound(SOCK_STREAM, "@a");
	ret = fake_try_make(f);
	fake_expect_words(f, ret, EADDRINUSE, "unix socket @snapctl-test-");
	close(other);
	fake_destroy(f);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void test_pair(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct fake *f;
		int fd[2];

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fd), 0);
		put(fd[0], "abc");
		put(fd[0], "defg");
		put(fd[1], "back");
		f = TRIP(fd[0], fd[1]);
		assert_int_equal(get_int(fd[1], SO_TYPE), types[i]);
		if (types[i] == SOCK_STREAM) {
			assert_get(fd[1], "abcdefg");
		} else {
			assert_get(fd[1], "abc");
			assert_get(fd[1], "defg");
		}
		assert_get(fd[0], "back");
		assert_empty(fd[0]);
		put(fd[1], "on");
		assert_get(fd[0], "on");
		assert_name(own_name(fd[0]), no_name);
		assert_name(peer_name(fd[0]), no_name);
		fake_destroy(f);
	}
}

/* Looking takes nothing away, and the socket looks as before. */
static void test_saving_changes_nothing(void **state)
{
	struct fake *f = fake_create();
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "one");
	put(fd[0], "two");
	set_int(fd[1], SO_PEEK_OFF, 2);
	fake_save(f, fd[0], &fd_unix);
	fake_save(f, fd[1], &fd_unix);
	assert_int_equal(fake_try_save_links(f), 0);
	assert_int_equal(get_int(fd[1], SO_PEEK_OFF), 2);
	assert_get(fd[1], "one");
	assert_get(fd[1], "two");
	assert_empty(fd[1]);
	fake_destroy(f);
}

static void test_empty_messages(void **state)
{
	struct fake *f;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "a");
	put(fd[0], "");
	put(fd[0], "");
	put(fd[0], "b");
	f = TRIP(fd[0], fd[1]);
	assert_get(fd[1], "a");
	assert_get(fd[1], "");
	assert_get(fd[1], "");
	assert_get(fd[1], "b");
	assert_empty(fd[1]);
	fake_destroy(f);
}

/* As full as it gets, with the default buffers. */
static void test_full_queue(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t total = 0, got = 0;
		char chunk[1000];
		struct fake *f;
		ssize_t n;
		int fd[2];

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fd), 0);
		for (size_t b = 0; b < sizeof chunk; b++)
			chunk[b] = (char)b;
		while ((n = send(fd[0], chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
			total += (size_t)n;
		assert_true(total > 50000);
		f = TRIP(fd[0], fd[1]);
		while ((n = recv(fd[1], chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
			for (ssize_t b = 0; b < n; b++)
				assert_int_equal(chunk[b], (char)((got + (size_t)b) % 1000));
			got += (size_t)n;
		}
		assert_int_equal(got, total);
		fake_destroy(f);
	}
}

static void test_half_closed(void **state)
{
	struct fake *f;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "last");
	assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
	f = TRIP(fd[0], fd[1]);
	assert_get(fd[1], "last");
	assert_get(fd[1], "");
	assert_int_equal(send(fd[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	put(fd[1], "still");
	assert_get(fd[0], "still");
	fake_destroy(f);
}

/* Client, listener, accepted end, in every order; names of both ends are right. */
static void through_listener(
	int type, const char *listener_name, const char *client_name, int order)
{
	int fd[3], slots[3];
	struct fake *f;

	fd[0] = listening(type, listener_name, 5);
	fd[1] = client_name ? bound(type, client_name) : new_socket(type);
	assert_int_equal(try_connect(fd[1], listener_name), 0);
	fd[2] = accepted(fd[0]);
	put(fd[1], "to server");
	put(fd[2], "to client");
	for (int i = 0; i < 3; i++)
		slots[i] = fd[(i + order) % 3];
	f = trip(slots, 3);
	assert_name(own_name(fd[2]), named(listener_name));
	assert_name(peer_name(fd[1]), named(listener_name));
	assert_name(peer_name(fd[2]), client_name ? named(client_name) : no_name);
	assert_name(own_name(fd[1]), client_name ? named(client_name) : no_name);
	assert_get(fd[2], "to server");
	assert_get(fd[1], "to client");
	assert_int_equal(get_int(fd[0], SO_ACCEPTCONN), 1);
	fake_destroy(f);
	unlink(named(listener_name).un.sun_path);
	if (client_name)
		unlink(named(client_name).un.sun_path);
}

static void test_through_listener(void **state)
{
	(void)state;
	for (int order = 0; order < 3; order++) {
		through_listener(SOCK_STREAM, "t", NULL, order);
		through_listener(SOCK_STREAM, "@t", NULL, order);
		through_listener(SOCK_SEQPACKET, "t", "client", order);
		through_listener(SOCK_STREAM, "@t", "@client", order);
	}
}

/* The listener is not there any more, its file is or is not. */
static void listener_gone(const char *name, bool unlinked)
{
	int listener = listening(SOCK_STREAM, name, 5), client = connected(SOCK_STREAM, name);
	int end = accepted(listener);
	struct fake *f;

	close(listener);
	if (unlinked)
		assert_int_equal(unlink(named(name).un.sun_path), 0);
	put(client, "x");
	f = TRIP(client, end);
	assert_name(own_name(end), named(name));
	assert_name(peer_name(client), named(name));
	assert_name(own_name(client), no_name);
	assert_get(end, "x");
	if (name[0] != '@')
		assert_int_equal(access(named(name).un.sun_path, F_OK), unlinked ? -1 : 0);
	fake_destroy(f);
	unlink(named(name).un.sun_path);
}

static void test_listener_gone(void **state)
{
	(void)state;
	listener_gone("g", false);
	listener_gone("g", true);
	listener_gone("@g", false);
}

/* SO_PASSCRED of a listener is inherited by connections, but not by those that never had it. */
static void test_passcred_of_the_listener(void **state)
{
	int listener = listening(SOCK_STREAM, "c", 5), client = connected(SOCK_STREAM, "c");
	int end = accepted(listener);
	struct fake *f;

	(void)state;
	set_int(listener, SO_PASSCRED, 1);
	f = TRIP(listener, client, end);
	assert_int_equal(get_int(listener, SO_PASSCRED), 1);
	assert_int_equal(get_int(client, SO_PASSCRED), 0);
	assert_int_equal(get_int(end, SO_PASSCRED), 0);
	assert_name(own_name(client), no_name);
	fake_destroy(f);
}

/* ---- the other end is closed ----------------------------------------------------------------- */

static void test_orphan(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	struct fake *f;
	int fd[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fd), 0);
		put(fd[0], "testament");
		close(fd[0]);
		f = TRIP(fd[1]);
		assert_get(fd[1], "testament");
		assert_get(fd[1], "");
		assert_int_equal(send(fd[1], "x", 1, MSG_NOSIGNAL), -1);
		assert_int_equal(errno, EPIPE);
		fake_destroy(f);
	}
}

static void test_orphan_with_reset(void **state)
{
	struct fake *f = fake_create();
	struct pollfd p = { .events = POLLIN };
	char byte;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "bye");
	put(fd[1], "never read");
	close(fd[0]);
	fake_save(f, fd[1], &fd_unix);
	/* Looking did not fetch the error. */
	p.fd = fd[1];
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_true(p.revents & POLLERR);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_true(p.revents & POLLERR);
	assert_get(fd[1], "bye");
	assert_int_equal(recv(fd[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(fd[1], &byte, 1, MSG_DONTWAIT), 0);
	fake_destroy(f);
}

/* A server's connection whose client is gone, with and without its listener; and the other way
 * round. */
static void test_orphan_of_listener(void **state)
{
	int listener = listening(SOCK_STREAM, "ol", 5), client = connected(SOCK_STREAM, "ol");
	int end = accepted(listener), client2 = connected(SOCK_STREAM, "ol");
	int end2 = accepted(listener);
	struct fake *f;

	(void)state;
	put(client, "request");
	close(client);
	put(end2, "answer");
	close(end2);
	f = TRIP(client2, end, listener);
	assert_name(own_name(end), named("ol"));
	assert_get(end, "request");
	assert_get(end, "");
	assert_name(peer_name(client2), named("ol"));
	assert_get(client2, "answer");
	assert_get(client2, "");
	assert_serves(listener, "ol");
	fake_destroy(f);
}

static void test_orphan_without_listener(void **state)
{
	int listener = listening(SOCK_STREAM, "@ow", 5), client = connected(SOCK_STREAM, "@ow");
	int end = accepted(listener);
	struct fake *f;

	(void)state;
	close(listener);
	put(client, "request");
	close(client);
	f = TRIP(end);
	assert_name(own_name(end), named("@ow"));
	assert_get(end, "request");
	assert_get(end, "");
	fake_destroy(f);
}

static void test_orphan_datagram_pair(void **state)
{
	struct fake *f;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "d");
	close(fd[0]);
	f = TRIP(fd[1]);
	assert_get(fd[1], "d");
	assert_int_equal(send(fd[1], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fake_destroy(f);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

/* syslog(3): connected to a socket of somebody else. */
static void test_datagrams_to_outside(void **state)
{
	int daemon = bound(SOCK_DGRAM, "log"), fd = connected(SOCK_DGRAM, "log");
	struct fake *f;

	(void)state;
	f = TRIP(fd);
	assert_name(peer_name(fd), named("log"));
	put(fd, "message");
	assert_get(daemon, "message");
	close(daemon);
	fake_destroy(f);
}

static void test_nobody_outside(void **state)
{
	int daemon = bound(SOCK_DGRAM, "log2"), fd = connected(SOCK_DGRAM, "log2");
	struct fake *f;

	(void)state;
	close(daemon);
	f = TRIP(fd);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fake_destroy(f);
}

static void test_datagram_senders(void **state)
{
	int fd = bound(SOCK_DGRAM, "inbox"), a = connected(SOCK_DGRAM, "inbox");
	int b = bound(SOCK_DGRAM, "@sender");
	struct name from = { .len = sizeof from.un };
	char buf[16] = "";
	struct fake *f;

	(void)state;
	put(a, "from a");
	assert_int_equal(try_connect(b, "inbox"), 0);
	put(b, "from b");
	f = TRIP(b, fd, a);
	assert_get(fd, "from a");
	assert_int_equal(
		recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from.un, &from.len), 6);
	assert_string_equal(buf, "from b");
	assert_name(from, named("@sender"));
	assert_name(peer_name(b), named("inbox"));
	put(a, "again");
	assert_get(fd, "again");
	fake_destroy(f);
}

/* Connected to itself, and two connected to each other by name. */
static void test_datagram_loops(void **state)
{
	int self = bound(SOCK_DGRAM, "self"), a = bound(SOCK_DGRAM, "@x"),
	    b = bound(SOCK_DGRAM, "@y");
	struct fake *f;

	(void)state;
	assert_int_equal(try_connect(self, "self"), 0);
	assert_int_equal(try_connect(a, "@y"), 0);
	assert_int_equal(try_connect(b, "@x"), 0);
	put(a, "to b");
	f = TRIP(self, a, b);
	put(self, "me");
	assert_get(self, "me");
	assert_get(b, "to b");
	put(b, "to a");
	assert_get(a, "to a");
	assert_name(own_name(a), named("@x"));
	assert_name(peer_name(b), named("@x"));
	fake_destroy(f);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_refused_peer(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	refuse(fd[0], "its other end is not part of the dump");
	close(fd[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
	refuse(fd[0], "its other end is not part of the dump");
	close(fd[1]);
}

static void test_refused_waiting(void **state)
{
	int listener = listening(SOCK_STREAM, "w", 5), client = connected(SOCK_STREAM, "w");

	(void)state;
	refuse(client, "who listens there is not part of the dump");
	client = connected(SOCK_STREAM, "w");
	refuse(listener, "connections to");
	listener = listening(SOCK_STREAM, "w2", 5);
	put(client = connected(SOCK_STREAM, "w2"), "early");
	refuse(client, "something was sent over it already");
	close(listener);
}

/* Three wait, one of them half closed, the last one named. */
static void test_waiting(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

	(void)state;
	for (int i = 0; i < 2; i++) {
		int listener = listening(types[i], i ? "@wait" : "wait", 2), client[3], server[3];
		const char *name = i ? "@wait" : "wait";
		struct fake *f = fake_create();

		client[0] = connected(types[i], name);
		client[1] = connected(types[i], name);
		client[2] = bound(types[i], i ? "@me" : "me");
		assert_int_equal(try_connect(client[2], name), 0);
		assert_int_equal(shutdown(client[1], SHUT_RDWR), 0);
		for (int c = 2; c >= 0; c--)
			fake_save(f, client[c], &fd_unix);
		fake_save(f, listener, &fd_unix);
		fake_carry(f);
		fake_make(f);
		for (int c = 0; c < 3; c++)
			server[c] = accepted(listener);
		says(client[0], server[0], "first");
		assert_int_equal(read(server[1], (char[1]){ 0 }, 1), 0);
		assert_name(peer_name(server[2]), named(i ? "@me" : "me"));
		says(server[2], client[2], "third");
		for (int c = 0; c < 3; c++)
			close(server[c]);
		fake_destroy(f);
	}
}

static void send_fd(int to, int what)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof what)] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof what);
	memcpy(CMSG_DATA(c), &what, sizeof what);
	assert_int_equal(sendmsg(to, &msg, 0), 1);
}

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t nr = 0;

	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

/* A byte from `from`, and the descriptor that came with it; -1: none did. */
static int receive_fd(int from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (char[1]){ 0 }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	int fd = -1;

	assert_int_equal(recvmsg(from, &msg, MSG_CMSG_CLOEXEC), 1);
	if (CMSG_FIRSTHDR(&msg) && CMSG_FIRSTHDR(&msg)->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	return fd;
}

/* One that nobody has any more, one that is in a slot too, and the socket itself. */
static void test_rights(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	size_t before = open_descriptors();

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd[2], pipes[2], got;
		struct fake *f = fake_create();

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fd), 0);
		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		send_fd(fd[0], pipes[1]);
		put(fd[0], "y");
		send_fd(fd[0], fd[1]);
		close(pipes[1]);
		fake_save(f, fd[1], &fd_unix);
		fake_save(f, pipes[0], &fd_pipe);
		fake_save(f, fd[0], &fd_unix);
		fake_carry(f);
		fake_make(f);
		got = receive_fd(fd[1]);
		assert_int_equal(write(got, "through", 7), 7);
		assert_int_equal(read(pipes[0], (char[8]){ 0 }, 8), 7);
		close(got);
		assert_int_equal(receive_fd(fd[1]), -1);
		got = receive_fd(fd[1]);
		says(fd[0], got, "to itself");
		close(got);
		fake_destroy(f);
	}
	assert_int_equal(open_descriptors(), before);
}

/* In a stream, bytes before and after a descriptor stay apart from it. */
static void test_rights_in_a_stream(void **state)
{
	struct fake *f = fake_create();
	char data[16];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "before");
	send_fd(fd[0], fd[0]);
	send_fd(fd[0], fd[1]);
	put(fd[0], "after");
	fake_save(f, fd[0], &fd_unix);
	fake_save(f, fd[1], &fd_unix);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(read(fd[1], data, 6), 6);
	assert_memory_equal(data, "before", 6);
	for (int i = 0; i < 2; i++) {
		int got = receive_fd(fd[1]);

		assert_true(got >= 0);
		close(got);
	}
	assert_int_equal(read(fd[1], data, sizeof data), 5);
	assert_memory_equal(data, "after", 5);
	fake_destroy(f);
}

static void expect_creds(int fd, size_t len, struct ucred be)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof be)] = { 0 };
	struct iovec iov = { (char[64]){ 0 }, 64 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct ucred is;

	assert_int_equal(recvmsg(fd, &msg, 0), len);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&is, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof is);
	assert_int_equal(is.pid, be.pid);
	assert_int_equal(is.uid, be.uid);
	assert_int_equal(is.gid, be.gid);
}

/* From us, and from a process that is gone and had another user. Needs root for the second. */
static void test_credentials(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ucred ours = { getpid(), geteuid(), getegid() }, theirs = { 0, 1234, 4321 };
		struct fake *f = fake_create();
		int fd[2], status;

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fd), 0);
		set_int(fd[1], SO_PASSCRED, 1);
		put(fd[0], "mine");
		theirs.pid = geteuid() ? 0 : fork();
		if (theirs.pid == 0 && geteuid() == 0) {
			if (setresgid(4321, 4321, 4321) || setresuid(1234, 1234, 1234))
				_exit(1);
			_exit(write(fd[0], "theirs", 6) != 6);
		}
		if (theirs.pid) {
			assert_int_equal(waitpid(theirs.pid, &status, 0), theirs.pid);
			assert_int_equal(status, 0);
		}
		put(fd[0], "again");
		fake_save(f, fd[0], &fd_unix);
		fake_save(f, fd[1], &fd_unix);
		fake_carry(f);
		fake_make(f);
		assert_int_equal(get_int(fd[1], SO_PASSCRED), 1);
		expect_creds(fd[1], theirs.pid || types[i] != SOCK_STREAM ? 4 : 9, ours);
		if (theirs.pid)
			expect_creds(fd[1], 6, theirs);
		if (theirs.pid || types[i] != SOCK_STREAM)
			expect_creds(fd[1], 5, ours);
		fake_destroy(f);
	}
}

static struct ucred peercred(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	return cred;
}

/* A process that is gone, of another user, has connected, listened, or made the pair. */
static void test_peercred(void **state)
{
	int listener = listening(SOCK_STREAM, "@cred", 5), client = new_socket(SOCK_STREAM), status,
	    server;
	struct name name = named("@cred");
	pid_t child;
	struct fake *f;

	(void)state;
	if (geteuid() != 0) {
		print_message("other users need root\n");
		skip();
	}
	child = fork();
	if (child == 0) {
		if (setresgid(4321, 4321, 4321) || setresuid(1234, 1234, 1234) ||
			listen(listener, 4))
			_exit(1);
		_exit(connect(client, (struct sockaddr *)&name.un, name.len) != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	server = accepted(listener);
	f = TRIP(listener, client, server);
	for (int i = 0; i < 3; i++) {
		struct ucred cred = peercred(i == 0 ? listener : i == 1 ? client : server);

		assert_int_equal(cred.pid, child);
		assert_int_equal(cred.uid, 1234);
		assert_int_equal(cred.gid, 4321);
	}
	assert_int_equal(geteuid(), 0);
	says(client, server, "hello");
	fake_destroy(f);
}

static void test_refused_others(void **state)
{
	int fd[2], stranger;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(send(fd[0], "!", 1, MSG_OOB), 1);
	refuse(fd[1], "urgent byte");
	close(fd[0]);
	fd[0] = bound(SOCK_DGRAM, "box");
	stranger = bound(SOCK_DGRAM, "@stranger");
	assert_int_equal(try_connect(stranger, "box"), 0);
	put(stranger, "x");
	refuse(fd[0], "whose sender is not part of the dump");
	close(stranger);
}

/* ---- without privilege ----------------------------------------------------------------------- */

/* Files are found by inode where the kernel does not open them for us (SIOCUNIXFILE needs
 * CAP_NET_ADMIN). */
static void as_nobody(void (*test)(void **))
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

static void test_as_nobody(void **state)
{
	assert_int_equal(teardown(state), 0);
	assert_int_equal(setup(state), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(dir, 65534, 65534), 0);
	as_nobody(test_listen);
	as_nobody(test_renamed);
	as_nobody(test_unlinked);
	as_nobody(test_relative);
	as_nobody(test_through_listener);
	as_nobody(test_full_queue);
}

/* ---- words, damaged images ------------------------------------------------------------------- */

static void test_words(void **state)
{
	int listener = listening(SOCK_STREAM, "@words", 5), fd[2];
	struct fake *f = fake_create();
	char words[128];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "hello");
	fake_save(f, fd[0], &fd_unix);
	fake_save(f, fd[1], &fd_unix);
	fake_save(f, listener, &fd_unix);
	fake_carry(f);
	assert_string_equal(fd_unix.describe(f->snap, &f->snap->ofds[1], f->snap->arena),
		"stream, connected to ofd 0, 5 bytes queued");
	snprintf(words, sizeof words, "@snapctl-test-%d-words", getpid());
	assert_string_equal(sock_listens(f->snap), words);
	fake_destroy(f);
}

static void test_malformed(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;
	int fd[2];

	(void)state;
	fake_save(f, listening(SOCK_STREAM, "bad", 5), &fd_unix);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	put(fd[0], "x");
	fake_save(f, fd[0], &fd_unix);
	fake_save(f, fd[1], &fd_unix);
	assert_int_equal(fake_try_save_links(f), 0);
#define BREAK(id, words, ...)                                                                      \
	do {                                                                                       \
		msg = fake_message(f, id);                                                         \
		__VA_ARGS__;                                                                       \
		fake_expect_bad(f, &fd_unix, msg, words);                                          \
	} while (0)
	BREAK(0, "type 9", msg->unix->type = 9);
	BREAK(0, "state 9", msg->unix->state = 9);
	BREAK(0, "type 1 in state 4", msg->unix->state = 4);
	BREAK(0, "state", msg->unix->shutdown = 4);
	BREAK(0, "state", msg->unix->backlog = UINT32_MAX);
	BREAK(0, "contains NUL", msg->unix->name.data[3] = 0);
	BREAK(0, "name of 0 bytes", msg->unix->name.len = 0);
	BREAK(0, "contradict", msg->unix->name.data[0] = 0);
	BREAK(0, "in place 7", msg->unix->file->place = 7);
	BREAK(0, "path or directory", msg->unix->file->place = 2);
	BREAK(0, "path or directory", msg->unix->name.data[0] = 'x');
	BREAK(0, "contradict", msg->unix->has_peer = true);
	BREAK(1, "does not exist", msg->unix->peer = 3);
	BREAK(1, "with itself", msg->unix->peer = 0);
	BREAK(2, "sender", msg->unix->queue[0]->has_from = true);
	BREAK(0, "is missing", pb__unix_sock__free_unpacked(msg->unix, NULL); msg->unix = NULL);
#undef BREAK
	fake_destroy(f);
}

/* Peers that contradict each other are only seen when all are read. */
static void test_peers_contradict(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;
	int fd[4];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd + 2 * i), 0);
	for (int i = 0; i < 4; i++)
		fake_save(f, fd[i], &fd_unix);
	fake_carry(f);
	msg = fake_message(f, 0);
	msg->unix->peer = 2;
	assert_int_equal(fd_unix.unpack(f->snap, msg, &f->snap->ofds[0], &f->err), 0);
	pb__ofd__free_unpacked(msg, NULL);
	fake_expect_words(f, fake_try_make(f), EBADMSG, "does not fit");
	for (int i = 0; i < 4; i++)
		f->slots[i] = -1; /* closed by the attempt */
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_backlog_is_the_same),
		cmocka_unit_test(test_autobind),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_mode_and_owner),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_replaced_with_connections),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_somebody_listens),
		cmocka_unit_test(test_not_a_socket),
		cmocka_unit_test(test_directory_is_gone),
		cmocka_unit_test(test_abstract_in_use),
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_saving_changes_nothing),
		cmocka_unit_test(test_empty_messages),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_through_listener),
		cmocka_unit_test(test_listener_gone),
		cmocka_unit_test(test_passcred_of_the_listener),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_orphan_with_reset),
		cmocka_unit_test(test_orphan_of_listener),
		cmocka_unit_test(test_orphan_without_listener),
		cmocka_unit_test(test_orphan_datagram_pair),
		cmocka_unit_test(test_datagrams_to_outside),
		cmocka_unit_test(test_nobody_outside),
		cmocka_unit_test(test_datagram_senders),
		cmocka_unit_test(test_datagram_loops),
		cmocka_unit_test(test_refused_peer),
		cmocka_unit_test(test_refused_waiting),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_rights_in_a_stream),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_peercred),
		cmocka_unit_test(test_refused_others),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_peers_contradict),
		cmocka_unit_test(test_as_nobody),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
