/* Connections of unix sockets, also those whose other end is closed or not accepted yet. */
#include "test/unit/sock_unix.h"

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

/* ---- not accepted, or outside -----------------------------------------------------------------
 */

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
	struct fake *f = fake_create();

	(void)state;
	refuse(client, "who listens there is not part of the dump");
	client = connected(SOCK_STREAM, "w");
	refuse_as(listener, EAGAIN, "connections to"); /* they may be accepted yet */
	listener = listening(SOCK_STREAM, "w2", 5);
	put(client = connected(SOCK_STREAM, "w2"), "early");
	f->opts.leave_running = true;
	fake_save(f, client, &fd_unix);
	fake_save(f, listener, &fd_unix);
	fake_expect_words(f, fake_try_save_links(f), EAGAIN, "something was sent over it already");
	fake_destroy(f);
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

/* ---- whose they are -------------------------------------------------------------------------- */

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

static void test_as_nobody(void **state)
{
	directory_of_nobody(state);
	as_nobody(test_through_listener);
	as_nobody(test_full_queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(test_refused_peer),
		cmocka_unit_test(test_refused_waiting),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_peercred),
		cmocka_unit_test(test_as_nobody),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
