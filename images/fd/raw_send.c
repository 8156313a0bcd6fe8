/* Packets with any sender's address; see raw_send.h. */
#include "images/fd/raw_send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/fd.h"

enum { X_IPV6_HDRINCL = 36 }; /* linux/in6.h, since Linux 4.5 */

static uint32_t sum(uint32_t total, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 1; len -= 2, p += 2)
		total += (uint32_t)p[0] << 8 | p[1];
	return len ? total + ((uint32_t)p[0] << 8) : total;
}

uint16_t raw_checksum(const struct raw_packet *p)
{
	size_t addr = p->v6 ? 16 : 4;
	uint32_t total = sum(0, p->saddr, addr);

	total = sum(total, p->daddr, addr);
	total += p->protocol + (uint32_t)p->len;
	total = sum(total, p->data, p->len);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

static int raw_open(const struct raw_packet *p, int *out, struct err *err)
{
	int family = p->v6 ? AF_INET6 : AF_INET, on = 1;
	OWNED_FD fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0) {
		err_sys(err, "raw socket");
		return err_hint(err, "restore as root, or with CAP_NET_RAW");
	}
	if (p->v6 && setsockopt(fd, IPPROTO_IPV6, X_IPV6_HDRINCL, &on, sizeof on) < 0)
		return err_sys(err, "IPV6_HDRINCL");
	if (p->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &p->mark, sizeof p->mark) < 0)
		return err_sys(err, "SO_MARK");
	*out = take_fd(&fd);
	return 0;
}

static int send_parts(int fd, const void *head, size_t head_len, const struct raw_packet *p,
	const struct sockaddr *to, socklen_t to_len, struct err *err)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)head, head_len }, { p->data, p->len } };
	struct msghdr msg = { (void *)(uintptr_t)to, to_len, iov, 2, NULL, 0, 0 };

	return sendmsg(fd, &msg, 0) < 0 ? err_sys(err, "send a packet to ourselves") : 0;
}

static int send_v4(int fd, const struct raw_packet *p, struct err *err)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tos = p->tos, .ttl = p->ttl, .protocol = p->protocol
	};
	struct sockaddr_in to = { .sin_family = AF_INET };

	/* The kernel fills in total length, id and checksum: raw(7). */
	memcpy(&ip.saddr, p->saddr, 4);
	memcpy(&ip.daddr, p->daddr, 4);
	memcpy(&to.sin_addr, p->daddr, 4);
	return send_parts(fd, &ip, sizeof ip, p, (struct sockaddr *)&to, sizeof to, err);
}

static int send_v6(int fd, const struct raw_packet *p, struct err *err)
{
	struct ip6_hdr ip = { 0 };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = p->interface };

	ip.ip6_flow = htonl(6u << 28 | (uint32_t)p->tos << 20);
	ip.ip6_plen = htons((uint16_t)p->len);
	ip.ip6_nxt = p->protocol;
	ip.ip6_hlim = p->ttl;
	memcpy(&ip.ip6_src, p->saddr, 16);
	memcpy(&ip.ip6_dst, p->daddr, 16);
	memcpy(&to.sin6_addr, p->daddr, 16);
	return send_parts(fd, &ip, sizeof ip, p, (struct sockaddr *)&to, sizeof to, err);
}

int raw_send(const struct raw_packet *p, struct err *err)
{
	OWNED_FD fd = -1;

	if (raw_open(p, &fd, err) < 0)
		return -err->code;
	return p->v6 ? send_v6(fd, p, err) : send_v4(fd, p, err);
}
