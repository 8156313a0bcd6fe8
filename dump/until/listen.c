/*
 * --until=listen[=PORT|PATH]: a process of the tree holds a listening socket: any, or the one on
 * this TCP port, at this path or with this abstract name (@NAME). The kernel is asked (sock_diag),
 * nobody connects: the server never sees a client that says nothing. Sockets that listened before
 * the program was started do not count.
 */
#include "dump/until/condition.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/dumping.h"
#include "images/fd/sock_diag.h"
#include "tracee/proc.h"

enum { LOOK_EVERY_MS = 20 };

struct listening {
	const char *text; /* as given, NULL: any */
	uint16_t port;    /* 0: none is asked for */
	uint64_t *before; /* inodes, in the arena */
	size_t nr_before, cap_before;
};

static int listen_parse(struct wait *w, const char *arg, struct err *err)
{
	struct listening *l = arena_alloc(w->arena, sizeof *l);
	char *end = NULL;
	long port;

	w->own = l;
	if (!arg)
		return 0;
	l->text = arena_strdup(w->arena, arg);
	if (*arg == '/' || *arg == '.' || *arg == '@')
		return 0;
	port = strtol(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || port < 1 || port > 65535) {
		err_set(err, EINVAL, "--until: listen=%s is neither a port nor a path", arg);
		return err_hint(err, "write listen=8080, listen=/run/x.sock, listen=./x.sock or "
				     "listen=@abstract");
	}
	l->port = (uint16_t)port;
	return 0;
}

/* ---- the kernel's list ------------------------------------------------------------------ */

struct search {
	struct wait *w;
	struct diag_listener found;
	struct stat st; /* of the path that is asked for */
	bool has_st, is_found;
};

static void listen_note_before(const struct diag_listener *found, void *arg)
{
	struct wait *w = ((struct search *)arg)->w;
	struct listening *l = w->own;

	l->before = arena_grow(
		w->arena, l->before, l->nr_before, &l->cap_before, sizeof *l->before);
	l->before[l->nr_before++] = found->ino;
}

static int listen_arm(struct wait *w, struct err *err)
{
	struct search search = { .w = w };

	return sock_diag_listeners(listen_note_before, &search, err);
}

static bool listen_is_new(const struct listening *l, uint64_t ino)
{
	for (size_t i = 0; i < l->nr_before; i++)
		if (l->before[i] == ino)
			return false;
	return true;
}

/* A path may have been bound under another spelling: what counts is the socket file. */
static bool listen_matches(
	const struct listening *l, const struct search *s, const struct diag_listener *found)
{
	if (!l->text)
		return true;
	if (l->port)
		return found->family != AF_UNIX && found->port == l->port;
	if (found->family != AF_UNIX)
		return false;
	if (*l->text == '@')
		return !found->has_file && !strcmp(found->name, l->text);
	return s->has_st && found->has_file && found->file_dev == s->st.st_dev &&
	       found->file_ino == (uint32_t)s->st.st_ino;
}

/* ---- who holds it ----------------------------------------------------------------------- */

static bool process_has_socket(const struct tracee *t, uint64_t ino, struct arena *a)
{
	char wanted[40], name[32], *link;
	int *nums;
	size_t nr;

	snprintf(wanted, sizeof wanted, "socket:[%llu]", (unsigned long long)ino);
	if (proc_fds(t->procfd, a, &nums, &nr, NULL) < 0)
		return false;
	for (size_t i = 0; i < nr; i++) {
		snprintf(name, sizeof name, "fd/%d", nums[i]);
		if (proc_link(t->procfd, name, a, &link, NULL) == 0 && !strcmp(link, wanted))
			return true;
	}
	return false;
}

static bool tree_has_socket(const struct tracer *tr, uint64_t ino)
{
	struct arena *a = arena_create();
	bool has = false;

	for (size_t i = 0; !has && i < tr->nr_tracees; i++)
		has = process_has_socket(tr->tracees[i], ino, a);
	arena_destroy(a);
	return has;
}

static void listen_answer(const struct diag_listener *found, void *arg)
{
	struct search *s = arg;
	const struct listening *l = s->w->own;

	if (s->is_found || !listen_is_new(l, found->ino) || !listen_matches(l, s, found) ||
		!tree_has_socket(s->w->d->tracer, found->ino))
		return;
	s->is_found = true;
	s->found = *found;
}

static int listen_look(struct wait *w, uint64_t now, struct err *err)
{
	const struct listening *l = w->own;
	struct search s = { .w = w };
	int ret;

	if (l->text && !l->port && *l->text != '@')
		s.has_st = stat(l->text, &s.st) == 0;
	ret = sock_diag_listeners(listen_answer, &s, err);
	if (ret < 0)
		return ret;
	w->next_ms = now + LOOK_EVERY_MS;
	if (s.is_found)
		w->found = s.found.family == AF_UNIX
				   ? arena_printf(w->arena, "listen %s", s.found.name)
				   : arena_printf(w->arena, "listen %u", s.found.port);
	return s.is_found;
}

static void listen_words(const struct wait *w, struct buf *out)
{
	const struct listening *l = w->own;

	buf_printf(out, "it listened");
	if (l->text)
		buf_printf(out, " on %s%s", l->port ? "port " : "", l->text);
}

const struct condition condition_listen = {
	.name = "listen",
	.usage = "listen[=PORT|PATH]",
	.summary = "a process of it listens: anywhere, on this port, at this socket",
	.arg = ARG_MAY,
	.parse = listen_parse,
	.arm = listen_arm,
	.look = listen_look,
	.words = listen_words,
};
