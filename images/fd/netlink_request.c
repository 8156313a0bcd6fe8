/*
 * Answers of the kernel (NETLINK_ROUTE) that a program has not read yet. Nobody can send as the
 * kernel does, but it can be asked again: the request is made up from what it has answered, and is
 * the right one if the kernel gives a socket of ours the same answer, to the byte but for counters
 * and ages, and no more than that.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/netlink.h"

enum { X_SO_MEMINFO = 55, REQUEST_MAX = 64, NO_MASK = -1 };

/* What can be asked for: by the kind of answer. */
static const struct {
	uint16_t answer;
	uint16_t header; /* bytes of the structure behind struct nlmsghdr */
	uint64_t moving; /* attributes with counters, ages: a mask */
} kinds[] = {
	{ RTM_NEWLINK, sizeof(struct ifinfomsg),
		1u << IFLA_STATS | 1u << IFLA_STATS64 | 1u << IFLA_AF_SPEC | 1u << IFLA_PROTINFO },
	{ RTM_NEWADDR, sizeof(struct ifaddrmsg), 1u << IFA_CACHEINFO },
	{ RTM_NEWROUTE, sizeof(struct rtmsg), 1u << RTA_CACHEINFO },
	{ RTM_NEWNEIGH, sizeof(struct ndmsg), 1u << NDA_CACHEINFO | 1u << NDA_PROBES },
	{ RTM_NEWRULE, sizeof(struct fib_rule_hdr), 0 },
	{ RTM_NEWQDISC, sizeof(struct tcmsg), 1u << TCA_STATS | 1u << TCA_STATS2 },
};

static int kind_of(uint16_t answer)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].answer == answer)
			return (int)i;
	return -1;
}

/* Bytes up to the attributes. */
static size_t head_of(int kind)
{
	return NLMSG_HDRLEN + (size_t)kinds[kind].header;
}

/* ---- are two answers the same? --------------------------------------------------------------- */

static bool same_attr(const struct rtattr *a, const struct rtattr *b, uint64_t moving)
{
	unsigned type = a->rta_type & NLA_TYPE_MASK;

	if (a->rta_len != b->rta_len || a->rta_type != b->rta_type)
		return false;
	return (type < 64 && moving >> type & 1) ||
	       !memcmp(RTA_DATA(a), RTA_DATA(b), RTA_PAYLOAD(a));
}

static bool same_attrs(const struct nlmsghdr *a, const struct nlmsghdr *b, int kind)
{
	size_t at = head_of(kind), left = a->nlmsg_len - at;
	const struct rtattr *x = (const void *)((const char *)a + at);
	const struct rtattr *y = (const void *)((const char *)b + at);

	if (memcmp(NLMSG_DATA(a), NLMSG_DATA(b), kinds[kind].header))
		return false;
	for (; RTA_OK(x, left); x = RTA_NEXT(x, left)) {
		if (!same_attr(x, y, kinds[kind].moving))
			return false;
		y = (const void *)((const char *)y + RTA_ALIGN(x->rta_len));
	}
	return left == 0;
}

/* The port number is that of the socket. */
static bool same_message(const struct nlmsghdr *a, const struct nlmsghdr *b)
{
	int kind = kind_of(a->nlmsg_type);

	if (a->nlmsg_len != b->nlmsg_len || a->nlmsg_type != b->nlmsg_type ||
		a->nlmsg_flags != b->nlmsg_flags || a->nlmsg_seq != b->nlmsg_seq)
		return false;
	if (kind >= 0 && a->nlmsg_len >= head_of(kind))
		return same_attrs(a, b, kind);
	return !memcmp(NLMSG_DATA(a), NLMSG_DATA(b), a->nlmsg_len - (size_t)NLMSG_HDRLEN);
}

static bool same_answer(const uint8_t *a, const uint8_t *b, size_t len)
{
	const struct nlmsghdr *x = (const void *)a, *y = (const void *)b;
	size_t left = len;

	for (; NLMSG_OK(x, left); x = NLMSG_NEXT(x, left)) {
		if (!same_message(x, y))
			return false;
		y = (const void *)((const char *)y + NLMSG_ALIGN(x->nlmsg_len));
	}
	return true;
}

/* Memory that all takes which waits to be read; 0: nobody knows. */
uint32_t netlink_memory(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof info;

	return getsockopt(fd, SOL_SOCKET, X_SO_MEMINFO, info, &len) < 0
		       ? 0
		       : info[SK_MEMINFO_RMEM_ALLOC];
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int request_send(int fd, const void *request, size_t len)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, request, len, MSG_DONTWAIT, (const struct sockaddr *)&kernel,
		       sizeof kernel) == (ssize_t)len
		       ? 0
		       : -1;
}

ssize_t netlink_look(int fd, struct arena *arena, uint8_t **data, struct sockaddr_nl *from)
{
	socklen_t from_len = sizeof *from;
	ssize_t len = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (len < 0)
		return -1;
	*data = arena_alloc(arena, len ? (size_t)len : 1);
	return recvfrom(fd, *data, (size_t)len, MSG_PEEK | MSG_DONTWAIT, (struct sockaddr *)from,
		&from_len);
}

/* Does a socket of our own get the same from it, and no more? */
static bool gives(const void *request, const struct netlink_first *first,
	const struct netlink_sock *sock, struct arena *arena)
{
	const struct nlmsghdr *h = request;
	OWNED_FD own = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)sock->protocol);
	struct sockaddr_nl from = { 0 };
	struct err err = { 0 };
	uint8_t *answer;

	return own >= 0 && sockopt_make(own, &sock->options, false, &err) == 0 &&
	       sockopt_make(own, &sock->options, true, &err) == 0 &&
	       request_send(own, request, h->nlmsg_len) == 0 && first->memory &&
	       netlink_memory(own) == first->memory &&
	       netlink_look(own, arena, &answer, &from) == (ssize_t)first->len &&
	       same_answer(first->data, answer, first->len);
}

struct asking {
	_Alignas(struct nlmsghdr) uint8_t bytes[REQUEST_MAX];
};

/* What may have been asked: of which family, for links with which IFLA_EXT_MASK, with an ack. */
struct variant {
	uint8_t family;
	int mask;
	uint16_t ack;
};

static void request_of(
	const struct nlmsghdr *answer, int kind, const struct variant *v, struct asking *out)
{
	struct nlmsghdr *h = (void *)out->bytes;
	bool dump = answer->nlmsg_flags & NLM_F_MULTI;
	struct rtattr *attr;

	memset(out, 0, sizeof *out);
	h->nlmsg_len = NLMSG_LENGTH(kinds[kind].header);
	h->nlmsg_type = (uint16_t)(answer->nlmsg_type + RTM_GETLINK - RTM_NEWLINK);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0) | v->ack);
	h->nlmsg_seq = answer->nlmsg_seq;
	*(uint8_t *)NLMSG_DATA(h) = v->family;
	if (!dump && answer->nlmsg_type == RTM_NEWLINK)
		((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index =
			((const struct ifinfomsg *)NLMSG_DATA(answer))->ifi_index;
	if (v->mask == NO_MASK)
		return;
	attr = (void *)(out->bytes + NLMSG_ALIGN(h->nlmsg_len));
	attr->rta_type = IFLA_EXT_MASK;
	attr->rta_len = RTA_LENGTH(sizeof v->mask);
	memcpy(RTA_DATA(attr), &v->mask, sizeof v->mask);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_LENGTH(sizeof v->mask);
}

static bool request_is(const void *request, const struct netlink_first *first,
	struct netlink_sock *sock, struct arena *arena)
{
	const struct nlmsghdr *h = request;

	if (!gives(request, first, sock, arena))
		return false;
	sock->len_request = h->nlmsg_len;
	sock->request = arena_copy(arena, request, sock->len_request);
	return true;
}

static bool try_masks(const struct netlink_first *first, struct variant v,
	struct netlink_sock *sock, struct arena *arena)
{
	static const int masks[] = { NO_MASK, RTEXT_FILTER_VF,
		RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS, RTEXT_FILTER_SKIP_STATS };
	const struct nlmsghdr *answer = (const void *)first->data;
	struct asking a;

	for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
		v.mask = masks[i];
		if (i && answer->nlmsg_type != RTM_NEWLINK)
			return false;
		request_of(answer, kind_of(answer->nlmsg_type), &v, &a);
		if (request_is(a.bytes, first, sock, arena))
			return true;
	}
	return false;
}

/* An error comes with the request. */
static bool try_failed(
	const struct netlink_first *first, struct netlink_sock *sock, struct arena *arena)
{
	const struct nlmsghdr *h = (const void *)first->data;
	const struct nlmsgerr *e = NLMSG_DATA(h);
	struct asking a = { 0 };

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *e) || e->msg.nlmsg_len > sizeof a ||
		h->nlmsg_len < NLMSG_LENGTH(sizeof e->error) + e->msg.nlmsg_len ||
		!netlink_request_asks((const void *)&e->msg, e->msg.nlmsg_len))
		return false;
	memcpy(&a, &e->msg, e->msg.nlmsg_len);
	return request_is(a.bytes, first, sock, arena);
}

bool netlink_request_find(
	const struct netlink_first *first, struct netlink_sock *sock, struct arena *arena)
{
	static const uint8_t families[] = { AF_UNSPEC, AF_INET, AF_INET6, AF_BRIDGE };
	const struct nlmsghdr *answer = (const void *)first->data;
	int kind;

	if (sock->protocol != NETLINK_ROUTE || !NLMSG_OK(answer, first->len))
		return false;
	if (answer->nlmsg_type == NLMSG_ERROR)
		return try_failed(first, sock, arena);
	kind = kind_of(answer->nlmsg_type);
	if (kind < 0 || answer->nlmsg_len < head_of(kind))
		return false;
	for (size_t i = 0; i < 2 * sizeof families / sizeof *families; i++) {
		struct variant v = { families[i / 2], NO_MASK, i % 2 ? NLM_F_ACK : 0 };

		if (try_masks(first, v, sock, arena))
			return true;
	}
	return false;
}

/* ---- again ----------------------------------------------------------------------------------- */

bool netlink_request_asks(const uint8_t *request, size_t len)
{
	struct nlmsghdr h;

	if (len < sizeof h || len > REQUEST_MAX)
		return false;
	memcpy(&h, request, sizeof h);
	return h.nlmsg_len == len && h.nlmsg_type >= RTM_BASE &&
	       kind_of((uint16_t)(h.nlmsg_type - RTM_GETLINK + RTM_NEWLINK)) >= 0 &&
	       !(h.nlmsg_flags & ~(unsigned)(NLM_F_REQUEST | NLM_F_DUMP | NLM_F_ACK));
}

int netlink_request_make(int fd, const struct netlink_sock *sock, struct err *err)
{
	if (sock->len_request && request_send(fd, sock->request, sock->len_request) < 0)
		return err_sys(err, "ask the kernel again (netlink)");
	return 0;
}
