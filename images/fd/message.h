#ifndef IMAGES_FD_MESSAGE_H
#define IMAGES_FD_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "proto/fd.pb-c.h"

/*
 * Pieces of messages that several kinds have. All failures here are EBADMSG: the image is damaged.
 */

struct err;
struct snap;

/* Bytes of a path; borrowed from the model. */
ProtobufCBinaryData message_path(const char *path);
/*
 * A copy of an absolute path; absent, empty, relative, NUL inside or too long: refused. `what` says
 * whose.
 */
int message_path_read(struct snap *snap, const ProtobufCBinaryData *in, const char *what,
	char **out, struct err *err);
/* "eventfd: its message is missing". */
int message_missing(const char *kind, struct err *err);
/* An id of a table with nr entries. */
int message_id_check(uint32_t id, size_t nr, const char *what, struct err *err);

#endif
