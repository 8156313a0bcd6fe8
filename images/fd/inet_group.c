/*
 * Multicast memberships. The kernel lists them by interface only (/proc/net/igmp, igmp6), but says
 * for each socket and group whether it is a member, and with which sources (MCAST_MSFILTER): so
 * every group of the machine is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/inet.h"
#include "proto/socket.pb-c.h"

enum { MAX_SOURCES = 128, MAX_GROUPS = 4096, IGMP_LIMIT = 16 * 1024 * 1024 };

struct group_search {
	struct arena *arena;
	int fd;
	struct inet_sock *sock;
	size_t cap;
};

static int group_level(int family)
{
	return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

static size_t group_addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static void group_sockaddr(int family, const uint8_t *addr, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof *sa);
	sa->ss_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&((struct sockaddr_in *)sa)->sin_addr, addr, 4);
	else
		memcpy(&((struct sockaddr_in6 *)sa)->sin6_addr, addr, 16);
}

static const uint8_t *group_sockaddr_bytes(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr;
	return (const uint8_t *)&((const struct sockaddr_in6 *)sa)->sin6_addr;
}

/* ---- live -> record -------------------------------------------------------------------------- */

static struct inet_group *group_add(struct group_search *s)
{
	struct inet_sock *sock = s->sock;

	sock->groups = arena_grow(
		s->arena, sock->groups, sock->nr_groups, &s->cap, sizeof *sock->groups);
	return &sock->groups[sock->nr_groups++];
}

/* Is the socket a member of this group on this interface? */
static int group_ask(
	struct group_search *s, int family, unsigned index, const uint8_t *addr, struct err *err)
{
	_Alignas(struct group_filter) char buf[GROUP_FILTER_SIZE(MAX_SOURCES)] = { 0 };
	struct group_filter *f = (void *)buf;
	socklen_t len = sizeof buf;
	struct inet_group *g;

	f->gf_interface = index;
	f->gf_numsrc = MAX_SOURCES;
	group_sockaddr(family, addr, &f->gf_group);
	if (getsockopt(s->fd, group_level(family), MCAST_MSFILTER, f, &len) < 0)
		/* ENOPROTOOPT: an IPv6 raw socket knows nothing of IPv4. */
		return errno == EADDRNOTAVAIL || errno == ENODEV || errno == ENOPROTOOPT
			       ? 0
			       : err_sys(err, "ask for a multicast membership");
	if (f->gf_numsrc > MAX_SOURCES)
		return err_set(err, ENOTSUP,
			"a multicast membership has %u sources, at most %d travel", f->gf_numsrc,
			MAX_SOURCES);
	g = group_add(s);
	g->family = family;
	g->mode = f->gf_fmode;
	memcpy(g->addr, addr, group_addr_len(family));
	if (!if_indextoname(index, g->interface))
		return err_sys(err, "name of network interface %u", index);
	g->nr_sources = f->gf_numsrc;
	g->sources = arena_array(s->arena, g->nr_sources, sizeof *g->sources);
	for (size_t i = 0; i < g->nr_sources; i++)
		memcpy(g->sources[i], group_sockaddr_bytes(&f->gf_slist[i]),
			group_addr_len(family));
	return 0;
}

/* "1\tlo        :     2      V3", then "\t\t\t\t030201EF     1 0:00000000\t\t0" for each group. */
static int igmp_scan(struct group_search *s, char *text, struct err *err)
{
	struct text t = { text };
	unsigned index = 0;
	const char *line;
	size_t len;

	text_line(&t, &line, &len); /* headings */
	while (text_line(&t, &line, &len)) {
		struct text at = { line };
		uint64_t value;
		uint32_t addr;

		if (text_dec(&at, &value)) {
			index = (unsigned)value;
			continue;
		}
		text_blanks(&at);
		if (!text_hex(&at, &value))
			continue;
		addr = (uint32_t)value; /* printed as a number, lies in memory in network order */
		if (group_ask(s, AF_INET, index, (const uint8_t *)&addr, err) < 0)
			return -err->code;
	}
	return 0;
}

/* "1    lo              ff020000000000000000000000000001     1 0000000C 0" */
static int igmp6_scan(struct group_search *s, char *text, struct err *err)
{
	struct text t = { text };
	const char *line;
	size_t len;

	while (text_line(&t, &line, &len)) {
		char hex[33], digits[3] = "";
		unsigned index;
		uint8_t addr[16];

		if (sscanf(line, "%u %*s %32[0-9a-f]", &index, hex) != 2 || strlen(hex) != 32)
			continue;
		for (size_t i = 0; i < sizeof addr; i++) {
			memcpy(digits, hex + 2 * i, 2);
			addr[i] = (uint8_t)strtoul(digits, NULL, 16);
		}
		if (group_ask(s, AF_INET6, index, addr, err) < 0)
			return -err->code;
	}
	return 0;
}

static int groups_file(struct group_search *s, const char *path,
	int (*scan)(struct group_search *, char *, struct err *), struct err *err)
{
	OWNED_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	size_t len;
	int ret;

	if (fd < 0 && errno == ENOENT)
		return 0; /* a kernel without multicast, or without IPv6 */
	if (fd < 0)
		return err_sys(err, "open %s", path);
	if (fd_read_text(fd, IGMP_LIMIT, &text, &len, err) < 0)
		return err_wrap(err, "%s", path);
	ret = scan(s, text, err);
	free(text);
	return ret;
}

int inet_groups_save(struct arena *arena, int fd, struct inet_sock *sock, struct err *err)
{
	struct group_search s = { arena, fd, sock, 0 };

	sock->groups = NULL;
	sock->nr_groups = 0;
	if (sock->type == SOCK_STREAM)
		return 0;
	if (groups_file(&s, "/proc/net/igmp", igmp_scan, err) < 0)
		return -err->code;
	return sock->family == AF_INET6 ? groups_file(&s, "/proc/net/igmp6", igmp6_scan, err) : 0;
}

/* ---- record -> live -------------------------------------------------------------------------- */

static int group_make(int fd, const struct inet_group *g, struct err *err)
{
	struct group_req join = { .gr_interface = if_nametoindex(g->interface) };
	struct group_source_req source = { .gsr_interface = join.gr_interface };
	int level = group_level(g->family);
	int name = g->mode == MCAST_INCLUDE ? MCAST_JOIN_SOURCE_GROUP : MCAST_BLOCK_SOURCE;

	if (!join.gr_interface)
		return err_set(err, ENODEV,
			"multicast group on interface %s, which is missing here", g->interface);
	group_sockaddr(g->family, g->addr, &join.gr_group);
	source.gsr_group = join.gr_group;
	if (g->mode == MCAST_EXCLUDE &&
		setsockopt(fd, level, MCAST_JOIN_GROUP, &join, sizeof join) < 0)
		return err_sys(err, "join a multicast group on %s", g->interface);
	for (size_t i = 0; i < g->nr_sources; i++) {
		group_sockaddr(g->family, g->sources[i], &source.gsr_source);
		if (setsockopt(fd, level, name, &source, sizeof source) < 0)
			return err_sys(err, "sources of a multicast group on %s", g->interface);
	}
	return 0;
}

int inet_groups_make(int fd, const struct inet_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_groups; i++)
		if (group_make(fd, &sock->groups[i], err) < 0)
			return -err->code;
	return 0;
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static Pb__InetGroup *group_pack(struct arena *arena, const struct inet_group *g)
{
	Pb__InetGroup *m = arena_alloc(arena, sizeof *m);
	size_t len = group_addr_len(g->family);

	pb__inet_group__init(m);
	m->has_addr = m->has_mode = true;
	m->addr.data = arena_copy(arena, g->addr, len);
	m->addr.len = len;
	m->interface = arena_strdup(arena, g->interface);
	m->mode = g->mode;
	m->n_sources = g->nr_sources;
	m->sources = arena_array(arena, g->nr_sources, sizeof *m->sources);
	for (size_t i = 0; i < g->nr_sources; i++) {
		m->sources[i].data = arena_copy(arena, g->sources[i], len);
		m->sources[i].len = len;
	}
	return m;
}

void inet_groups_pack(
	struct arena *arena, const struct inet_sock *sock, Pb__InetGroup ***msgs, size_t *nr)
{
	*msgs = arena_array(arena, sock->nr_groups, sizeof **msgs);
	*nr = sock->nr_groups;
	for (size_t i = 0; i < sock->nr_groups; i++)
		(*msgs)[i] = group_pack(arena, &sock->groups[i]);
}

static int group_unpack(
	struct arena *arena, const Pb__InetGroup *m, struct inet_group *g, struct err *err)
{
	if ((m->addr.len != 4 && m->addr.len != 16) || !m->interface ||
		strlen(m->interface) >= sizeof g->interface || m->n_sources > MAX_SOURCES ||
		(m->mode != MCAST_INCLUDE && m->mode != MCAST_EXCLUDE))
		return err_set(err, EBADMSG, "multicast membership is malformed");
	g->family = m->addr.len == 4 ? AF_INET : AF_INET6;
	memcpy(g->addr, m->addr.data, m->addr.len);
	strcpy(g->interface, m->interface);
	g->mode = m->mode;
	g->nr_sources = m->n_sources;
	g->sources = arena_array(arena, m->n_sources, sizeof *g->sources);
	for (size_t i = 0; i < m->n_sources; i++) {
		if (m->sources[i].len != m->addr.len)
			return err_set(
				err, EBADMSG, "multicast source of %zu bytes", m->sources[i].len);
		memcpy(g->sources[i], m->sources[i].data, m->addr.len);
	}
	return 0;
}

int inet_groups_unpack(struct arena *arena, Pb__InetGroup *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err)
{
	if (nr > MAX_GROUPS || (nr && sock->type == SOCK_STREAM))
		return err_set(err, EBADMSG, "%zu multicast memberships", nr);
	sock->groups = arena_array(arena, nr, sizeof *sock->groups);
	sock->nr_groups = nr;
	for (size_t i = 0; i < nr; i++) {
		if (group_unpack(arena, msgs[i], &sock->groups[i], err) < 0)
			return -err->code;
		if (sock->family == AF_INET && sock->groups[i].family != AF_INET)
			return err_set(err, EBADMSG, "IPv6 multicast group of an IPv4 socket");
	}
	return 0;
}
