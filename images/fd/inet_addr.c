/* Internet addresses: live, in words, as message; see inet.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/inet.h"
#include "proto/socket.pb-c.h"

static size_t addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

bool inet_addr_is_mapped(int family, const struct inet_addr *addr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return family == AF_INET6 && !memcmp(addr->addr, prefix, sizeof prefix);
}

bool inet_is_mapped(const struct inet_sock *sock)
{
	return inet_addr_is_mapped(sock->family, &sock->local);
}

void inet_addr_from(const struct sockaddr_storage *sa, struct inet_addr *out)
{
	static const uint8_t zero[16];
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	memset(out, 0, sizeof *out);
	if (sa->ss_family == AF_INET) {
		memcpy(out->addr, &v4->sin_addr, 4);
		out->port = ntohs(v4->sin_port);
	} else {
		memcpy(out->addr, &v6->sin6_addr, 16);
		out->port = ntohs(v6->sin6_port);
		out->flowinfo = ntohl(v6->sin6_flowinfo);
		if (v6->sin6_scope_id && !if_indextoname(v6->sin6_scope_id, out->scope))
			snprintf(out->scope, sizeof out->scope, "%u", v6->sin6_scope_id);
	}
	out->set = out->port || memcmp(out->addr, zero, sizeof zero) != 0;
}

int inet_addr_to(int family, const struct inet_addr *a, struct sockaddr_storage *sa, socklen_t *len,
	struct err *err)
{
	struct sockaddr_in *v4 = (void *)sa;
	struct sockaddr_in6 *v6 = (void *)sa;

	memset(sa, 0, sizeof *sa);
	sa->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&v4->sin_addr, a->addr, 4);
		v4->sin_port = htons(a->port);
		*len = sizeof *v4;
		return 0;
	}
	memcpy(&v6->sin6_addr, a->addr, 16);
	v6->sin6_port = htons(a->port);
	v6->sin6_flowinfo = htonl(a->flowinfo);
	*len = sizeof *v6;
	if (!a->scope[0])
		return 0;
	v6->sin6_scope_id = if_nametoindex(a->scope);
	if (!v6->sin6_scope_id)
		return err_set(err, ENODEV, "there is no network interface %s here", a->scope);
	return 0;
}

const char *inet_addr_text(int family, const struct inet_addr *a, char buf[INET_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, a->addr, ip, sizeof ip);
	if (family == AF_INET)
		snprintf(buf, INET_ADDR_TEXT, "%s:%u", ip, a->port);
	else
		snprintf(buf, INET_ADDR_TEXT, "[%s%s%s]:%u", ip, a->scope[0] ? "%" : "", a->scope,
			a->port);
	return buf;
}

Pb__InetAddr *inet_addr_pack(struct arena *arena, int family, const struct inet_addr *a)
{
	Pb__InetAddr *m;

	if (!a->set)
		return NULL;
	m = arena_alloc(arena, sizeof *m);
	pb__inet_addr__init(m);
	m->has_addr = m->has_port = true;
	m->addr.data = arena_copy(arena, a->addr, addr_len(family));
	m->addr.len = addr_len(family);
	m->port = a->port;
	m->has_flowinfo = a->flowinfo != 0;
	m->flowinfo = a->flowinfo;
	m->scope = a->scope[0] ? arena_strdup(arena, a->scope) : NULL;
	return m;
}

int inet_addr_unpack(int family, const Pb__InetAddr *m, struct inet_addr *out, struct err *err)
{
	memset(out, 0, sizeof *out);
	if (!m)
		return 0;
	if (m->addr.len != addr_len(family))
		return err_set(err, EBADMSG, "internet address of %zu bytes", m->addr.len);
	if (m->port > UINT16_MAX)
		return err_set(err, EBADMSG, "port %u", m->port);
	if (m->scope && strlen(m->scope) >= sizeof out->scope)
		return err_set(err, EBADMSG, "interface name of %zu bytes", strlen(m->scope));
	out->set = true;
	memcpy(out->addr, m->addr.data, m->addr.len);
	out->port = (uint16_t)m->port;
	out->flowinfo = m->flowinfo;
	if (m->scope)
		strcpy(out->scope, m->scope);
	return 0;
}
