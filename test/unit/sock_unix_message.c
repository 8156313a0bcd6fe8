/* Messages in unix sockets: datagrams, and what comes along with them (SCM_RIGHTS, credentials). */
#include "test/unit/sock_unix.h"

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

/* ---- what comes along -------------------------------------------------------------------------
 */

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

static void test_refused_others(void **state)
{
	int fd[2], stranger;

	(void)state;
	/* Reading stops behind the descriptor, so that the mark does not show. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	send_fd(fd[0], fd[0]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams_to_outside),
		cmocka_unit_test(test_nobody_outside),
		cmocka_unit_test(test_datagram_senders),
		cmocka_unit_test(test_datagram_loops),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_rights_in_a_stream),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_refused_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
