#ifndef IMAGES_FD_COMMON_H
#define IMAGES_FD_COMMON_H

#include "images/fd/kind.h"

/*
 * What every open file description has whatever its kind: status flags, position, owner and signal of
 * asynchronous input, locks (from the "lock:" lines of fdinfo).
 */

/* Fill the common fields of ofd, except id, kind, inherited; label is the link text unless set. */
int ofd_save_common(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err);
/* Bring fd, fresh from kind->make, to the recorded flags (F_SETFL), position, owner, signal. Does only
 * what differs from a fresh descriptor: each system call counts here. */
int ofd_make_common(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);
/* Take the recorded locks again, in the new process, when all descriptors stand in their slots. */
int ofd_make_locks(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);

#endif
