#ifndef IMAGES_FD_LOCKS_H
#define IMAGES_FD_LOCKS_H

#include "images/fd/kind.h"

/*
 * The "lock:" lines of fdinfo -> ofd->locks. Refuses leases that are being broken and what it
 * cannot read.
 */
int locks_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err);

#endif
