/*
 * Datagrams sent again without CAP_NET_RAW: by the socket of their sender, where that is part of
 * the dump and made already, else by one that has its address for a moment. Senders on other
 * machines only root can stand in for: raw_send.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/kinds.h"

/* Room for addresses, time to live and type of service. */
enum { CONTROL_SIZE = 128 };

/* A sender's socket, and what it is asked to send. */
struct resend {
	int fd, family;
	bool v4;                  /* the packets are */
	uint8_t from[16], to[16]; /* as IPv6 has them */
	char control[CONTROL_SIZE] __attribute__((aligned(__alignof__(struct cmsghdr))));
	size_t control_len;
};

static void as_v6(int family, const struct inet_addr *a, uint8_t out[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (family == AF_INET6) {
		memcpy(out, a->addr, 16);
		return;
	}
	memcpy(out, prefix, sizeof prefix);
	memcpy(out + sizeof prefix, a->addr, 4);
}

static bool is_sender(const struct inet_sock *sock, const struct resend *r, uint16_t port)
{
	static const uint8_t any[16];
	uint8_t own[16];

	as_v6(sock->family, &sock->local, own);
	if (sock->type != SOCK_DGRAM || sock->protocol != IPPROTO_UDP || sock->local.port != port ||
		(sock->family == AF_INET && !r->v4))
		return false;
	return !memcmp(own, r->from, 16) || !memcmp(own, any, 16) ||
	       (sock->family == AF_INET && !memcmp(own + 12, any, 4));
}

/* Of the dump: `self`, which is just being made from sock, or another one. -1: none. */
static int sender_find(const struct fd_make *m, int self, const struct inet_sock *sock,
	struct resend *r, uint16_t port)
{
	if (is_sender(sock, r, port)) {
		r->family = sock->family;
		return self;
	}
	for (uint32_t i = 0; m && i < m->snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &m->snap->ofds[i];

		if (m->made[i] < 0 || ofd->kind != &fd_inet || !is_sender(ofd->priv, r, port))
			continue;
		r->family = ((const struct inet_sock *)ofd->priv)->family;
		return m->made[i];
	}
	return -1;
}

static void control_add(struct resend *r, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (void *)(r->control + r->control_len);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	r->control_len += CMSG_SPACE(len);
}

/* The sender's address is named as well: its socket may have any. */
static void control_make(struct resend *r, const struct inet_dgram *d)
{
	struct in_pktinfo v4 = { 0 };
	struct in6_pktinfo v6 = { .ipi6_ifindex = d->from.scope[0] ? if_nametoindex(d->from.scope)
								   : 0 };
	int ttl = d->ttl ? d->ttl : 64, tos = d->tos;

	memcpy(&v4.ipi_spec_dst, r->from + 12, 4);
	memcpy(&v6.ipi6_addr, r->from, 16);
	if (r->v4) {
		control_add(r, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
		control_add(r, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
		control_add(r, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
	} else {
		control_add(r, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
		control_add(r, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof ttl);
		control_add(r, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
	}
}

/* As a socket of r's family wants it. */
static int address_of(const struct resend *r, const uint8_t addr[16], const struct inet_addr *known,
	struct sockaddr_storage *sa, socklen_t *len, struct err *err)
{
	struct inet_addr a = *known;

	memcpy(a.addr, r->family == AF_INET ? addr + 12 : addr, r->family == AF_INET ? 4 : 16);
	return inet_addr_to(r->family, &a, sa, len, err);
}

static int sender_make(
	struct resend *r, const struct inet_addr *from, int *stranger, struct err *err)
{
	struct sockaddr_storage sa;
	char text[INET_ADDR_TEXT];
	socklen_t len;

	r->family = r->v4 ? AF_INET : AF_INET6;
	*stranger = socket(r->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*stranger < 0)
		return err_sys(err, "socket");
	if (address_of(r, r->from, from, &sa, &len, err) < 0)
		return -err->code;
	r->fd = *stranger;
	if (bind(r->fd, (const struct sockaddr *)&sa, len) == 0)
		return 0;
	err_sys(err, "stand in for the sender of a datagram, %s",
		inet_addr_text(r->v4 ? AF_INET : AF_INET6, from, text));
	return err_hint(err, "restore as root, or with CAP_NET_RAW");
}

int inet_resend(const struct fd_make *m, int self, const struct inet_sock *sock,
	const struct inet_dgram *d, struct err *err)
{
	struct iovec iov = { d->data, d->len };
	struct sockaddr_storage to;
	struct msghdr msg = { .msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1 };
	struct resend r = { .v4 = sock->family == AF_INET ||
				  inet_addr_is_mapped(sock->family, &d->to) };
	OWNED_FD stranger = -1;

	as_v6(sock->family, &d->from, r.from);
	as_v6(sock->family, &d->to, r.to);
	r.fd = sender_find(m, self, sock, &r, d->from.port);
	if (r.fd < 0 && sender_make(&r, &d->from, &stranger, err) < 0)
		return -err->code;
	if (address_of(&r, r.to, &d->to, &to, &msg.msg_namelen, err) < 0)
		return -err->code;
	control_make(&r, d);
	msg.msg_control = r.control;
	msg.msg_controllen = r.control_len;
	return sendmsg(r.fd, &msg, MSG_DONTWAIT) < 0 ? err_sys(err, "send a datagram again") : 0;
}
