/* Packets of connections that no process has at the moment are held back; see tcp.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/kinds.h"
#include "images/fd/tcp.h"
#include "images/fd/tcp_nft.h"
#include "images/snap.h"

struct tcp_hold {
	char table[TCP_HOLD_NAME];
	bool owned;
	int fd; /* -1: there is no table yet */
};

const struct inet_sock *tcp_established(const struct snap *snap, uint32_t ofd)
{
	const struct inet_sock *sock = snap->ofds[ofd].priv;

	if (snap->ofds[ofd].kind != &fd_inet || snap->ofds[ofd].inherited >= 0 || !sock)
		return NULL;
	return sock->state == INET_ESTABLISHED ? sock : NULL;
}

const char *tcp_hold_name(const struct snap *snap, char buf[TCP_HOLD_NAME])
{
	int at = snprintf(buf, TCP_HOLD_NAME, "snapctl-");

	for (size_t i = 0; i < sizeof snap->info.id; i++)
		at += snprintf(buf + at, (size_t)(TCP_HOLD_NAME - at), "%02x", snap->info.id[i]);
	return buf;
}

struct tcp_hold *tcp_hold_create(const char *table, bool owned)
{
	struct tcp_hold *hold = calloc(1, sizeof *hold);

	if (!hold)
		return NULL;
	snprintf(hold->table, sizeof hold->table, "%s", table);
	hold->owned = owned;
	hold->fd = -1;
	return hold;
}

void tcp_hold_destroy(struct tcp_hold *hold)
{
	if (!hold)
		return;
	fd_close(&hold->fd);
	free(hold);
}

int tcp_hold_park(struct tcp_hold *hold, int above, struct err *err)
{
	int moved = hold->fd < 0 ? -1 : fcntl(hold->fd, F_DUPFD_CLOEXEC, above);

	if (hold->fd >= 0 && moved < 0)
		return err_sys(err, "move descriptor %d", hold->fd);
	fd_close(&hold->fd);
	hold->fd = moved;
	return 0;
}

static int hold_failed(struct err *err)
{
	err_wrap(err, "hold back packets of TCP connections");
	if (err->code == EPERM)
		return err_hint(err, "--tcp-established needs CAP_NET_ADMIN: run snapctl as root");
	if (err->code == EOPNOTSUPP || err->code == EINVAL)
		return err_hint(err, "this needs Linux 5.12 with nftables (CONFIG_NF_TABLES_INET)");
	return -err->code;
}

static int hold_table(struct tcp_hold *hold, struct err *err)
{
	struct nft_batch batch;

	if (hold->fd >= 0)
		return 0;
	if (nft_open(&hold->fd, err) < 0)
		return hold_failed(err);
	nft_begin(&batch);
	nft_add_table(&batch, hold->table, hold->owned);
	return nft_commit(hold->fd, &batch, err) < 0 ? hold_failed(err) : 0;
}

/* As they stand in the packets that come in: an IPv6 socket may talk IPv4. */
static struct nft_tuple incoming(const struct inet_sock *sock)
{
	struct nft_tuple t = { .sport = htons(sock->remote.port),
		.dport = htons(sock->local.port) };
	size_t skip = inet_is_mapped(sock) ? 12 : 0;

	t.v6 = sock->family == AF_INET6 && !skip;
	memcpy(t.saddr, sock->remote.addr + skip, t.v6 ? 16 : 4);
	memcpy(t.daddr, sock->local.addr + skip, t.v6 ? 16 : 4);
	return t;
}

static struct nft_tuple outgoing(const struct inet_sock *sock)
{
	struct nft_tuple in = incoming(sock), out = in;

	memcpy(out.saddr, in.daddr, sizeof out.saddr);
	memcpy(out.daddr, in.saddr, sizeof out.daddr);
	out.sport = in.dport;
	out.dport = in.sport;
	return out;
}

int tcp_hold_add(struct tcp_hold *hold, const struct inet_sock *sock, struct err *err)
{
	struct nft_tuple in = incoming(sock), out = outgoing(sock);
	struct nft_batch batch;

	if (hold_table(hold, err) < 0)
		return -err->code;
	nft_begin(&batch);
	nft_add_drop(&batch, hold->table, "in", &in, TCP_HOLD_MARK);
	nft_add_drop(&batch, hold->table, "out", &out, TCP_HOLD_MARK);
	return nft_commit(hold->fd, &batch, err) < 0 ? hold_failed(err) : 0;
}

int tcp_hold_all(struct tcp_hold *hold, const struct snap *snap, bool outside, struct err *err)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct inet_sock *sock = tcp_established(snap, i);

		if (sock && !(outside && sock->conn->inside) && tcp_hold_add(hold, sock, err) < 0)
			return -err->code;
	}
	return 0;
}

int tcp_hold_remove(const char *table, struct err *err)
{
	struct nft_batch batch;
	OWNED_FD fd = -1;

	if (nft_open(&fd, err) < 0)
		return -err->code;
	nft_begin(&batch);
	nft_delete_table(&batch, table);
	if (nft_commit(fd, &batch, err) < 0 && err->code != ENOENT)
		return err_wrap(err, "remove the nftables table %s", table);
	return 0;
}
