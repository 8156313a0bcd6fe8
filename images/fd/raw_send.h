#ifndef IMAGES_FD_RAW_SEND_H
#define IMAGES_FD_RAW_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Packets to addresses of this machine as if they had come from elsewhere: what was received once
 * is received again. Needs CAP_NET_RAW, and CAP_NET_ADMIN for a mark.
 */

struct err;

struct raw_packet {
	bool v6;
	uint8_t saddr[16], daddr[16]; /* the first 4 of IPv4; network order */
	uint8_t protocol, ttl, tos;
	uint32_t mark;      /* 0: none */
	uint32_t interface; /* of a link-local or multicast daddr, 0: whichever leads there */
	uint8_t *data;      /* from the transport header on, its checksum 0 or right */
	size_t len;
};

/* Of pseudo header and data, as TCP and UDP have it; network order. */
uint16_t raw_checksum(const struct raw_packet *p);
int raw_send(const struct raw_packet *p, struct err *err);

#endif
