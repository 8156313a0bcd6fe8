#ifndef IMAGES_FD_MQUEUE_H
#define IMAGES_FD_MQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/fd/kind.h"

/* POSIX message queues, mq_overview(7): what mqueue.c and mqueue_make.c share. */

struct mqueue_message {
	uint32_t priority;
	size_t len;
	uint8_t *data;
};

struct mqueue_priv {
	char *name;     /* without the leading slash */
	char *path;     /* opened below a mount of the file system (/dev/mqueue/x); else NULL */
	bool deleted;   /* mq_unlink(3) */
	uint32_t first; /* lowest ofd of the same queue; that one has the rest */
	uint32_t mode, uid, gid;
	int64_t max_messages, message_len;
	struct mqueue_message *messages; /* in the order in which they will be received */
	size_t nr_messages;
};

/* Through a descriptor that may send and does not wait; in the order given. */
int mqueue_send_all(int fd, const struct mqueue_message *messages, size_t nr, struct err *err);

int mqueue_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err);

#endif
