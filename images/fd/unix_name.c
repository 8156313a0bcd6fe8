/* Names of unix sockets; see unix.h. */
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/arena.h"
#include "images/fd/kinds.h"
#include "images/fd/unix.h"

bool unix_name_equal(const struct unix_name *a, const struct unix_name *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

void unix_name_from(const struct sockaddr_storage *sa, socklen_t len, struct unix_name *out)
{
	const char *path = ((const struct sockaddr_un *)sa)->sun_path;
	const size_t start = offsetof(struct sockaddr_un, sun_path);

	memset(out, 0, sizeof *out);
	if (len <= start)
		return;
	out->len = len - start;
	if (path[0])
		out->len = strnlen(path, out->len);
	if (out->len > UNIX_NAME_MAX)
		out->len = UNIX_NAME_MAX;
	memcpy(out->bytes, path, out->len);
}

socklen_t unix_name_to(const struct unix_name *name, struct sockaddr_storage *sa)
{
	struct sockaddr_un *un = (void *)sa;

	/* A path is as long as its struct says; the kernel adds the NUL that getsockname(2) counts.
	 */
	memset(sa, 0, sizeof *sa);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, name->bytes, name->len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name->len);
}

const char *unix_name_text(const struct unix_name *name, char buf[UNIX_NAME_TEXT])
{
	char *to = buf;

	for (size_t i = 0; i < name->len; i++) {
		if (i == 0 && !name->bytes[i])
			*to++ = '@';
		else if (isprint(name->bytes[i]))
			*to++ = (char)name->bytes[i];
		else
			to += sprintf(to, "\\%03o", name->bytes[i]);
	}
	*to = '\0';
	return buf;
}

char *unix_name_path(struct arena *arena, const struct unix_name *name, const char *dir)
{
	if (name->bytes[0] == '/' || !dir)
		return arena_strndup(arena, (const char *)name->bytes, name->len);
	return arena_printf(arena, "%s/%.*s", dir, (int)name->len, (const char *)name->bytes);
}

struct unix_sock *unix_of(const struct snap *snap, uint32_t ofd)
{
	if (ofd >= snap->nr_ofds || snap->ofds[ofd].kind != &fd_unix ||
		snap->ofds[ofd].inherited >= 0)
		return NULL;
	return snap->ofds[ofd].priv;
}
