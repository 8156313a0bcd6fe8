#ifndef IMAGES_FD_TCP_ENDS_H
#define IMAGES_FD_TCP_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The two ends of each TCP connection of a dump, to find the other one of thousands quickly. */

struct fd_dump;
struct inet_addr;

/* IPv4 as IPv6 has it, because one end may see it so. */
struct tcp_end {
	uint8_t addr[16];
	uint8_t port[2];
};

struct tcp_pair {
	struct tcp_end own, peer;
};

struct tcp_end tcp_end_of(int family, const struct inet_addr *addr);

/* What the kernel has with these ends, whoever it belongs to. */
struct tcp_far_end {
	struct tcp_pair pair;
	uint32_t ino; /* 0: nobody has it: it was closed, or not accepted yet */
	uint8_t state;
	uint32_t rqueue; /* bytes to read */
};
/* NULL: nothing. All are asked for at once, and once, if not anew. */
const struct tcp_far_end *tcp_far_end(struct fd_dump *d, const struct tcp_pair *pair, bool anew);
/* All of them, in an order of its own. */
const struct tcp_far_end *tcp_far_ends(struct fd_dump *d, size_t *nr);

/* Has a socket of the dump, as all of it stands still, these ends? Asks the sockets once. */
bool tcp_ends_have(struct fd_dump *d, const struct tcp_pair *pair);

#endif
