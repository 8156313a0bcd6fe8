/* Ends of TCP connections, in order; see tcp_ends.h. */
#include "images/fd/tcp_ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"

struct tcp_ends {
	uint32_t nr_ofds; /* that were asked; more may have been found in queues since */
	size_t nr;
	struct tcp_pair *all;
};

struct tcp_end tcp_end_of(int family, const struct inet_addr *addr)
{
	struct tcp_end end = { .port = { (uint8_t)(addr->port >> 8), (uint8_t)addr->port } };

	if (family == AF_INET) {
		memset(end.addr + 10, 0xff, 2);
		memcpy(end.addr + 12, addr->addr, 4);
	} else {
		memcpy(end.addr, addr->addr, 16);
	}
	return end;
}

static struct tcp_end end_from(const struct sockaddr_storage *sa)
{
	struct inet_addr addr;

	inet_addr_from(sa, &addr);
	return tcp_end_of(sa->ss_family, &addr);
}

static bool pair_read(int fd, struct tcp_pair *out)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_len = sizeof own, peer_len = sizeof peer, len = sizeof(int);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM ||
		getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
		(own.ss_family != AF_INET && own.ss_family != AF_INET6) ||
		getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return false;
	*out = (struct tcp_pair){ end_from(&own), end_from(&peer) };
	return true;
}

static int pair_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tcp_pair));
}

static struct tcp_ends *ends_read(struct fd_dump *d)
{
	struct tcp_ends *ends = arena_alloc(d->snap->arena, sizeof *ends);

	ends->nr_ofds = (uint32_t)d->snap->nr_ofds;
	ends->nr = 0;
	ends->all = arena_array(d->snap->arena, ends->nr_ofds, sizeof *ends->all);
	for (uint32_t i = 0; i < ends->nr_ofds; i++) {
		int fd = d->fd_of(d, i);

		if (fd >= 0 && pair_read(fd, &ends->all[ends->nr]))
			ends->nr++;
	}
	qsort(ends->all, ends->nr, sizeof *ends->all, pair_compare);
	return ends;
}

bool tcp_ends_have(struct fd_dump *d, const struct tcp_pair *pair)
{
	if (!d->tcp_ends || d->tcp_ends->nr_ofds != d->snap->nr_ofds)
		d->tcp_ends = ends_read(d);
	return d->tcp_ends->nr && bsearch(pair, d->tcp_ends->all, d->tcp_ends->nr,
					  sizeof *d->tcp_ends->all, pair_compare);
}
