/*
 * Packet sockets (AF_PACKET): protocol, interface, memberships, options and filter. Frames that
 * were not read yet are refused: nobody can put them back.
 */
#include "images/fd/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "proto/fd.pb-c.h"

enum { MAX_MEMBERS = 4096, MAX_COUNT = 65536, FANOUT_TYPE_SHIFT = 16, FANOUT_TYPE_MASK = 0xff };

static bool packet_is(const struct fd_seen *seen)
{
	int domain;
	socklen_t len = sizeof domain;

	return S_ISSOCK(seen->st.st_mode) &&
	       getsockopt(seen->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_PACKET;
}

/* ---- live -> record -------------------------------------------------------------------------- */

static int fanout_check(int fd, struct err *err)
{
	int fanout = 0, type;
	socklen_t len = sizeof fanout;

	if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, &len) < 0 || !fanout)
		return 0;
	type = fanout >> FANOUT_TYPE_SHIFT & FANOUT_TYPE_MASK;
	if (type != PACKET_FANOUT_CBPF && type != PACKET_FANOUT_EBPF)
		return 0;
	err_set(err, ENOTSUP,
		"a packet socket whose fanout group has a program, which cannot be "
		"read back");
	return err_hint(err, "stop capturing before the dump");
}

static int packet_check(const struct fd_seen *seen, struct err *err)
{
	struct pollfd p = { .fd = seen->fd, .events = POLLIN };
	struct packet_sock sock = { 0 };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "poll a packet socket");
	if (p.revents & (POLLIN | POLLERR)) {
		err_set(err, ENOTSUP, "a packet socket has %s that was not read yet",
			p.revents & POLLERR ? "an error" : "a frame");
		err_hint(err, "let the program read it, or drop it with --tcp-close");
		if (!seen->dump->opts || !seen->dump->opts->tcp_close)
			return -err->code;
		log_warn("%s: dropped (--tcp-close)", err->msg);
	}
	if (fanout_check(seen->fd, err) < 0)
		return -err->code;
	return packet_diag(seen->dump->snap->arena, seen->st.st_ino, &sock, err);
}

static int save_address(int fd, struct packet_sock *sock, struct err *err)
{
	struct sockaddr_ll ll = { 0 };
	socklen_t len = sizeof ll;

	if (getsockname(fd, (struct sockaddr *)&ll, &len) < 0)
		return err_sys(err, "address of a packet socket");
	sock->protocol = ntohs(ll.sll_protocol);
	if (ll.sll_ifindex == 0 || if_indextoname((unsigned)ll.sll_ifindex, sock->interface))
		return 0;
	err_set(err, ENOTSUP, "a packet socket is bound to interface %d, which is gone",
		ll.sll_ifindex);
	return err_hint(err, "close it before the dump");
}

/* Group 0 that spreads by hash reads as 0, as no group does. */
static void save_fanout_zero(struct arena *arena, struct packet_sock *sock)
{
	struct sock_options *o = &sock->options;

	if (sock->in_fanout && !sockopt_get(o, SOL_PACKET, PACKET_FANOUT))
		sockopt_add(arena, o, SOL_PACKET, PACKET_FANOUT, 0);
}

static int packet_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct arena *arena = seen->dump->snap->arena;
	struct packet_sock *sock = arena_alloc(arena, sizeof *sock);
	struct sockopt_who who;

	if (sockopt_who_of(seen->fd, &who, err) < 0)
		return -err->code;
	who.protocol = 0; /* a fresh one to compare with has to receive nothing */
	if (packet_diag(arena, seen->st.st_ino, sock, err) < 0 ||
		save_address(seen->fd, sock, err) < 0 ||
		sockopt_save(seen->dump, seen->fd, &who, &sock->options, err) < 0)
		return -err->code;
	save_fanout_zero(arena, sock);
	sock->type = (uint32_t)who.type;
	ofd->priv = sock;
	ofd->label = arena_printf(arena, "packet 0x%04x%s%s", sock->protocol,
		sock->interface[0] ? " on " : "", sock->interface);
	return 0;
}

/* ---- record <-> message ---------------------------------------------------------------------- */

static Pb__PacketMember *member_pack(struct arena *arena, const struct packet_member *member)
{
	Pb__PacketMember *m = arena_alloc(arena, sizeof *m);

	pb__packet_member__init(m);
	m->interface = arena_strdup(arena, member->interface);
	m->has_type = m->has_addr = m->has_count = true;
	m->type = member->type;
	m->addr.data = arena_copy(arena, member->addr, member->nr_addr);
	m->addr.len = member->nr_addr;
	m->count = member->count;
	return m;
}

static int packet_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct packet_sock *sock = ofd->priv;
	Pb__PacketSock *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__packet_sock__init(m);
	m->has_type = m->has_protocol = true;
	m->type = sock->type;
	m->protocol = sock->protocol;
	m->interface = sock->interface[0] ? arena_strdup(snap->arena, sock->interface) : NULL;
	m->n_members = sock->nr_members;
	m->members = arena_array(snap->arena, sock->nr_members, sizeof *m->members);
	for (size_t i = 0; i < sock->nr_members; i++)
		m->members[i] = member_pack(snap->arena, &sock->members[i]);
	sockopt_pack(snap, &sock->options, &m->options, &m->n_options);
	msg->packet = m;
	return 0;
}

static int member_unpack(const Pb__PacketMember *m, struct packet_member *out, struct err *err)
{
	if (!m->interface || strlen(m->interface) >= sizeof out->interface ||
		m->addr.len > sizeof out->addr || m->count == 0 || m->count > MAX_COUNT)
		return err_set(err, EBADMSG, "packet socket: membership is malformed");
	strcpy(out->interface, m->interface);
	out->type = m->type;
	out->count = m->count;
	out->nr_addr = (uint32_t)m->addr.len;
	if (m->addr.len)
		memcpy(out->addr, m->addr.data, m->addr.len);
	return 0;
}

static int packet_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct packet_sock *sock = arena_alloc(snap->arena, sizeof *sock);
	const Pb__PacketSock *m = msg->packet;

	if (!m)
		return message_missing("packet", err);
	if ((m->type != SOCK_RAW && m->type != SOCK_DGRAM) || m->protocol > UINT16_MAX ||
		m->n_members > MAX_MEMBERS ||
		(m->interface && strlen(m->interface) >= sizeof sock->interface))
		return err_set(err, EBADMSG, "packet socket of type %u, protocol %u", m->type,
			m->protocol);
	sock->type = m->type;
	sock->protocol = (uint16_t)m->protocol;
	if (m->interface)
		strcpy(sock->interface, m->interface);
	sock->members = arena_array(snap->arena, m->n_members, sizeof *sock->members);
	sock->nr_members = m->n_members;
	for (size_t i = 0; i < m->n_members; i++)
		if (member_unpack(m->members[i], &sock->members[i], err) < 0)
			return -err->code;
	ofd->priv = sock;
	return sockopt_unpack(snap, m->options, m->n_options, &sock->options, err);
}

/* ---- record -> live -------------------------------------------------------------------------- */

static int interface_index(const char *name, int *index, struct err *err)
{
	*index = (int)if_nametoindex(name);
	if (*index)
		return 0;
	err_set(err, ENODEV, "there is no network interface %s here", name);
	return err_hint(err, "add it (ip link), or close the packet socket before the dump");
}

static int make_members(int fd, const struct packet_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_members; i++) {
		const struct packet_member *member = &sock->members[i];
		struct {
			struct packet_mreq mreq; /* of old with room for 8 bytes of address */
			uint8_t rest[PACKET_ADDR_MAX - 8];
		} join = { .mreq = { .mr_type = (unsigned short)member->type,
				   .mr_alen = (unsigned short)member->nr_addr } };

		if (interface_index(member->interface, &join.mreq.mr_ifindex, err) < 0)
			return -err->code;
		memcpy((uint8_t *)&join + offsetof(struct packet_mreq, mr_address), member->addr,
			member->nr_addr);
		for (uint32_t n = 0; n < member->count; n++)
			if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &join, sizeof join) <
				0)
				return err_sys(err, "membership of a packet socket on %s",
					member->interface);
	}
	return 0;
}

/* Only now it receives. */
static int make_bound(int fd, const struct packet_sock *sock, struct err *err)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(sock->protocol) };

	if (!sock->protocol && !sock->interface[0])
		return 0;
	if (sock->interface[0] && interface_index(sock->interface, &ll.sll_ifindex, err) < 0)
		return -err->code;
	if (bind(fd, (struct sockaddr *)&ll, sizeof ll) < 0)
		return err_sys(err, "bind a packet socket");
	return 0;
}

static int packet_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *out, struct err *err)
{
	const struct packet_sock *sock = ofd->priv;
	OWNED_FD fd = socket(
		AF_PACKET, (int)sock->type | SOCK_CLOEXEC | (ofd->flags & SOCK_NONBLOCK), 0);

	(void)m;
	if (fd < 0) {
		err_sys(err, "packet socket");
		return err_hint(err, "restore as root, or with CAP_NET_RAW");
	}
	/* The filter is a late option, but nothing that it would have kept out may come in. */
	if (sockopt_make(fd, &sock->options, false, err) < 0 ||
		sockopt_make_filter(fd, &sock->options, err) < 0 ||
		make_members(fd, sock, err) < 0 || make_bound(fd, sock, err) < 0 ||
		sockopt_make(fd, &sock->options, true, err) < 0)
		return -err->code;
	*out = take_fd(&fd);
	return 0;
}

static char *packet_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct packet_sock *sock = ofd->priv;

	(void)snap;
	return arena_printf(arena, "packet 0x%04x%s%s%s", sock->protocol,
		sock->interface[0] ? " on " : "", sock->interface,
		sock->nr_members ? ", with memberships" : "");
}

const struct fd_kind fd_packet = {
	.name = "packet",
	.is = packet_is,
	.check = packet_check,
	.save = packet_save,
	.pack = packet_pack,
	.unpack = packet_unpack,
	.make = packet_make,
	.describe = packet_describe,
};
