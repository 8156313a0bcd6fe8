/*
 * A segment as if it came from the other end of a connection: over a raw socket and the loopback
 * device, so nothing leaves the machine. It has the mark that tcp_hold.c lets pass.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "images/fd/inet.h"
#include "images/fd/raw_send.h"
#include "images/fd/tcp.h"

/* RFC 9293; linux/tcp.h, which has it too, clashes with netinet. */
struct header {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t offset, flags; /* offset: length in words of 4 bytes, in the high half */
	uint16_t window, check, urgent;
};

enum { FLAG_FIN = 1, FLAG_ACK = 16 };

int tcp_inject(const struct inet_sock *to, const struct tcp_segment *segment, struct err *err)
{
	struct header tcp = {
		.sport = htons(to->remote.port),
		.dport = htons(to->local.port),
		.seq = htonl(segment->seq),
		.ack = htonl(segment->ack),
		.offset = sizeof tcp / 4 << 4,
		.flags = FLAG_ACK | (segment->fin ? FLAG_FIN : 0),
		.window = htons((uint16_t)(to->conn->window.snd_wnd >> to->conn->snd_wscale)),
	};
	struct raw_packet packet = { .v6 = to->family == AF_INET6 && !inet_is_mapped(to),
		.protocol = IPPROTO_TCP,
		.mark = TCP_HOLD_MARK,
		.ttl = 64,
		.data = (uint8_t *)&tcp,
		.len = sizeof tcp };
	size_t skip = inet_is_mapped(to) ? 12 : 0;

	memcpy(packet.saddr, to->remote.addr + skip, packet.v6 ? 16 : 4);
	memcpy(packet.daddr, to->local.addr + skip, packet.v6 ? 16 : 4);
	tcp.check = raw_checksum(&packet);
	return raw_send(&packet, err);
}
