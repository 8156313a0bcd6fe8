/* What only sock_diag(7) tells about packet sockets; see packet.h. */
#include <errno.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/packet.h"
#include "images/fd/sock_diag_nl.h"

struct search {
	struct arena *arena;
	uint64_t ino;
	bool found, ring, fanout;
	struct packet_diag_mclist *members;
	size_t nr;
};

static void diag_attr(const struct rtattr *a, struct search *s)
{
	switch (a->rta_type) {
	case PACKET_DIAG_MCLIST:
		s->nr = RTA_PAYLOAD(a) / sizeof *s->members;
		s->members = arena_copy(s->arena, RTA_DATA(a), s->nr * sizeof *s->members);
		break;
	case PACKET_DIAG_RX_RING:
	case PACKET_DIAG_TX_RING:
		s->ring = true;
		break;
	case PACKET_DIAG_FANOUT:
		s->fanout = true;
		break;
	default:
		break;
	}
}

static void diag_answer(const struct nlmsghdr *h, void *arg)
{
	const struct packet_diag_msg *msg = NLMSG_DATA(h);
	struct search *s = arg;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || msg->pdiag_ino != s->ino)
		return;
	s->found = true;
	left = h->nlmsg_len - NLMSG_SPACE(sizeof *msg);
	for (const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof *msg));
		RTA_OK(a, left); a = RTA_NEXT(a, left))
		diag_attr(a, s);
}

static int member_save(
	const struct packet_diag_mclist *from, struct packet_member *to, struct err *err)
{
	if (!if_indextoname(from->pdmc_index, to->interface))
		return err_sys(err, "name of network interface %u", from->pdmc_index);
	to->type = from->pdmc_type;
	to->count = from->pdmc_count;
	to->nr_addr = from->pdmc_alen < PACKET_ADDR_MAX ? from->pdmc_alen : PACKET_ADDR_MAX;
	memcpy(to->addr, from->pdmc_addr, to->nr_addr);
	return 0;
}

int packet_diag(struct arena *arena, uint64_t ino, struct packet_sock *out, struct err *err)
{
	struct packet_diag_req req = {
		.sdiag_family = AF_PACKET,
		.pdiag_show = PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT,
	};
	struct search s = { .arena = arena, .ino = ino };

	if (diag_ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof req, diag_answer, &s, err) < 0)
		return err_wrap(err, "ask about a packet socket (packet_diag)");
	if (!s.found) {
		err_set(err, ENOTSUP, "the kernel (sock_diag) does not know this packet socket");
		return err_hint(
			err, "it may belong to another network namespace: run snapctl there");
	}
	if (s.ring) {
		err_set(err, ENOTSUP,
			"a packet socket with a ring (PACKET_RX_RING, PACKET_TX_RING) "
			"cannot be dumped: it shares memory with the kernel");
		return err_hint(err, "stop capturing before the dump");
	}
	out->in_fanout = s.fanout;
	out->members = arena_array(arena, s.nr, sizeof *out->members);
	out->nr_members = s.nr;
	for (size_t i = 0; i < s.nr; i++)
		if (member_save(&s.members[i], &out->members[i], err) < 0)
			return -err->code;
	return 0;
}
