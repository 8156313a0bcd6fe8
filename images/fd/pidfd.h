#ifndef IMAGES_FD_PIDFD_H
#define IMAGES_FD_PIDFD_H

#include "images/fd/kind.h"

/*
 * The process that this pidfd is of, if that is born after descriptors are made; 0: it is none, or
 * right already. What stands for it until then is of the first process; *flags: for pidfd_open(2).
 * pidfd_thread: the same if it is a thread, and not the first one of its process.
 */
int32_t pidfd_thread(const struct snap *snap, const struct snap_ofd *ofd);
int32_t pidfd_later(const struct snap *snap, const struct snap_ofd *ofd, uint32_t *flags);

#endif
