/* Ends of TCP connections, in order; see tcp_ends.h. */
#include "images/fd/tcp_ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/inet.h"
#include "images/fd/kind.h"
#include "images/fd/sock_diag.h"

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

/* ---- of the kernel ----------------------------------------------------------------------------
 */

struct tcp_far_ends {
	struct arena *arena;
	size_t nr, cap;
	struct tcp_far_end *all;
};

static void far_ends_add(const struct diag_end *end, void *arg)
{
	struct tcp_far_ends *ends = arg;

	ends->all = arena_grow(ends->arena, ends->all, ends->nr, &ends->cap, sizeof *ends->all);
	ends->all[ends->nr++] = (struct tcp_far_end){
		{ end_from(&end->own), end_from(&end->peer) },
		end->ino,
		end->state,
		end->rqueue,
	};
}

/* The pair comes first in each. */
static int pair_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tcp_pair));
}

/* A kernel that cannot tell knows none. */
static void far_ends_read(struct fd_dump *d)
{
	struct tcp_far_ends *ends = d->tcp_far_ends;
	struct err err = { 0 };

	if (!ends)
		ends = d->tcp_far_ends = arena_alloc(d->snap->arena, sizeof *ends);
	ends->arena = d->snap->arena;
	ends->nr = 0;
	if (sock_diag_ends(far_ends_add, ends, &err) < 0)
		ends->nr = 0;
	if (ends->nr)
		qsort(ends->all, ends->nr, sizeof *ends->all, pair_compare);
}

const struct tcp_far_end *tcp_far_ends(struct fd_dump *d, size_t *nr)
{
	if (!d->tcp_far_ends)
		far_ends_read(d);
	*nr = d->tcp_far_ends->nr;
	return d->tcp_far_ends->all;
}

const struct tcp_far_end *tcp_far_end(struct fd_dump *d, const struct tcp_pair *pair, bool anew)
{
	const struct tcp_far_end *all;
	size_t nr;

	if (anew)
		far_ends_read(d);
	all = tcp_far_ends(d, &nr);
	return nr ? bsearch(pair, all, nr, sizeof *all, pair_compare) : NULL;
}

/* ---- of the dump ------------------------------------------------------------------------------
 */

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
