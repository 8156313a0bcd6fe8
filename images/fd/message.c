/* Pieces of messages that several kinds have; see message.h. */
#include "images/fd/message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/snap.h"

ProtobufCBinaryData message_path(const char *path)
{
	return (ProtobufCBinaryData){ .len = strlen(path), .data = (uint8_t *)(uintptr_t)path };
}

int message_path_read(struct snap *snap, const ProtobufCBinaryData *in, const char *what,
	char **out, struct err *err)
{
	if (!in->data || in->len == 0 || in->len >= PATH_MAX)
		return err_set(err, EBADMSG, "%s: path of %zu bytes", what, in->len);
	if (in->data[0] != '/' || memchr(in->data, '\0', in->len))
		return err_set(err, EBADMSG, "%s: not an absolute path", what);
	*out = arena_strndup(snap->arena, (const char *)in->data, in->len);
	return 0;
}

int message_missing(const char *kind, struct err *err)
{
	return err_set(err, EBADMSG, "%s: its message is missing", kind);
}

int message_id_check(uint32_t id, size_t nr, const char *what, struct err *err)
{
	if (id >= nr)
		return err_set(err, EBADMSG, "%s %u does not exist, there are %zu", what, id, nr);
	return 0;
}
