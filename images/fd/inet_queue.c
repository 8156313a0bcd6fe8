/*
 * Datagrams that were received and not read: looked at without taking them, and at the restore sent
 * again by raw_send.c as if from their senders, or by inet_resend.c where that is not allowed. So
 * they arrive through the loopback device, which only IP_PKTINFO shows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/raw_send.h"
#include "proto/socket.pb-c.h"

enum {
	MOST_BYTES = 65487, /* what fits into a packet of the loopback device, IPv6 too */
	MOST_DATAGRAMS = 65536,
	ARRIVAL_TRIES = 1000, /* milliseconds */
	X_UDP_GRO = 104,
	X_SO_BUF_LOCK = 72,
	X_SO_MEMINFO = 55,
};

/* RFC 768 */
struct udp_header {
	uint16_t sport, dport, len, check;
};

/* ---- live -> record ----------------------------------------------------------------------------
 */

/* What recvmsg(2) tells only when asked; the socket is the target's too, so all is put back. */
static const struct asked {
	int family, level, name, value;
} asked[] = {
	{ AF_UNSPEC, SOL_SOCKET, SO_PEEK_OFF, 0 },
	{ AF_UNSPEC, IPPROTO_IP, IP_PKTINFO, 1 },
	{ AF_UNSPEC, IPPROTO_IP, IP_RECVTTL, 1 },
	{ AF_UNSPEC, IPPROTO_IP, IP_RECVTOS, 1 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ AF_INET6, IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
};
enum { NR_ASKED = sizeof asked / sizeof *asked };

static bool asked_applies(const struct asked *a, int family)
{
	return a->family == AF_UNSPEC || a->family == family;
}

static int ask(int fd, int family, int was[NR_ASKED], size_t *nr, struct err *err)
{
	for (*nr = 0; *nr < NR_ASKED; ++*nr) {
		const struct asked *a = &asked[*nr];
		socklen_t len = sizeof(int);

		if (!asked_applies(a, family))
			continue;
		if (getsockopt(fd, a->level, a->name, &was[*nr], &len) < 0 ||
			setsockopt(fd, a->level, a->name, &a->value, sizeof a->value) < 0)
			return err_sys(err, "option %d of a datagram socket", a->name);
	}
	return 0;
}

static int ask_no_more(
	int fd, int family, const int was[NR_ASKED], size_t nr, int ret, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (asked_applies(&asked[i], family) &&
			setsockopt(fd, asked[i].level, asked[i].name, &was[i], sizeof was[i]) < 0 &&
			!ret)
			ret = err_sys(err, "put option %d back", asked[i].name);
	return ret;
}

struct arrived {
	struct inet_dgram dgram;
	uint8_t *data;
	size_t len;
	int piece; /* UDP_GRO: several datagrams of this size stand together; 0: one */
};

static void look_v6(const struct cmsghdr *c, struct inet_dgram *d)
{
	struct in6_pktinfo info;
	int value;

	if (c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof info);
		memcpy(d->to.addr, &info.ipi6_addr, 16);
		d->to.set = true;
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			if_indextoname(info.ipi6_ifindex, d->to.scope);
		return;
	}
	memcpy(&value, CMSG_DATA(c), sizeof value);
	if (c->cmsg_type == IPV6_HOPLIMIT)
		d->ttl = (uint8_t)value;
	else if (c->cmsg_type == IPV6_TCLASS)
		d->tos = (uint8_t)value;
}

/* An IPv6 socket hears of IPv4 senders in both ways, and IPV6_PKTINFO has the mapped address. */
static void look_v4(const struct cmsghdr *c, int family, struct inet_dgram *d)
{
	struct in_pktinfo info;
	int value;

	if (c->cmsg_type == IP_PKTINFO && family == AF_INET) {
		memcpy(&info, CMSG_DATA(c), sizeof info);
		memcpy(d->to.addr, &info.ipi_addr, 4);
		d->to.set = true;
	} else if (c->cmsg_type == IP_TTL) {
		memcpy(&value, CMSG_DATA(c), sizeof value);
		d->ttl = (uint8_t)value;
	} else if (c->cmsg_type == IP_TOS) {
		d->tos = *CMSG_DATA(c);
	}
}

static void look_control(struct msghdr *msg, int family, struct arrived *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP)
			look_v4(c, family, &out->dgram);
		else if (c->cmsg_level == IPPROTO_IPV6)
			look_v6(c, &out->dgram);
		else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == X_UDP_GRO)
			memcpy(&out->piece, CMSG_DATA(c), sizeof out->piece);
	}
}

/* 0: there are no more. */
static int look(int fd, int family, uint8_t *buf, size_t size, struct arrived *out, struct err *err)
{
	_Alignas(struct cmsghdr) char control[1024];
	struct sockaddr_storage from = { 0 };
	struct iovec iov = { buf, size };
	struct msghdr msg = { &from, sizeof from, &iov, 1, control, sizeof control, 0 };
	ssize_t n;

	memset(out, 0, sizeof *out);
	do
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "look at received datagrams");
	inet_addr_from(&from, &out->dgram.from);
	look_control(&msg, family, out);
	out->data = buf;
	out->len = (size_t)n;
	return 1;
}

/* The last address of a network may be its broadcast address; the kernel says so when asked. */
static bool is_for_many(int family, const struct inet_addr *to)
{
	if (family == AF_INET6 && to->addr[0] == 0xff)
		return true;
	if (family == AF_INET)
		return to->addr[0] >= 224;
	return !memcmp(to->addr, "\0\0\0\0\0\0\0\0\0\0\377\377", 12) && to->addr[12] >= 224;
}

static bool is_local(int family, const struct inet_addr *to)
{
	OWNED_FD fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct inet_addr any_port = *to;
	struct sockaddr_storage sa;
	socklen_t len;

	any_port.port = 0;
	if (fd < 0 || inet_addr_to(family, &any_port, &sa, &len, NULL) < 0 ||
		bind(fd, (struct sockaddr *)&sa, len) < 0)
		return false;
	/* bind(2) takes broadcast addresses; sending there has to be allowed first. */
	any_port.port = 9;
	return inet_addr_to(family, &any_port, &sa, &len, NULL) == 0 &&
	       (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno != EACCES);
}

static int arrived_check(const struct inet_sock *sock, const struct arrived *a, struct err *err)
{
	char to[INET_ADDR_TEXT];

	inet_addr_text(sock->family, &a->dgram.to, to);
	if (!a->dgram.to.set || is_for_many(sock->family, &a->dgram.to) ||
		!is_local(sock->family, &a->dgram.to))
		err_set(err, ENOTSUP, "a datagram to %s, a group, waits to be read", to);
	else if (a->len > MOST_BYTES)
		err_set(err, ENOTSUP, "a datagram of %zu bytes waits to be read", a->len);
	else
		return 0;
	return err_hint(err, "let the program read it, or drop it with --tcp-close");
}

static void dgram_add(struct arena *arena, struct inet_sock *sock, size_t *cap,
	const struct arrived *a, size_t at, size_t len)
{
	struct inet_dgram *d;

	sock->dgrams = arena_grow(arena, sock->dgrams, sock->nr_dgrams, cap, sizeof *sock->dgrams);
	d = &sock->dgrams[sock->nr_dgrams++];
	*d = a->dgram;
	d->to.port = sock->local.port;
	d->data = arena_copy(arena, a->data + at, len);
	d->len = len;
}

static int look_all(struct arena *arena, int fd, struct inet_sock *sock, struct err *err)
{
	enum { SIZE = 1 << 18 }; /* UDP_GRO puts at most 64 KiB together */
	uint8_t *buf = arena_alloc(arena, SIZE);
	size_t cap = 0;
	struct arrived a;
	int more;

	while ((more = look(fd, sock->family, buf, SIZE, &a, err)) > 0) {
		size_t piece = a.piece > 0 ? (size_t)a.piece : a.len, at = 0;

		if (arrived_check(sock, &a, err) < 0)
			return -err->code;
		do {
			size_t left = a.len - at;

			dgram_add(arena, sock, &cap, &a, at, left < piece ? left : piece);
			at += piece;
		} while (at < a.len);
	}
	return more;
}

int inet_queue_save(struct arena *arena, int fd, struct inet_sock *sock, struct err *err)
{
	int was[NR_ASKED], ret;
	size_t nr;

	sock->dgrams = NULL;
	sock->nr_dgrams = 0;
	ret = ask(fd, sock->family, was, &nr, err);
	if (!ret)
		ret = look_all(arena, fd, sock, err);
	return ask_no_more(fd, sock->family, was, nr, ret, err);
}

/* ---- record -> live ----------------------------------------------------------------------------
 */

/* Bytes of memory that the receive queue takes; it grows with each datagram. */
static int queue_size(int fd, uint32_t *size, struct err *err)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, X_SO_MEMINFO, info, &len) < 0)
		return err_sys(err, "SO_MEMINFO");
	*size = info[SK_MEMINFO_RMEM_ALLOC];
	return 0;
}

static int await_arrival(int fd, uint32_t before, struct err *err)
{
	uint32_t now = 0;

	for (int i = 0; i < ARRIVAL_TRIES; i++) {
		if (queue_size(fd, &now, err) < 0)
			return -err->code;
		if (now > before)
			return 0;
		poll(NULL, 0, 1);
	}
	err_set(err, ETIMEDOUT, "a datagram that was queued did not arrive again");
	return err_hint(err, "is there a firewall rule for the loopback device?");
}

static int dgram_send(int family, const struct inet_dgram *d, struct err *err)
{
	bool mapped = inet_addr_is_mapped(family, &d->to);
	uint8_t data[sizeof(struct udp_header) + MOST_BYTES];
	struct udp_header udp = { htons(d->from.port), htons(d->to.port),
		htons((uint16_t)(sizeof udp + d->len)), 0 };
	struct raw_packet p = { .v6 = family == AF_INET6 && !mapped,
		.protocol = IPPROTO_UDP,
		.ttl = d->ttl ? d->ttl : 64,
		.tos = d->tos,
		.interface = d->to.scope[0] ? if_nametoindex(d->to.scope) : 0,
		.data = data,
		.len = sizeof udp + d->len };
	size_t skip = mapped ? 12 : 0, len = p.v6 ? 16 : 4;

	memcpy(p.saddr, d->from.addr + skip, len);
	memcpy(p.daddr, d->to.addr + skip, len);
	memcpy(data, &udp, sizeof udp);
	memcpy(data + sizeof udp, d->data, d->len);
	udp.check = raw_checksum(&p);
	if (!udp.check)
		udp.check = 0xffff; /* 0 says that there is none */
	memcpy(data, &udp, sizeof udp);
	return raw_send(&p, err);
}

/*
 * Where several sockets share the port, the kernel chooses among them; but one that is connected to
 * the sender comes first. Connecting to nobody afterwards gives back an address that was not bound.
 */
static int sender_only(int fd, int family, const struct inet_addr *from, struct err *err)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof sa;

	if (from && inet_addr_to(family, from, &sa, &len, err) < 0)
		return -err->code;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0)
		return err_sys(err, "connect a datagram socket to a sender");
	return 0;
}

static int dgram_make(const struct fd_make *m, int fd, const struct inet_sock *sock,
	const struct inet_dgram *d, struct err *err)
{
	bool shared = sockopt_int(&sock->options, SOL_SOCKET, SO_REUSEPORT, 0) ||
		      sockopt_int(&sock->options, SOL_SOCKET, SO_REUSEADDR, 0);
	uint32_t before = 0;

	if (shared && sender_only(fd, sock->family, &d->from, err) < 0)
		return -err->code;
	if (queue_size(fd, &before, err) < 0)
		return -err->code;
	if (dgram_send(sock->family, d, err) < 0 &&
		(err->code != EPERM || inet_resend(m, fd, sock, d, err) < 0))
		return -err->code;
	if (await_arrival(fd, before, err) < 0)
		return -err->code;
	return shared ? sender_only(fd, sock->family, NULL, err) : 0;
}

/* All of it has to fit, also where the program has made the buffer smaller since. */
static int widened(int fd, const struct inet_sock *sock, int *was, int *lock, struct err *err)
{
	socklen_t len = sizeof(int);
	int size = 1 << 20;

	for (size_t i = 0; i < sock->nr_dgrams; i++)
		size += 4096 + 4 * (int)sock->dgrams[i].len;
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, was, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, X_SO_BUF_LOCK, lock, &len) < 0 ||
		(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 &&
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0))
		return err_sys(err, "receive buffer of a datagram socket");
	*was /= 2; /* the kernel doubles what it is given */
	return 0;
}

int inet_queue_make(const struct fd_make *m, int fd, const struct inet_sock *sock, struct err *err)
{
	int size, lock;

	if (!sock->nr_dgrams)
		return 0;
	if (widened(fd, sock, &size, &lock, err) < 0)
		return -err->code;
	for (size_t i = 0; i < sock->nr_dgrams; i++)
		if (dgram_make(m, fd, sock, &sock->dgrams[i], err) < 0)
			return err_wrap(err, "datagram %zu of %zu", i + 1, sock->nr_dgrams);
	if ((setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0) ||
		setsockopt(fd, SOL_SOCKET, X_SO_BUF_LOCK, &lock, sizeof lock) < 0)
		return err_sys(err, "receive buffer of a datagram socket");
	return 0;
}

/* ---- record <-> message ------------------------------------------------------------------------
 */

void inet_queue_pack(
	struct arena *arena, const struct inet_sock *sock, Pb__InetDatagram ***msgs, size_t *nr)
{
	*nr = sock->nr_dgrams;
	*msgs = arena_array(arena, sock->nr_dgrams, sizeof **msgs);
	for (size_t i = 0; i < sock->nr_dgrams; i++) {
		const struct inet_dgram *d = &sock->dgrams[i];
		Pb__InetDatagram *m = arena_alloc(arena, sizeof *m);

		pb__inet_datagram__init(m);
		m->has_data = m->has_ttl = m->has_tos = true;
		m->data.data = d->data;
		m->data.len = d->len;
		m->from = inet_addr_pack(arena, sock->family, &d->from);
		m->to = inet_addr_pack(arena, sock->family, &d->to);
		m->ttl = d->ttl;
		m->tos = d->tos;
		(*msgs)[i] = m;
	}
}

static int dgram_unpack(struct arena *arena, int family, const Pb__InetDatagram *m,
	struct inet_dgram *out, struct err *err)
{
	if (m->data.len > MOST_BYTES || !m->from || !m->to || m->ttl > 255 || m->tos > 255)
		return err_set(err, EBADMSG, "datagram of %zu bytes is malformed", m->data.len);
	out->data = arena_copy(arena, m->data.data, m->data.len);
	out->len = m->data.len;
	out->ttl = (uint8_t)m->ttl;
	out->tos = (uint8_t)m->tos;
	if (inet_addr_unpack(family, m->from, &out->from, err) < 0)
		return -err->code;
	return inet_addr_unpack(family, m->to, &out->to, err);
}

int inet_queue_unpack(struct arena *arena, Pb__InetDatagram *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err)
{
	if (nr > MOST_DATAGRAMS || (nr && (sock->protocol != IPPROTO_UDP ||
						  sock->type != SOCK_DGRAM || !sock->local.set)))
		return err_set(err, EBADMSG, "%zu datagrams in a socket", nr);
	sock->dgrams = arena_array(arena, nr, sizeof *sock->dgrams);
	sock->nr_dgrams = nr;
	for (size_t i = 0; i < nr; i++)
		if (dgram_unpack(arena, sock->family, msgs[i], &sock->dgrams[i], err) < 0)
			return -err->code;
	return 0;
}
