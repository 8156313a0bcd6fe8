#ifndef IMAGES_FD_PACKET_H
#define IMAGES_FD_PACKET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/fd/sockopt.h"

/* What the files packet*.c share: the record of a packet socket, packet(7). */

struct arena;
struct err;

enum { PACKET_ADDR_MAX = 32 };

/* PACKET_ADD_MEMBERSHIP: promiscuous mode, or frames to an address. */
struct packet_member {
	char interface[IF_NAMESIZE];
	uint32_t type; /* PACKET_MR_... */
	uint8_t addr[PACKET_ADDR_MAX];
	uint32_t nr_addr; /* bytes */
	uint32_t count;   /* joined so many times */
};

struct packet_sock {
	uint32_t type;               /* SOCK_RAW, SOCK_DGRAM */
	uint16_t protocol;           /* ETH_P_..., host order; 0: receives nothing */
	char interface[IF_NAMESIZE]; /* bound to; "": all */
	struct packet_member *members;
	size_t nr_members;
	bool in_fanout; /* while it is saved; the record has it among the options */
	struct sock_options options;
};

/* packet_diag.c: memberships and in_fanout, by inode. ENOTSUP: it has rings, which are shared with
 * the kernel. */
int packet_diag(struct arena *arena, uint64_t ino, struct packet_sock *out, struct err *err);

#endif
