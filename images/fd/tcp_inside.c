/* Whether both ends of a TCP connection are part of the dump, or were; see tcp.h. */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_ends.h"

/* Asked of a socket of our own. */
bool tcp_may_repair(void)
{
	OWNED_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = TCP_REPAIR_ON;

	return fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
}

struct tcp_pair tcp_other_end(const struct inet_sock *sock)
{
	return (struct tcp_pair){ tcp_end_of(sock->family, &sock->remote),
		tcp_end_of(sock->family, &sock->local) };
}

/* ---- an end that was closed --------------------------------------------------------------------
 */

enum { PATIENCE = 200 /* milliseconds; acknowledgements may be late */ };

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

/* For an acknowledgement of ours. */
static bool far_end_waits(const struct tcp_far_end *far)
{
	return far->state != TCP_STATE_FIN_WAIT2 && far->state != TCP_STATE_TIME_WAIT;
}

/*
 * It was on this machine, and everything that it has sent is here: what the kernel still keeps of
 * it waits for our end to be closed, and is forgotten after a minute.
 */
bool tcp_conn_is_alone(const struct fd_seen *seen, const struct inet_sock *sock)
{
	struct tcp_pair pair = tcp_other_end(sock);

	if (!sock->remote.set || !only_waits(seen->fd) || sock->nr_md5 ||
		!is_of_this_machine(sock, &sock->remote))
		return false;
	for (int i = 0; i < PATIENCE; i++) {
		const struct tcp_far_end *far = tcp_far_end(seen->dump, &pair, i > 0);

		if (far && far->ino)
			return false;
		if (!far || !far_end_waits(far))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

bool tcp_conn_is_inside(const struct fd_seen *seen, const struct inet_sock *sock)
{
	struct fd_dump *d = seen->dump;
	struct tcp_pair pair = tcp_other_end(sock);

	if (!d->fd_of || !sock->remote.set)
		return false;
	return tcp_ends_have(d, &pair) || tcp_conn_is_alone(seen, sock);
}
