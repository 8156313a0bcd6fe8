/* Where a snap listens, in words; see listens.h. */
#include "images/fd/listens.h"

#include "base/arena.h"
#include "images/fd/inet.h"
#include "images/fd/kinds.h"
#include "images/fd/unix.h"

/* NULL: not reachable through this one. */
static const char *inet_listens(struct arena *arena, const struct inet_sock *sock)
{
	char text[INET_ADDR_TEXT];

	if (sock->state == INET_LISTEN)
		return arena_strdup(arena, inet_addr_text(sock->family, &sock->local, text));
	if (sock->type == SOCK_DGRAM && sock->state == INET_IDLE && sock->local.set)
		return arena_printf(arena, "%s/%s",
			inet_addr_text(sock->family, &sock->local, text),
			inet_protocol_name(sock->protocol));
	return NULL;
}

static const char *unix_listens(struct arena *arena, const struct unix_sock *sock)
{
	char text[UNIX_NAME_TEXT];

	if (sock->state != UNIX_LISTEN && (sock->type != SOCK_DGRAM || sock->state != UNIX_IDLE))
		return NULL;
	if (!sock->name.len || sock->file.place == UNIX_UNLINKED)
		return NULL;
	if (sock->file.place == UNIX_MOVED)
		return sock->file.path;
	return arena_strdup(arena, unix_name_text(&sock->name, text));
}

char *sock_listens(const struct snap *snap)
{
	char *all = NULL;

	for (size_t i = 0; i < snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &snap->ofds[i];
		const char *one = NULL;

		if (!ofd->priv)
			continue;
		if (ofd->kind == &fd_inet)
			one = inet_listens(snap->arena, ofd->priv);
		else if (ofd->kind == &fd_unix)
			one = unix_listens(snap->arena, ofd->priv);
		if (one)
			all = arena_printf(
				snap->arena, "%s%s%s", all ? all : "", all ? ", " : "", one);
	}
	return all;
}
