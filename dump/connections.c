/* TCP connections that are carried over; see connections.h. */
#include "dump/connections.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "dump/dumping.h"
#include "dump/fds.h"
#include "images/fd/inet.h"
#include "images/fd/tcp.h"

int connections_begin(struct dumping *d, struct err *err)
{
	char table[TCP_HOLD_NAME];

	snprintf(table, sizeof table, "snapctl-dump-%d", getpid());
	d->fd_dump.hold = tcp_hold_create(table, true);
	return d->fd_dump.hold ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* To outside: nobody sends anything over the others while the program does not exist. */
static size_t connections_count(const struct dumping *d)
{
	size_t nr = 0;

	for (uint32_t i = 0; i < d->snap->nr_ofds; i++) {
		const struct inet_sock *sock = tcp_established(d->snap, i);

		nr += sock && !sock->conn->inside;
	}
	return nr;
}

int connections_keep(struct dumping *d, struct err *err)
{
	char table[TCP_HOLD_NAME];
	size_t nr = connections_count(d);
	struct tcp_hold *hold;
	int ret;

	if (!nr)
		return 0;
	tcp_hold_name(d->snap, table);
	hold = tcp_hold_create(table, false);
	ret = hold ? tcp_hold_all(hold, d->snap, true, err) : err_set(err, ENOMEM, "out of memory");
	tcp_hold_destroy(hold);
	if (!ret)
		log_info("packets of %zu TCP connection%s are held back until the restore by the "
			 "nftables table inet %s",
			nr, nr == 1 ? "" : "s", table);
	return ret;
}

void connections_forget(struct dumping *d)
{
	char table[TCP_HOLD_NAME];
	struct err err = { 0 };

	if (connections_count(d) && tcp_hold_remove(tcp_hold_name(d->snap, table), &err) < 0)
		log_warn("%s", err.msg);
}

int connections_silence(struct dumping *d, struct err *err)
{
	for (uint32_t i = 0; i < d->snap->nr_ofds; i++)
		if (tcp_established(d->snap, i) &&
			tcp_conn_silence(d->slots->seen[i].seen.fd, err) < 0)
			return err_wrap(err, "%s", d->snap->ofds[i].label);
	return 0;
}

void connections_finish(struct dumping *d)
{
	tcp_hold_destroy(d->fd_dump.hold);
	d->fd_dump.hold = NULL;
}
