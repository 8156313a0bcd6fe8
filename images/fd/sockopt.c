/* Options of sockets as they travel: set again, written, read. Looking at live ones:
 * sockopt_save.c. */
#include "images/fd/sockopt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "images/fd/sockopt_table.h"
#include "images/snap.h"
#include "proto/socket.pb-c.h"

const struct sock_option *sockopt_get(const struct sock_options *options, int level, int name)
{
	for (size_t i = 0; i < options->nr; i++)
		if (options->opts[i].desc->level == level && options->opts[i].desc->name == name)
			return &options->opts[i];
	return NULL;
}

int sockopt_int(const struct sock_options *options, int level, int name, int otherwise)
{
	const struct sock_option *o = sockopt_get(options, level, name);
	int value;

	if (!o || o->len != sizeof value)
		return otherwise;
	memcpy(&value, o->value, sizeof value);
	return value;
}

/* ---- alive again ----------------------------------------------------------------------------- */

static int sockopt_failed(const struct sock_option *o, struct err *err)
{
	int code = errno;

	err_sys(err, "set option %s", o->desc->text);
	if (code == EPERM)
		return err_hint(err, "restore as root, or with CAP_NET_ADMIN and CAP_NET_RAW");
	if (code == ENODEV)
		return err_hint(
			err, "interface %.*s is missing here", (int)o->len, (const char *)o->value);
	if (code == ENOPROTOOPT)
		return err_hint(err, "the kernel here lacks this option");
	return -code;
}

/*
 * The kernel doubles what it is given, and cuts it at net.core.[rw]mem_max for those who may not
 * force it.
 */
static int buffer_make(int fd, const struct sock_option *o, struct err *err)
{
	int force = o->desc->name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
	int wanted, half, got;
	socklen_t len = sizeof got;

	memcpy(&wanted, o->value, sizeof wanted);
	half = wanted / 2;
	if (setsockopt(fd, SOL_SOCKET, force, &half, sizeof half) == 0)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, o->desc->name, &half, sizeof half) < 0 ||
		getsockopt(fd, SOL_SOCKET, o->desc->name, &got, &len) < 0)
		return sockopt_failed(o, err);
	if (got < wanted)
		log_warn("%s was %d bytes and is only %d here: raise net.core.%s", o->desc->text,
			wanted, got, o->desc->name == SO_RCVBUF ? "rmem_max" : "wmem_max");
	return 0;
}

static int ifindex_make(int fd, const struct sock_option *o, struct err *err)
{
	char name[IF_NAMESIZE] = "";
	unsigned index;

	memcpy(name, o->value, o->len);
	index = if_nametoindex(name);
	if (!index)
		return sockopt_failed(o, err);
	if (o->desc->form == SOCKOPT_IFINDEX_BE)
		index = htonl(index);
	if (setsockopt(fd, o->desc->level, o->desc->name, &index, sizeof index) < 0)
		return sockopt_failed(o, err);
	return 0;
}

static int filter_make(int fd, const struct sock_option *o, struct err *err)
{
	struct sock_filter code[SOCKOPT_MAX_FILTER / sizeof(struct sock_filter)];
	struct sock_fprog prog = { (unsigned short)(o->len / sizeof *code), code };

	memcpy(code, o->value, o->len);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) < 0)
		return sockopt_failed(o, err);
	return 0;
}

/* Of ICMPv6 nobody may set this one but at the level of raw sockets (net/ipv6/raw.c). */
static int level_of(const struct sockopt_desc *desc)
{
	return desc->level == IPPROTO_IPV6 && desc->name == IPV6_CHECKSUM ? SOL_RAW : desc->level;
}

static int option_make(int fd, const struct sock_option *o, struct err *err)
{
	switch (o->desc->form) {
	case SOCKOPT_BUFFER:
		return buffer_make(fd, o, err);
	case SOCKOPT_IFINDEX:
	case SOCKOPT_IFINDEX_BE:
		return ifindex_make(fd, o, err);
	case SOCKOPT_FILTER:
		return filter_make(fd, o, err);
	case SOCKOPT_BYTES:
	case SOCKOPT_UPTO:
		break;
	}
	if (setsockopt(fd, level_of(o->desc), o->desc->name, o->value, o->len) < 0)
		return sockopt_failed(o, err);
	return 0;
}

int sockopt_make_filter(int fd, const struct sock_options *options, struct err *err)
{
	const struct sock_option *o = sockopt_get(options, SOL_SOCKET, SO_ATTACH_FILTER);

	return o ? filter_make(fd, o, err) : 0;
}

int sockopt_make(int fd, const struct sock_options *options, bool late, struct err *err)
{
	for (size_t i = 0; i < options->nr; i++)
		if (!!(options->opts[i].desc->flags & SOCKOPT_LATE) == late &&
			option_make(fd, &options->opts[i], err) < 0)
			return -err->code;
	return 0;
}

/* ---- record <-> message ---------------------------------------------------------------------- */

void sockopt_pack(const struct snap *snap, const struct sock_options *options,
	Pb__SockOption ***msgs, size_t *nr)
{
	*msgs = arena_array(snap->arena, options->nr, sizeof **msgs);
	*nr = options->nr;
	for (size_t i = 0; i < options->nr; i++) {
		const struct sock_option *o = &options->opts[i];
		Pb__SockOption *m = arena_alloc(snap->arena, sizeof *m);

		pb__sock_option__init(m);
		m->has_level = m->has_name = m->has_value = true;
		m->level = (uint32_t)o->desc->level;
		m->name = (uint32_t)o->desc->name;
		m->value.data = o->value;
		m->value.len = o->len;
		(*msgs)[i] = m;
	}
}

static bool option_len_fits(const struct sockopt_desc *desc, size_t len)
{
	switch (desc->form) {
	case SOCKOPT_BYTES:
	case SOCKOPT_BUFFER:
		return len == desc->size;
	case SOCKOPT_UPTO:
		return len <= desc->size;
	case SOCKOPT_IFINDEX:
	case SOCKOPT_IFINDEX_BE:
		return len > 0 && len < IF_NAMESIZE;
	case SOCKOPT_FILTER:
		return len > 0 && len <= desc->size && len % sizeof(struct sock_filter) == 0;
	}
	return false;
}

static int option_unpack(
	struct snap *snap, const Pb__SockOption *m, struct sock_option *out, struct err *err)
{
	out->desc = sockopt_find(m->level, m->name);
	if (!out->desc)
		return err_set(
			err, EBADMSG, "unknown socket option %u of level %u", m->name, m->level);
	if (!option_len_fits(out->desc, m->value.len))
		return err_set(err, EBADMSG, "socket option %s has %zu bytes", out->desc->text,
			m->value.len);
	out->len = (uint32_t)m->value.len;
	out->value = arena_copy(snap->arena, m->value.data, m->value.len);
	return 0;
}

int sockopt_unpack(struct snap *snap, Pb__SockOption *const *msgs, size_t nr,
	struct sock_options *out, struct err *err)
{
	struct sock_option *opts;

	if (nr > sockopt_table_len)
		return err_set(err, EBADMSG, "%zu socket options", nr);
	opts = arena_array(snap->arena, nr, sizeof *opts);
	for (size_t i = 0; i < nr; i++) {
		if (option_unpack(snap, msgs[i], &opts[i], err) < 0)
			return -err->code;
		if (i > 0 && opts[i].desc <= opts[i - 1].desc)
			return err_set(err, EBADMSG, "socket option %s is out of order",
				opts[i].desc->text);
	}
	out->opts = opts;
	out->nr = nr;
	return 0;
}
