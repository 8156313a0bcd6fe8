#ifndef IMAGES_FD_TCP_NFT_H
#define IMAGES_FD_TCP_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * As much of nftables as tcp_hold.c needs, spoken directly over NETLINK_NETFILTER: neither nft(8)
 * nor its libraries have to be there. Private to tcp_hold.c.
 */

struct err;

/* One transaction: what was added is done by nft_commit() as a whole or not at all. */
struct nft_batch {
	uint8_t bytes[8192];
	size_t len;
	unsigned nr; /* messages between begin and end */
};

/* The socket owns the tables made with it as owned. */
int nft_open(int *fd, struct err *err);
void nft_begin(struct nft_batch *b);
/* A table of family inet with the chains "in" and "out", which see local packets first. */
void nft_add_table(struct nft_batch *b, const char *table, bool owned);
void nft_delete_table(struct nft_batch *b, const char *table);

/* In network order; v6 says how long addresses are. */
struct nft_tuple {
	bool v6;
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport;
};
/* Packets of TCP with these addresses are dropped, unless they have this mark. */
void nft_add_drop(struct nft_batch *b, const char *table, const char *chain,
	const struct nft_tuple *tuple, uint32_t except_mark);
/* The kernel's errno comes back in err. */
int nft_commit(int fd, struct nft_batch *b, struct err *err);

#endif
