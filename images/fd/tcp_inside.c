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

/* Asked of a socket of our own. */
bool tcp_may_repair(void)
{
	OWNED_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = TCP_REPAIR_ON;

	return fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
}

/* The bytes of an address that matter: one end may see IPv4 as IPv6. */
static const uint8_t *address_bytes(int family, const struct inet_addr *a, size_t *len)
{
	bool mapped = inet_addr_is_mapped(family, a);

	*len = family == AF_INET || mapped ? 4 : 16;
	return a->addr + (mapped ? 12 : 0);
}

static bool same_end(int family, const struct inet_addr *a, const struct sockaddr_storage *sa)
{
	struct inet_addr b;
	const uint8_t *of_a, *of_b;
	size_t len_a, len_b;

	inet_addr_from(sa, &b);
	of_a = address_bytes(family, a, &len_a);
	of_b = address_bytes(sa->ss_family, &b, &len_b);
	return a->port == b.port && len_a == len_b && !memcmp(of_a, of_b, len_a);
}

static bool is_other_end(int fd, const struct inet_sock *sock)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_len = sizeof own, peer_len = sizeof peer, len = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
	       (own.ss_family == AF_INET || own.ss_family == AF_INET6) &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       same_end(sock->family, &sock->remote, &own) &&
	       same_end(sock->family, &sock->local, &peer);
}

/* ---- an end that was closed --------------------------------------------------------------------
 */

enum { PATIENCE = 200 /* milliseconds; acknowledgements may be late */ };

struct far_end {
	const struct inet_sock *sock;
	bool found, held, waits; /* waits: for an acknowledgement of ours */
};

static void far_end_look(const struct diag_end *end, void *arg)
{
	struct far_end *far = arg;
	const struct inet_sock *sock = far->sock;

	if (!same_end(sock->family, &sock->remote, &end->own) ||
		!same_end(sock->family, &sock->local, &end->peer))
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
		far = (struct far_end){ .sock = sock };
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

	for (uint32_t i = 0; d->fd_of && sock->remote.set && i < d->snap->nr_ofds; i++) {
		int fd = d->fd_of(d, i);

		if (fd >= 0 && is_other_end(fd, sock))
			return true;
	}
	return d->fd_of && tcp_conn_is_alone(seen->fd, sock);
}
