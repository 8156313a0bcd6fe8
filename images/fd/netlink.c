/*
 * Netlink sockets: their port number (mostly the pid), groups, and options. What they have not read
 * yet is in netlink_queue.c, as far as it can come again.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/netlink.h"
#include "proto/fd.pb-c.h"

enum { MAX_GROUPS = 65536, GROUP_WORDS = MAX_GROUPS / 32 };

struct protocol {
	uint32_t number;
	const char *name;
	const char *refused; /* why; NULL: travels */
	/* Is it so with this one? NULL: nobody can say. */
	bool (*is_registered)(const struct fd_seen *seen);
};

/* State of those refused hangs on the port number inside the kernel, and cannot be read. */
static const struct protocol protocols[] = {
	{ NETLINK_ROUTE, "route", NULL, NULL },
	{ NETLINK_USERSOCK, "usersock", NULL, NULL },
	{ NETLINK_SOCK_DIAG, "sock_diag", NULL, NULL },
	{ NETLINK_XFRM, "xfrm", NULL, NULL },
	{ NETLINK_SELINUX, "selinux", NULL, NULL },
	{ NETLINK_KOBJECT_UEVENT, "kobject_uevent", NULL, NULL },
	{ NETLINK_GENERIC, "generic", NULL, NULL },
	{ NETLINK_CRYPTO, "crypto", NULL, NULL },
	{ NETLINK_NETFILTER, "netfilter", "its queues, logs or tables are registered in the kernel",
		netlink_netfilter_is_registered },
	{ NETLINK_AUDIT, "audit", "the audit daemon is registered in the kernel",
		netlink_audit_is_registered },
	{ NETLINK_CONNECTOR, "connector", "its subscriptions are registered in the kernel", NULL },
	{ NETLINK_ISCSI, "iscsi", "its sessions are registered in the kernel", NULL },
};

static const struct protocol *protocol_of(uint32_t number)
{
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
		if (protocols[i].number == number)
			return &protocols[i];
	return NULL;
}

static bool netlink_is(const struct fd_seen *seen)
{
	int domain;
	socklen_t len = sizeof domain;

	return S_ISSOCK(seen->st.st_mode) &&
	       getsockopt(seen->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_NETLINK;
}

/* ---- live -> record -------------------------------------------------------------------------- */

static int protocol_check(const struct fd_seen *seen, int number, struct err *err)
{
	const struct protocol *p = protocol_of((uint32_t)number);

	if (p && (!p->refused || (p->is_registered && !p->is_registered(seen))))
		return 0;
	if (p)
		err_set(err, ENOTSUP, "a netlink %s socket cannot be dumped: %s", p->name,
			p->refused);
	else
		err_set(err, ENOTSUP,
			"a netlink socket of protocol %d cannot be dumped: nobody knows "
			"what the kernel keeps for it",
			number);
	return err_hint(err, "let the program close it before the dump");
}

static int netlink_check(const struct fd_seen *seen, struct err *err)
{
	struct sockopt_who who;

	if (sockopt_who_of(seen->fd, &who, err) < 0)
		return -err->code;
	return protocol_check(seen, who.protocol, err);
}

static int save_addrs(int fd, struct netlink_sock *sock, struct err *err)
{
	struct sockaddr_nl nl;
	socklen_t len = sizeof nl;

	if (getsockname(fd, (struct sockaddr *)&nl, &len) < 0)
		return err_sys(err, "address of a netlink socket");
	sock->portid = nl.nl_pid;
	sock->bound = nl.nl_pid != 0;
	len = sizeof nl;
	if (getpeername(fd, (struct sockaddr *)&nl, &len) < 0)
		return err_sys(err, "peer of a netlink socket");
	sock->dst_portid = nl.nl_pid;
	sock->dst_group = nl.nl_groups;
	return 0;
}

static int save_groups(struct arena *arena, int fd, struct netlink_sock *sock, struct err *err)
{
	uint32_t *words = arena_array(arena, GROUP_WORDS, sizeof *words);
	socklen_t len = GROUP_WORDS * sizeof *words;
	size_t cap = 0;

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len) < 0)
		return err_sys(err, "groups of a netlink socket");
	for (uint32_t i = 0; i < len * 8 && i < MAX_GROUPS; i++) {
		if (!(words[i / 32] >> i % 32 & 1))
			continue;
		sock->groups = arena_grow(
			arena, sock->groups, sock->nr_groups, &cap, sizeof *sock->groups);
		sock->groups[sock->nr_groups++] = i + 1;
	}
	return 0;
}

static int netlink_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct netlink_sock *sock = arena_alloc(arena, sizeof *sock);
	struct sockopt_who who;

	if (sockopt_who_of(seen->fd, &who, err) < 0 ||
		protocol_check(seen, who.protocol, err) < 0 ||
		save_addrs(seen->fd, sock, err) < 0 ||
		save_groups(arena, seen->fd, sock, err) < 0 ||
		sockopt_save(seen->dump, seen->fd, &who, &sock->options, err) < 0)
		return -err->code;
	sock->protocol = (uint32_t)who.protocol;
	sock->type = (uint32_t)who.type;
	if (netlink_queue_save(seen, sock, err) < 0)
		return -err->code;
	ofd->priv = sock;
	ofd->label = arena_printf(arena, "netlink %s", protocol_of(sock->protocol)->name);
	return 0;
}

static int netlink_save_last(
	const struct fd_seen *seen, struct snap_ofd *ofd, size_t *bytes, struct err *err)
{
	return netlink_queue_finish(seen, ofd->priv, bytes, err);
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static int netlink_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct netlink_sock *sock = ofd->priv;
	Pb__NetlinkSock *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__netlink_sock__init(m);
	m->has_protocol = m->has_type = m->has_bound = m->has_portid = true;
	m->has_dst_portid = m->has_dst_group = true;
	m->protocol = sock->protocol;
	m->type = sock->type;
	m->bound = sock->bound;
	m->portid = sock->portid;
	m->groups = sock->groups;
	m->n_groups = sock->nr_groups;
	m->dst_portid = sock->dst_portid;
	m->dst_group = sock->dst_group;
	sockopt_pack(snap, &sock->options, &m->options, &m->n_options);
	netlink_queue_pack(snap->arena, sock, m);
	msg->netlink = m;
	return 0;
}

static int netlink_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct netlink_sock *sock = arena_alloc(snap->arena, sizeof *sock);
	const Pb__NetlinkSock *m = msg->netlink;
	const struct protocol *p;

	if (!m)
		return message_missing("netlink", err);
	p = protocol_of(m->protocol);
	if (!p || (p->refused && !p->is_registered) ||
		(m->type != SOCK_RAW && m->type != SOCK_DGRAM))
		return err_set(err, EBADMSG, "netlink socket of protocol %u, type %u", m->protocol,
			m->type);
	if (m->n_groups > MAX_GROUPS || m->bound != (m->portid != 0))
		return err_set(err, EBADMSG, "netlink socket: %zu groups, port %u", m->n_groups,
			m->portid);
	for (size_t i = 0; i < m->n_groups; i++)
		if (m->groups[i] == 0 || m->groups[i] > MAX_GROUPS)
			return err_set(err, EBADMSG, "netlink group %u", m->groups[i]);
	sock->protocol = m->protocol;
	sock->type = m->type;
	sock->bound = m->bound;
	sock->portid = m->portid;
	sock->groups = arena_copy(snap->arena, m->groups, m->n_groups * sizeof *m->groups);
	sock->nr_groups = m->n_groups;
	sock->dst_portid = m->dst_portid;
	sock->dst_group = m->dst_group;
	ofd->priv = sock;
	if (netlink_queue_unpack(snap->arena, m, sock, err) < 0)
		return -err->code;
	return sockopt_unpack(snap, m->options, m->n_options, &sock->options, err);
}

/* ---- record -> live -------------------------------------------------------------------------- */

/* Port numbers that are pids of the dump follow these; others are just numbers. */
uint32_t netlink_portid_now(const struct fd_make *m, uint32_t portid)
{
	for (size_t i = 0; i < m->snap->nr_procs; i++)
		if (m->snap->procs[i].pid > 0 && (uint32_t)m->snap->procs[i].pid == portid)
			return (uint32_t)m->pid_of(m, (int32_t)portid);
	return portid;
}

static int make_groups(int fd, const struct netlink_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_groups; i++) {
		int group = (int)sock->groups[i];

		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
			err_sys(err, "join netlink group %d", group);
			return err->code == EPERM ? err_hint(err, "restore as root") : -err->code;
		}
	}
	return 0;
}

/* Whoever is connected takes no messages of others, so what is queued comes before. */
static int make_addrs(
	const struct fd_make *m, int fd, const struct netlink_sock *sock, struct err *err)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

	nl.nl_pid = netlink_portid_now(m, sock->portid);
	if (sock->bound && bind(fd, (struct sockaddr *)&nl, sizeof nl) < 0) {
		err_sys(err, "bind a netlink socket to port %u", nl.nl_pid);
		return err->code != EADDRINUSE ? -err->code
					       : err_hint(err, "another program has this netlink "
							       "port: ss -A netlink shows it");
	}
	if (netlink_queue_make(m, fd, sock, err) < 0)
		return -err->code;
	nl.nl_pid = netlink_portid_now(m, sock->dst_portid);
	nl.nl_groups = sock->dst_group;
	if ((nl.nl_pid || nl.nl_groups) && connect(fd, (struct sockaddr *)&nl, sizeof nl) < 0)
		return err_sys(err, "connect a netlink socket");
	return 0;
}

static int netlink_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *out, struct err *err)
{
	const struct netlink_sock *sock = ofd->priv;
	OWNED_FD fd = socket(AF_NETLINK,
		(int)sock->type | SOCK_CLOEXEC | (ofd->flags & SOCK_NONBLOCK), (int)sock->protocol);

	if (fd < 0)
		return err_sys(err, "netlink socket");
	if (sockopt_make(fd, &sock->options, false, err) < 0 || make_addrs(m, fd, sock, err) < 0 ||
		make_groups(fd, sock, err) < 0 || sockopt_make(fd, &sock->options, true, err) < 0 ||
		netlink_request_make(fd, sock, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}

static char *netlink_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct netlink_sock *sock = ofd->priv;
	char *text = arena_printf(arena, "netlink %s", protocol_of(sock->protocol)->name);

	(void)snap;
	if (sock->bound)
		text = arena_printf(arena, "%s, port %u", text, sock->portid);
	if (sock->nr_groups)
		text = arena_printf(arena, "%s, member of %zu group%s", text, sock->nr_groups,
			sock->nr_groups == 1 ? "" : "s");
	if (sock->nr_queue)
		text = arena_printf(arena, "%s, %zu message%s to read", text, sock->nr_queue,
			sock->nr_queue == 1 ? "" : "s");
	return sock->len_request ? arena_printf(arena, "%s, an answer to read", text) : text;
}

const struct fd_kind fd_netlink = {
	.name = "netlink",
	.is = netlink_is,
	.check = netlink_check,
	.save = netlink_save,
	.save_last = netlink_save_last,
	.pack = netlink_pack,
	.unpack = netlink_unpack,
	.make = netlink_make,
	.describe = netlink_describe,
};
