/*
 * Keys that sign the segments of TCP (TCP_MD5SIG, RFC 2385: BGP). getsockopt(2) does not tell them,
 * but sock_diag(7) does, to those with CAP_NET_ADMIN. Whoever has the image has the keys, as with
 * everything that is in it.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/inet.h"
#include "images/fd/sock_diag_nl.h"
#include "images/fd/tcp.h"
#include "proto/socket.pb-c.h"

enum { MAX_KEYS = 4096 };

/* ---- live -> record ----------------------------------------------------------------------------
 */

struct search {
	struct arena *arena;
	uint64_t ino;
	bool found;
	struct inet_sock *sock;
};

static void keys_take(struct search *s, const struct tcp_diag_md5sig *from, size_t nr)
{
	struct inet_sock *sock = s->sock;

	sock->md5 = arena_array(s->arena, nr, sizeof *sock->md5);
	sock->nr_md5 = nr;
	for (size_t i = 0; i < nr; i++) {
		struct tcp_md5_key *key = &sock->md5[i];

		key->family = from[i].tcpm_family;
		key->prefix = from[i].tcpm_prefixlen;
		memcpy(key->addr, from[i].tcpm_addr, sizeof key->addr);
		key->nr_key = from[i].tcpm_keylen <= sizeof key->key ? from[i].tcpm_keylen : 0;
		memcpy(key->key, from[i].tcpm_key, key->nr_key);
	}
}

static void md5_answer(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);
	struct search *s = arg;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || msg->idiag_inode != s->ino)
		return;
	s->found = true;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_MD5SIG)
			keys_take(s, RTA_DATA(a), RTA_PAYLOAD(a) / sizeof(struct tcp_diag_md5sig));
}

int tcp_md5_save(struct arena *arena, uint64_t ino, struct inet_sock *sock, struct err *err)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)sock->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1u << (INET_DIAG_INFO - 1), /* else keys are left out */
		.idiag_states = UINT32_MAX,
		.id = { .idiag_sport = htons(sock->local.port),
			.idiag_dport = htons(sock->remote.port),
			.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	struct search s = { arena, ino, false, sock };

	sock->nr_md5 = 0;
	if (!sock->local.set || sock->protocol != IPPROTO_TCP)
		return 0;
	memcpy(req.id.idiag_src, sock->local.addr, sizeof req.id.idiag_src);
	memcpy(req.id.idiag_dst, sock->remote.addr, sizeof req.id.idiag_dst);
	/* Sockets that neither listen nor are connected are not found, and those that share a port
	 * not surely: then all are looked at. */
	if (diag_ask(SOCK_DIAG_BY_FAMILY, 0, &req, sizeof req, md5_answer, &s, NULL) == 0 &&
		s.found)
		return 0;
	memset(&req.id, 0, sizeof req.id);
	return diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, md5_answer, &s, err);
}

/* ---- record -> live ----------------------------------------------------------------------------
 */

static int key_make(int fd, const struct tcp_md5_key *key)
{
	struct tcp_md5sig sig = { .tcpm_flags = TCP_MD5SIG_FLAG_PREFIX,
		.tcpm_prefixlen = key->prefix,
		.tcpm_keylen = (uint16_t)key->nr_key };
	struct sockaddr_in *v4 = (void *)&sig.tcpm_addr;
	struct sockaddr_in6 *v6 = (void *)&sig.tcpm_addr;

	memcpy(sig.tcpm_key, key->key, key->nr_key);
	if (key->family == AF_INET) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, key->addr, 4);
	} else {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, key->addr, 16);
	}
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &sig, sizeof sig);
}

/* An IPv6 socket takes the key of an IPv4 peer under its mapped address. */
static struct tcp_md5_key mapped(const struct tcp_md5_key *key)
{
	struct tcp_md5_key m = *key;

	memset(m.addr, 0, sizeof m.addr);
	m.addr[10] = m.addr[11] = 0xff;
	memcpy(m.addr + 12, key->addr, 4);
	m.family = AF_INET6;
	m.prefix = (uint8_t)(key->prefix + 96);
	return m;
}

int tcp_md5_make(int fd, const struct inet_sock *sock, struct err *err)
{
	for (size_t i = 0; i < sock->nr_md5; i++) {
		struct tcp_md5_key key = sock->md5[i];

		if (sock->family == AF_INET6 && key.family == AF_INET)
			key = mapped(&key);
		if (key_make(fd, &key) < 0)
			return err_sys(err, "key of a TCP socket (TCP_MD5SIG)");
	}
	return 0;
}

/* ---- record <-> message ------------------------------------------------------------------------
 */

void tcp_md5_pack(
	struct arena *arena, const struct inet_sock *sock, Pb__TcpMd5Key ***msgs, size_t *nr)
{
	*nr = sock->nr_md5;
	*msgs = arena_array(arena, sock->nr_md5, sizeof **msgs);
	for (size_t i = 0; i < sock->nr_md5; i++) {
		const struct tcp_md5_key *key = &sock->md5[i];
		Pb__TcpMd5Key *m = arena_alloc(arena, sizeof *m);

		pb__tcp_md5_key__init(m);
		m->has_addr = m->has_prefix = m->has_key = true;
		m->addr.len = key->family == AF_INET ? 4 : 16;
		m->addr.data = arena_copy(arena, key->addr, m->addr.len);
		m->prefix = key->prefix;
		m->key.data = arena_copy(arena, key->key, key->nr_key);
		m->key.len = key->nr_key;
		(*msgs)[i] = m;
	}
}

int tcp_md5_unpack(struct arena *arena, Pb__TcpMd5Key *const *msgs, size_t nr,
	struct inet_sock *sock, struct err *err)
{
	if (nr > MAX_KEYS || (nr && sock->protocol != IPPROTO_TCP))
		return err_set(err, EBADMSG, "%zu keys of a TCP socket", nr);
	sock->md5 = arena_array(arena, nr, sizeof *sock->md5);
	sock->nr_md5 = nr;
	for (size_t i = 0; i < nr; i++) {
		struct tcp_md5_key *key = &sock->md5[i];
		const Pb__TcpMd5Key *m = msgs[i];

		if ((m->addr.len != 4 && m->addr.len != 16) || m->prefix > 8 * m->addr.len ||
			m->key.len > sizeof key->key)
			return err_set(err, EBADMSG, "key of a TCP socket is malformed");
		key->family = m->addr.len == 4 ? AF_INET : AF_INET6;
		key->prefix = (uint8_t)m->prefix;
		memcpy(key->addr, m->addr.data, m->addr.len);
		key->nr_key = m->key.len;
		if (m->key.len)
			memcpy(key->key, m->key.data, m->key.len);
	}
	return 0;
}
