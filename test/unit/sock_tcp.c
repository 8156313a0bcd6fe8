/* TCP connections that are carried over, in the states that only lost packets lead to. */
#include <errno.h>

#include "test/unit/fd_fake.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "images/fd/inet.h"
#include "images/fd/tcp.h"

enum { SECONDS_10 = 10000 };

struct ends {
	int a, b, listener; /* b was accepted */
};

static struct ends connection(void)
{
	struct ends e = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1,
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;

	assert_int_equal(bind(e.listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(e.listener, 4), 0);
	assert_int_equal(getsockname(e.listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(e.a, (struct sockaddr *)&sa, sizeof sa), 0);
	e.b = accept4(e.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(e.b >= 0);
	return e;
}

static enum tcp_state state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state;
}

static void wait_state(int fd, enum tcp_state state)
{
	for (int i = 0; state_of(fd) != state; i++) {
		if (i == SECONDS_10)
			fail_msg("state %s, not %s", tcp_state_text(state_of(fd)),
				tcp_state_text(state));
		poll(NULL, 0, 1);
	}
}

/* ---- a round trip -------------------------------------------------------------------------------
 */

static struct fake *carry_begin(void)
{
	struct fake *f = fake_create();
	char table[TCP_HOLD_NAME];

	snprintf(table, sizeof table, "snapctl-unit-%d", getpid());
	f->opts.tcp_established = true;
	f->dump.hold = tcp_hold_create(table, true);
	return f;
}

static void hold(struct fake *f, int fd)
{
	struct inet_sock sock = { .family = AF_INET };
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	inet_addr_from(&sa, &sock.local);
	len = sizeof sa;
	assert_int_equal(getpeername(fd, (struct sockaddr *)&sa, &len), 0);
	inet_addr_from(&sa, &sock.remote);
	if (tcp_hold_add(f->dump.hold, &sock, &f->err) < 0)
		fail_msg("%s", f->err.msg);
}

static void carry_end(struct fake *f)
{
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (tcp_established(f->snap, i))
			assert_int_equal(tcp_conn_silence(f->slots[i], &f->err), 0);
	fake_carry(f);
	/* In a slot: it is for us to wake it. */
	f->snap->procs[0].fds = arena_array(f->snap->arena, 2, sizeof(struct snap_fd));
	f->snap->procs[0].nr_fds = 2;
	for (uint32_t i = 0; i < 2; i++)
		f->snap->procs[0].fds[i] = (struct snap_fd){ (uint32_t)f->slots[i], i, false };
	fake_make(f);
	tcp_hold_destroy(f->dump.hold);
	for (uint32_t i = 0; i < f->snap->nr_ofds; i++)
		if (tcp_established(f->snap, i) &&
			tcp_conn_wake(f->slots[i], f->snap->ofds[i].priv, &f->err) < 0)
			fail_msg("%s", f->err.msg);
}

/* A FIN that does not acknowledge ours: both ends have closed at once. */
static void inject_fin(struct fake *f, int fd)
{
	struct inet_sock sock = { .family = AF_INET };
	struct tcp_conn conn = { 0 };
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (tcp_conn_save(f->snap->arena, fd, &conn, &f->err) < 0)
		fail_msg("%s", f->err.msg);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	inet_addr_from(&sa, &sock.local);
	len = sizeof sa;
	getpeername(fd, (struct sockaddr *)&sa, &len);
	inet_addr_from(&sa, &sock.remote);
	sock.conn = &conn;
	assert_int_equal(tcp_inject(&sock,
				 &(struct tcp_segment){ conn.rcv_seq,
					 conn.snd_seq - (uint32_t)conn.nr_send, true },
				 &f->err),
		0);
}

/* ---- tests --------------------------------------------------------------------------------------
 */

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("TCP_REPAIR and nftables need root\n");
		skip();
	}
}

static void test_established(void **state)
{
	struct ends e = connection();
	struct fake *f = carry_begin();
	char data[8];

	(void)state;
	need_root();
	assert_int_equal(send(e.a, "to b", 4, 0), 4);
	fake_save(f, e.a, &fd_inet);
	fake_save(f, e.b, &fd_inet);
	assert_int_equal(state_of(e.a), TCP_STATE_ESTABLISHED);
	carry_end(f);
	assert_int_equal(recv(e.b, data, sizeof data, 0), 4);
	assert_int_equal(send(e.b, "to a", 4, 0), 4);
	assert_int_equal(recv(e.a, data, sizeof data, 0), 4);
	close(e.listener);
	fake_destroy(f);
}

/* What was saved does not show: the connection goes on as before. */
static void test_saved_goes_on(void **state)
{
	struct ends e = connection();
	struct fake *f = carry_begin();
	int on = 1, got = 0;
	socklen_t len = sizeof got;
	char data[8];

	(void)state;
	need_root();
	assert_int_equal(setsockopt(e.a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	assert_int_equal(send(e.b, "to a", 4, 0), 4);
	fake_save(f, e.a, &fd_inet);
	tcp_hold_destroy(f->dump.hold);
	assert_int_equal(getsockopt(e.a, SOL_SOCKET, SO_REUSEADDR, &got, &len), 0);
	assert_int_equal(got, 1);
	assert_int_equal(recv(e.a, data, sizeof data, 0), 4);
	assert_int_equal(send(e.a, "to b", 4, 0), 4);
	assert_int_equal(recv(e.b, data, sizeof data, 0), 4);
	close(e.b);
	close(e.listener);
	fake_destroy(f);
}

static void test_closing(void **state)
{
	struct ends e = connection();
	struct fake *f = carry_begin();

	(void)state;
	need_root();
	hold(f, e.a);
	hold(f, e.b);
	assert_int_equal(shutdown(e.a, SHUT_WR), 0);
	assert_int_equal(shutdown(e.b, SHUT_WR), 0);
	assert_int_equal(state_of(e.a), TCP_STATE_FIN_WAIT1);
	inject_fin(f, e.a);
	assert_int_equal(state_of(e.a), TCP_STATE_CLOSING);
	fake_save(f, e.a, &fd_inet);
	fake_save(f, e.b, &fd_inet);
	carry_end(f);
	wait_state(e.a, TCP_STATE_CLOSE);
	wait_state(e.b, TCP_STATE_CLOSE);
	assert_int_equal(recv(e.a, (char[1]){ 0 }, 1, 0), 0);
	close(e.listener);
	fake_destroy(f);
}

static void test_last_ack(void **state)
{
	struct ends e = connection();
	struct fake *f = carry_begin();
	char data[8];

	(void)state;
	need_root();
	assert_int_equal(shutdown(e.a, SHUT_WR), 0);
	wait_state(e.b, TCP_STATE_CLOSE_WAIT);
	wait_state(e.a, TCP_STATE_FIN_WAIT2);
	hold(f, e.a);
	assert_int_equal(send(e.b, "last", 4, 0), 4);
	assert_int_equal(shutdown(e.b, SHUT_WR), 0);
	assert_int_equal(state_of(e.b), TCP_STATE_LAST_ACK);
	fake_save(f, e.a, &fd_inet);
	fake_save(f, e.b, &fd_inet);
	carry_end(f);
	assert_int_equal(recv(e.a, data, sizeof data, 0), 4);
	assert_int_equal(recv(e.a, data, sizeof data, 0), 0);
	wait_state(e.b, TCP_STATE_CLOSE);
	close(e.listener);
	fake_destroy(f);
}

static void test_connecting(void **state)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = -1;
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
			   from = to;
	struct inet_sock sock = { .family = AF_INET };
	struct fake *f = carry_begin();
	socklen_t len = sizeof to;
	struct pollfd p = { .events = POLLOUT };

	(void)state;
	need_root();
	assert_int_equal(bind(listener, (struct sockaddr *)&to, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &len), 0);
	inet_addr_from((struct sockaddr_storage *)&from, &sock.local);
	inet_addr_from((struct sockaddr_storage *)&to, &sock.remote);
	assert_int_equal(tcp_hold_add(f->dump.hold, &sock, &f->err), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, len), -1);
	assert_int_equal(errno, EINPROGRESS);
	fake_save(f, fd, &fd_inet);
	fake_carry(f);
	fake_make(f);
	assert_int_equal(state_of(fd), TCP_STATE_SYN_SENT);
	tcp_hold_destroy(f->dump.hold);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, SECONDS_10), 1);
	len = sizeof error;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, 0);
	close(listener);
	fake_destroy(f);
}

/* A listener with a key for a peer, and a connection that is signed. */
static void test_md5(void **state)
{
	struct tcp_md5sig sig = { .tcpm_keylen = 6, .tcpm_key = "secret" };
	struct sockaddr_in *peer = (void *)&sig.tcpm_addr;
	struct ends e = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1,
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct fake *f = carry_begin();
	socklen_t len = sizeof sa;
	int more;

	(void)state;
	need_root();
	*peer = sa;
	if (setsockopt(e.a, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig) < 0)
		skip(); /* a kernel without */
	assert_int_equal(setsockopt(e.listener, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig), 0);
	assert_int_equal(bind(e.listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(e.listener, 4), 0);
	assert_int_equal(getsockname(e.listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(e.a, (struct sockaddr *)&sa, sizeof sa), 0);
	e.b = accept4(e.listener, NULL, NULL, SOCK_CLOEXEC);
	fake_save(f, e.a, &fd_inet);
	fake_save(f, e.b, &fd_inet);
	fake_save(f, e.listener, &fd_inet);
	carry_end(f);
	assert_int_equal(send(e.a, "signed", 6, 0), 6);
	assert_int_equal(recv(e.b, (char[8]){ 0 }, 8, 0), 6);
	more = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(more, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig), 0);
	assert_int_equal(connect(more, (struct sockaddr *)&sa, sizeof sa), 0);
	close(more);
	fake_destroy(f);
}

/* ---- what cannot travel -----------------------------------------------------------------------
 */

static void urgent_waits(struct ends *e)
{
	assert_int_equal(send(e->a, "!", 1, MSG_OOB), 1);
}

/* What comes after the mark of an urgent byte that was read already. */
static void mark_waits(struct ends *e)
{
	struct pollfd p = { .fd = e->b, .events = POLLPRI };

	assert_int_equal(send(e->a, "before!", 7, MSG_OOB), 7);
	assert_int_equal(send(e->a, "after", 5, 0), 5);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(recv(e->b, (char[1]){ 0 }, 1, MSG_OOB), 1);
}

static void syn_waits(struct ends *e)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int on = 1;

	close(e->a);
	close(e->b);
	assert_int_equal(setsockopt(e->listener, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on), 0);
	assert_int_equal(getsockname(e->listener, (struct sockaddr *)&sa, &len), 0);
	e->a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(e->a, (struct sockaddr *)&sa, len), 0);
	e->b = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void notice_waits(struct ends *e)
{
	struct pollfd p = { .fd = e->b };
	static char data[8192];
	int on = 1;

	assert_int_equal(setsockopt(e->b, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
	assert_int_equal(send(e->b, data, sizeof data, MSG_ZEROCOPY), sizeof data);
	assert_int_equal(poll(&p, 1, 5000), 1);
}

static void test_refused(void **state)
{
	static const struct {
		void (*prepare)(struct ends *e);
		const char *words;
	} refused[] = {
		{ urgent_waits, "urgent byte" },
		{ mark_waits, "urgent byte" },
		{ syn_waits, "TCP_SAVE_SYN" },
		{ notice_waits, "MSG_ERRQUEUE" },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct fake *f = carry_begin();
		struct ends e = connection();

		refused[i].prepare(&e);
		fake_expect_words(f, fake_try_save(f, e.b), ENOTSUP, refused[i].words);
		tcp_hold_destroy(f->dump.hold);
		close(e.a);
		close(e.listener);
		fake_destroy(f);
	}
}

static void test_malformed(void **state)
{
	struct ends e = connection();
	struct fake *f = carry_begin();
	Pb__Ofd *msg;

	(void)state;
	need_root();
	fake_save(f, e.a, &fd_inet);
	tcp_hold_destroy(f->dump.hold);
	for (int i = 0; i < 5; i++) {
		msg = fake_message(f, 0);
		if (i == 0)
			msg->inet->conn->state = TCP_STATE_LISTEN;
		else if (i == 1)
			msg->inet->conn->n_window--;
		else if (i == 2)
			msg->inet->conn->nr_unsent = 1;
		else if (i == 3)
			msg->inet->conn->alone = true;
		else
			msg->inet->conn->snd_wscale = 15;
		fake_expect_bad(f, &fd_inet, msg, "TCP connection");
	}
	close(e.b);
	close(e.listener);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_established),
		cmocka_unit_test(test_saved_goes_on),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_last_ack),
		cmocka_unit_test(test_connecting),
		cmocka_unit_test(test_md5),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
