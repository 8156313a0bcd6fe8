#ifndef IMAGES_FD_LOCKS_H
#define IMAGES_FD_LOCKS_H

#include "images/fd/kind.h"

/*
 * The "lock:" lines of fdinfo -> ofd->locks. Refuses leases that are being broken and what it
 * cannot read.
 */
int locks_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err);
/*
 * The same for the POSIX locks only: those of another process that has the same ofd are shown to
 * that process alone.
 */
int locks_save_posix(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err);

#endif
