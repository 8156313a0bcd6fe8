/* Unix sockets by themselves: alive -> record -> message -> record -> alive, compared and used. */
#include "test/unit/sock_unix.h"

#include "images/fd/listens.h"
#include "images/fd/unix.h"

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

static void test_as_nobody(void **state)
{
	directory_of_nobody(state);
	as_nobody(test_listen);
	as_nobody(test_renamed);
	as_nobody(test_unlinked);
	as_nobody(test_relative);
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
	BREAK(0, "unix socket", msg->unix->file->n_links = 1;
		msg->unix->file->links = calloc(1, sizeof *msg->unix->file->links));
	BREAK(0, "other names", msg->unix->file->n_links = 1;
		msg->unix->file->links = calloc(1, sizeof *msg->unix->file->links);
		msg->unix->file->place = UNIX_UNLINKED);
	BREAK(1, "does not exist", msg->unix->peer = 3);
	BREAK(1, "with itself", msg->unix->peer = 0);
	BREAK(2, "sender", msg->unix->queue[0]->has_from = true);
	BREAK(2, "urgent", msg->unix->queue[0]->urgent = 3);
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
		cmocka_unit_test(test_as_nobody),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_peers_contradict),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
