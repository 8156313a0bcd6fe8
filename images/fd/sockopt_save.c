/* Options of live sockets, compared with those of a fresh socket; see sockopt.h. */
#include "images/fd/sockopt.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "images/fd/kind.h"
#include "images/fd/sockopt_table.h"

enum {
	X_SOL_RAW = 255,
	X_SO_BUF_LOCK = 72,
	SNDBUF_LOCK = 1,
	RCVBUF_LOCK = 2
}; /* include/uapi/linux/socket.h */

/* What getsockopt(2) says: len bytes, or an errno. */
struct raw_option {
	int error;
	socklen_t len;
	uint8_t value[SOCKOPT_MAX];
};

/* What sockets of one dump share: all options of fresh sockets, made when first asked for. */
struct sock_table {
	struct sock_table *next;
	struct sockopt_who who;
	struct raw_option *raw; /* by index of sockopt_table */
};

int sockopt_who_of(int fd, struct sockopt_who *who, struct err *err)
{
	socklen_t len = sizeof(int);

	memset(who, 0, sizeof *who);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &who->domain, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &who->type, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &who->protocol, &len) < 0)
		return err_sys(err, "kind of socket");
	return 0;
}

static bool option_applies(const struct sockopt_who *who, const struct sockopt_desc *desc)
{
	bool inet = who->domain == AF_INET || who->domain == AF_INET6;

	if (desc->flags & SOCKOPT_DGRAM && who->type == SOCK_STREAM)
		return false;
	if (desc->flags & SOCKOPT_DRIFTS && who->connected)
		return false;
	switch (desc->level) {
	case SOL_SOCKET:
		return true;
	case IPPROTO_TCP:
		return inet && who->type == SOCK_STREAM;
	case IPPROTO_UDP:
		return inet && who->type == SOCK_DGRAM;
	case IPPROTO_UDPLITE:
		return inet && who->protocol == IPPROTO_UDPLITE;
	case IPPROTO_IP:
		return inet;
	case IPPROTO_IPV6:
		return who->domain == AF_INET6;
	case SOL_PACKET:
		return who->domain == AF_PACKET;
	case X_SOL_RAW:
	case IPPROTO_ICMPV6:
		return inet && who->type == SOCK_RAW;
	default:
		return desc->level == SOL_NETLINK && who->domain == AF_NETLINK;
	}
}

static void raw_get(int fd, const struct sockopt_desc *desc, struct raw_option *raw)
{
	raw->len = sizeof raw->value;
	raw->error = 0;
	if (desc->form != SOCKOPT_UPTO)
		raw->len = desc->size;
	else if (desc->size > raw->len)
		raw->len = sizeof raw->value;
	if (getsockopt(fd, desc->level, desc->name, raw->value, &raw->len) < 0)
		raw->error = errno;
}

static int fresh_read(
	struct fd_dump *d, const struct sockopt_who *who, struct sock_table *table, struct err *err)
{
	OWNED_FD fd = socket(who->domain, who->type | SOCK_CLOEXEC, who->protocol);

	if (fd < 0)
		return err_sys(err, "a socket to compare options with");
	table->who = *who;
	table->raw = arena_array(d->snap->arena, sockopt_table_len, sizeof *table->raw);
	for (size_t i = 0; i < sockopt_table_len; i++)
		if (sockopt_table[i].form != SOCKOPT_FILTER &&
			option_applies(who, &sockopt_table[i]))
			raw_get(fd, &sockopt_table[i], &table->raw[i]);
	return 0;
}

/* Values of a fresh socket, NULL on failure. */
static const struct raw_option *fresh_of(
	struct fd_dump *d, const struct sockopt_who *who, struct err *err)
{
	struct sock_table *t;

	for (t = d->socks; t; t = t->next)
		if (t->who.domain == who->domain && t->who.type == who->type &&
			t->who.protocol == who->protocol && t->who.connected == who->connected)
			return t->raw;
	t = arena_alloc(d->snap->arena, sizeof *t);
	if (fresh_read(d, who, t, err) < 0)
		return NULL;
	t->next = d->socks;
	d->socks = t;
	return t->raw;
}

/* ---- one option ------------------------------------------------------------------------------ */

struct saving {
	struct fd_dump *d;
	int fd;
	const struct sockopt_who *who;
	int locked; /* of SO_BUF_LOCK; -1: the kernel does not know it */
	struct sock_options *out;
};

static void option_add(
	struct saving *s, const struct sockopt_desc *desc, const void *value, size_t len)
{
	struct sock_option *o = &s->out->opts[s->out->nr++];

	o->desc = desc;
	o->len = (uint32_t)len;
	o->value = arena_copy(s->d->snap->arena, value, len);
}

/* The kernel tunes buffers that nobody has set (TCP), so only those set by the program are its
 * state. */
static bool buffer_differs(const struct saving *s, const struct sockopt_desc *desc, bool differs)
{
	int bit = desc->name == SO_RCVBUF ? RCVBUF_LOCK : SNDBUF_LOCK;

	if (s->locked < 0)
		return differs && !s->who->connected;
	return s->locked & bit;
}

static int ifindex_save(
	struct saving *s, const struct sockopt_desc *desc, const uint8_t *value, struct err *err)
{
	char name[IF_NAMESIZE];
	unsigned index;

	memcpy(&index, value, sizeof index);
	if (desc->form == SOCKOPT_IFINDEX_BE)
		index = ntohl(index);
	if (!if_indextoname(index, name)) {
		err_set(err, ENOTSUP, "socket option %s names interface %u, which is gone",
			desc->text, index);
		return err_hint(err, "restart the program, or bring the interface back");
	}
	option_add(s, desc, name, strlen(name));
	return 0;
}

static int filter_save(struct saving *s, const struct sockopt_desc *desc, struct err *err)
{
	struct sock_filter code[SOCKOPT_MAX_FILTER / sizeof(struct sock_filter)];
	socklen_t nr = 0; /* instructions, not bytes */

	if (getsockopt(s->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &nr) < 0 && errno == EACCES) {
		err_set(err, ENOTSUP,
			"an eBPF program filters this socket, and cannot be read back");
		return err_hint(err, "detach it (SO_DETACH_FILTER) before the dump");
	}
	if (nr == 0)
		return 0;
	nr = sizeof code / sizeof *code;
	if (getsockopt(s->fd, SOL_SOCKET, SO_GET_FILTER, code, &nr) < 0)
		return err_sys(err, "read the socket's filter");
	option_add(s, desc, code, nr * sizeof *code);
	return 0;
}

/* TCP_MIN_MSS and MAX_TCP_WINDOW of net/tcp.h, which TCP_MAXSEG is held to. */
static bool is_segment_size(const uint8_t *value)
{
	int size;

	memcpy(&size, value, sizeof size);
	return size >= 88 && size <= 32767;
}

static int option_save(struct saving *s, const struct sockopt_desc *desc,
	const struct raw_option *fresh, struct err *err)
{
	struct raw_option now = { 0 };
	bool differs;

	if (desc->form == SOCKOPT_FILTER)
		return filter_save(s, desc, err);
	if (!option_applies(s->who, desc))
		return 0;
	raw_get(s->fd, desc, &now);
	if (now.error)
		return 0; /* not an option of this kind of socket, or this kernel */
	differs = fresh->error || now.len != fresh->len || memcmp(now.value, fresh->value, now.len);
	if (desc->form == SOCKOPT_BUFFER)
		differs = buffer_differs(s, desc, differs);
	/* IP_OPTIONS make the kernel reckon with an MTU of 0: what it shows then nobody has set. */
	if (desc->level == IPPROTO_TCP && desc->name == TCP_MAXSEG)
		differs = differs && is_segment_size(now.value);
	if (desc->flags & SOCKOPT_SETTLES)
		differs = differs && !memcmp(now.value, (int[]){ 0 }, sizeof(int));
	if (!differs)
		return 0;
	if (now.len > desc->size || (desc->form == SOCKOPT_BYTES && now.len != desc->size))
		return err_set(err, ENOTSUP, "socket option %s has %u bytes, at most %u are known",
			desc->text, now.len, desc->size);
	if (desc->form == SOCKOPT_IFINDEX || desc->form == SOCKOPT_IFINDEX_BE)
		return ifindex_save(s, desc, now.value, err);
	option_add(s, desc, now.value, now.len);
	return 0;
}

/* Setting a buffer size locks it, so the lock is only worth a system call where it says otherwise.
 */
static void drop_implied_lock(struct sock_options *o, int locked)
{
	int implied = 0;

	for (size_t i = 0; i < o->nr; i++)
		if (o->opts[i].desc->form == SOCKOPT_BUFFER)
			implied |= o->opts[i].desc->name == SO_RCVBUF ? RCVBUF_LOCK : SNDBUF_LOCK;
	for (size_t i = 0; i < o->nr; i++)
		if (o->opts[i].desc == sockopt_find(SOL_SOCKET, X_SO_BUF_LOCK) &&
			implied == locked) {
			memmove(&o->opts[i], &o->opts[i + 1], (o->nr - i - 1) * sizeof *o->opts);
			o->nr--;
		}
}

static int buffers_locked(int fd)
{
	int locked;
	socklen_t len = sizeof locked;

	return getsockopt(fd, SOL_SOCKET, X_SO_BUF_LOCK, &locked, &len) < 0 ? -1 : locked;
}

int sockopt_save(struct fd_dump *d, int fd, const struct sockopt_who *who, struct sock_options *out,
	struct err *err)
{
	struct saving s = { d, fd, who, buffers_locked(fd), out };
	const struct raw_option *fresh = fresh_of(d, who, err);

	if (!fresh)
		return -err->code;
	out->opts = arena_array(d->snap->arena, sockopt_table_len, sizeof *out->opts);
	out->nr = 0;
	for (size_t i = 0; i < sockopt_table_len; i++)
		if (option_save(&s, &sockopt_table[i], &fresh[i], err) < 0)
			return -err->code;
	drop_implied_lock(out, s.locked);
	return 0;
}

void sockopt_add(struct arena *arena, struct sock_options *options, int level, int name, int value)
{
	struct sock_option *o = &options->opts[options->nr++];

	assert(options->nr <= sockopt_table_len);
	o->desc = sockopt_find((uint32_t)level, (uint32_t)name);
	o->len = sizeof value;
	o->value = arena_copy(arena, &value, sizeof value);
}
