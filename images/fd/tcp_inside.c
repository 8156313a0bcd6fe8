/* Whether both ends of a TCP connection are part of the dump, or were; see tcp.h. */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_ends.h"

/* Asked of a socket of our own. */
bool tcp_may_repair(void)
{
	OWNED_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = TCP_REPAIR_ON;

	return fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
}

/* As the other end of sock must be. */
static struct tcp_pair other_end(const struct inet_sock *sock)
{
	return (struct tcp_pair){ tcp_end_of(sock->family, &sock->remote),
		tcp_end_of(sock->family, &sock->local) };
}

static bool same_end(const struct tcp_end *a, const struct sockaddr_storage *sa)
{
	struct inet_addr addr;
	struct tcp_end b;

	inet_addr_from(sa, &addr);
	b = tcp_end_of(sa->ss_family, &addr);
	return !memcmp(a, &b, sizeof b);
}

/* ---- an end that was closed --------------------------------------------------------------------
 */

enum { PATIENCE = 200 /* milliseconds; acknowledgements may be late */ };

struct far_end {
	struct tcp_pair pair;
	bool found, held, waits; /* waits: for an acknowledgement of ours */
};

static void far_end_look(const struct diag_end *end, void *arg)
{
	struct far_end *far = arg;

	if (!same_end(&far->pair.own, &end->own) || !same_end(&far->pair.peer, &end->peer))
		return;
	far->found = true;
	far->held = end->ino != 0;
	far->waits = end->state != TCP_STATE_FIN_WAIT2 && end->state != TCP_STATE_TIME_WAIT;
}

static bool is_of_this_machine(const struct inet_sock *sock, const struct inet_addr *addr)
{
	struct inet_sock other = { .family = sock->family, .local = *addr };

	return !inet_is_nonlocal(&other);
}

static bool only_waits(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;
	int queued = 0;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_STATE_CLOSE_WAIT && ioctl(fd, SIOCOUTQ, &queued) == 0 &&
	       !queued;
}

/*
 * It was on this machine, and everything that it has sent is here: what the kernel still keeps of
 * it waits for our end to be closed, and is forgotten after a minute.
 */
bool tcp_conn_is_alone(int fd, const struct inet_sock *sock)
{
	struct far_end far;
	struct err err;

	if (!sock->remote.set || !only_waits(fd) || sock->nr_md5 ||
		!is_of_this_machine(sock, &sock->remote))
		return false;
	for (int i = 0; i < PATIENCE; i++) {
		far = (struct far_end){ .pair = other_end(sock) };
		if (sock_diag_ends(sock->remote.port, far_end_look, &far, &err) < 0 || far.held)
			return false;
		if (!far.found || !far.waits)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

bool tcp_conn_is_inside(const struct fd_seen *seen, const struct inet_sock *sock)
{
	struct fd_dump *d = seen->dump;
	struct tcp_pair pair = other_end(sock);

	if (!d->fd_of || !sock->remote.set)
		return false;
	return tcp_ends_have(d, &pair) || tcp_conn_is_alone(seen->fd, sock);
}
