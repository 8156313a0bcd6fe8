/* nftables by netlink messages; see tcp_nft.h, and linux/netfilter/nf_tables.h for the words. */
#include "images/fd/tcp_nft.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"

/* Before all other rules of the machine: what we drop is nobody else's business. */
enum { HOLD_PRIORITY = -400 };

/* ---- messages and attributes ------------------------------------------------------------------
 */

static void *batch_room(struct nft_batch *b, size_t len)
{
	void *at = b->bytes + b->len;

	assert(b->len + NLMSG_ALIGN(len) <= sizeof b->bytes);
	memset(at, 0, NLMSG_ALIGN(len));
	b->len += NLMSG_ALIGN(len);
	return at;
}

static size_t message_begin(
	struct nft_batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	size_t start = b->len;
	struct nlmsghdr *h = batch_room(b, sizeof *h);
	struct nfgenmsg *g = batch_room(b, sizeof *g);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(resource);
	return start;
}

static void message_end(struct nft_batch *b, size_t start)
{
	((struct nlmsghdr *)(b->bytes + start))->nlmsg_len = (uint32_t)(b->len - start);
}

static size_t table_message(struct nft_batch *b, int type, uint16_t flags)
{
	b->nr++;
	return message_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags | NLM_F_ACK,
		NFPROTO_INET, 0);
}

static void put(struct nft_batch *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = batch_room(b, NLA_HDRLEN + len);

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	memcpy((uint8_t *)a + NLA_HDRLEN, data, len);
}

static void put_text(struct nft_batch *b, uint16_t type, const char *text)
{
	put(b, type, text, strlen(text) + 1);
}

static void put_number(struct nft_batch *b, uint16_t type, uint32_t value)
{
	uint32_t be = htonl(value);

	put(b, type, &be, sizeof be);
}

static size_t nest_begin(struct nft_batch *b, uint16_t type)
{
	size_t start = b->len;
	struct nlattr *a = batch_room(b, NLA_HDRLEN);

	a->nla_type = type | NLA_F_NESTED;
	return start;
}

static void nest_end(struct nft_batch *b, size_t start)
{
	((struct nlattr *)(b->bytes + start))->nla_len = (uint16_t)(b->len - start);
}

/* ---- tables and chains -------------------------------------------------------------------------
 */

int nft_open(int *fd, struct err *err)
{
	*fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (*fd >= 0)
		return 0;
	err_sys(err, "open a netfilter socket");
	return err_hint(err, "this needs a kernel with nftables (CONFIG_NF_TABLES)");
}

void nft_begin(struct nft_batch *b)
{
	b->len = b->nr = 0;
	message_end(b, message_begin(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static void add_chain(struct nft_batch *b, const char *table, const char *chain, uint32_t hook)
{
	size_t start = table_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), nest;

	put_text(b, NFTA_CHAIN_TABLE, table);
	put_text(b, NFTA_CHAIN_NAME, chain);
	nest = nest_begin(b, NFTA_CHAIN_HOOK);
	put_number(b, NFTA_HOOK_HOOKNUM, hook);
	put_number(b, NFTA_HOOK_PRIORITY, (uint32_t)HOLD_PRIORITY);
	nest_end(b, nest);
	put_number(b, NFTA_CHAIN_POLICY, NF_ACCEPT);
	put_text(b, NFTA_CHAIN_TYPE, "filter");
	message_end(b, start);
}

void nft_add_table(struct nft_batch *b, const char *table, bool owned)
{
	size_t start = table_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	put_text(b, NFTA_TABLE_NAME, table);
	put_number(b, NFTA_TABLE_FLAGS, owned ? NFT_TABLE_F_OWNER : 0);
	message_end(b, start);
	add_chain(b, table, "in", NF_INET_LOCAL_IN);
	add_chain(b, table, "out", NF_INET_LOCAL_OUT);
}

void nft_delete_table(struct nft_batch *b, const char *table)
{
	size_t start = table_message(b, NFT_MSG_DELTABLE, 0);

	put_text(b, NFTA_TABLE_NAME, table);
	message_end(b, start);
}

/* ---- rules -------------------------------------------------------------------------------------
 */

struct expr {
	size_t elem, data;
};

static struct expr expr_begin(struct nft_batch *b, const char *name)
{
	struct expr e = { .elem = nest_begin(b, NFTA_LIST_ELEM) };

	put_text(b, NFTA_EXPR_NAME, name);
	e.data = nest_begin(b, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct nft_batch *b, struct expr e)
{
	nest_end(b, e.data);
	nest_end(b, e.elem);
}

/* What the last expression has put into register 1 has to be this, or not to be this. */
static void expr_compare(struct nft_batch *b, uint32_t op, const void *value, size_t len)
{
	struct expr e = expr_begin(b, "cmp");
	size_t nest;

	put_number(b, NFTA_CMP_SREG, NFT_REG_1);
	put_number(b, NFTA_CMP_OP, op);
	nest = nest_begin(b, NFTA_CMP_DATA);
	put(b, NFTA_DATA_VALUE, value, len);
	nest_end(b, nest);
	expr_end(b, e);
}

static void expr_meta(struct nft_batch *b, uint32_t key, uint32_t op, const void *value, size_t len)
{
	struct expr e = expr_begin(b, "meta");

	put_number(b, NFTA_META_KEY, key);
	put_number(b, NFTA_META_DREG, NFT_REG_1);
	expr_end(b, e);
	expr_compare(b, op, value, len);
}

static void expr_payload(
	struct nft_batch *b, uint32_t base, uint32_t offset, const void *value, size_t len)
{
	struct expr e = expr_begin(b, "payload");

	put_number(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_number(b, NFTA_PAYLOAD_BASE, base);
	put_number(b, NFTA_PAYLOAD_OFFSET, offset);
	put_number(b, NFTA_PAYLOAD_LEN, (uint32_t)len);
	expr_end(b, e);
	expr_compare(b, NFT_CMP_EQ, value, len);
}

static void expr_drop(struct nft_batch *b)
{
	struct expr e = expr_begin(b, "immediate");
	size_t data, verdict;

	put_number(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nest_begin(b, NFTA_IMMEDIATE_DATA);
	verdict = nest_begin(b, NFTA_DATA_VERDICT);
	put_number(b, NFTA_VERDICT_CODE, NF_DROP);
	nest_end(b, verdict);
	nest_end(b, data);
	expr_end(b, e);
}

void nft_add_drop(struct nft_batch *b, const char *table, const char *chain,
	const struct nft_tuple *tuple, uint32_t except_mark)
{
	size_t start = table_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), list;
	uint8_t family = tuple->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, tcp = IPPROTO_TCP;
	size_t len = tuple->v6 ? 16 : 4;
	uint32_t saddr = tuple->v6 ? 8 : 12; /* where struct ip6_hdr and iphdr have it */

	put_text(b, NFTA_RULE_TABLE, table);
	put_text(b, NFTA_RULE_CHAIN, chain);
	list = nest_begin(b, NFTA_RULE_EXPRESSIONS);
	expr_meta(b, NFT_META_NFPROTO, NFT_CMP_EQ, &family, 1);
	expr_meta(b, NFT_META_L4PROTO, NFT_CMP_EQ, &tcp, 1);
	expr_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, &tuple->sport, 2);
	expr_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, &tuple->dport, 2);
	expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, saddr, tuple->saddr, len);
	expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, saddr + (uint32_t)len, tuple->daddr, len);
	expr_meta(b, NFT_META_MARK, NFT_CMP_NEQ, &except_mark, sizeof except_mark);
	expr_drop(b);
	nest_end(b, list);
	message_end(b, start);
}

/* ---- the transaction
 * ----------------------------------------------------------------------------- */

/* Each message is answered; the first error is the reason, later ones may follow from it. */
static int commit_answers(int fd, unsigned nr, struct err *err)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	int error = 0;

	while (nr > 0 && !error) {
		ssize_t n = recv(fd, buf, sizeof buf, 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "answer of nftables");
		for (struct nlmsghdr *h = (void *)buf; nr && NLMSG_OK(h, left);
			h = NLMSG_NEXT(h, left), nr--)
			if (h->nlmsg_type == NLMSG_ERROR && !error)
				error = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	}
	return error ? err_ret(err, error, "nftables") : 0;
}

int nft_commit(int fd, struct nft_batch *b, struct err *err)
{
	message_end(b, message_begin(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (send(fd, b->bytes, b->len, 0) < 0)
		return err_sys(err, "ask nftables");
	return commit_answers(fd, b->nr, err);
}
