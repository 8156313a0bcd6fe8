#ifndef IMAGES_FD_COMMON_H
#define IMAGES_FD_COMMON_H

#include "images/fd/kind.h"

/*
 * What every open file description has whatever its kind: status flags, position, owner and signal
 * of asynchronous input, locks (from the "lock:" lines of fdinfo).
 */

/* Fill the common fields of ofd, except id, kind, inherited; label is the link text unless set. */
int ofd_save_common(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err);
/*
 * Bring fd, fresh from kind->make, to the recorded flags (F_SETFL), position, owner, signal. Does
 * only what differs from a fresh descriptor: each system call counts here.
 */
int ofd_make_common(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);
/* Is its owner (F_SETOWN) born after descriptors are made? Then ofd_make_common() sets none. */
bool ofd_owner_later(const struct snap *snap, const struct snap_ofd *ofd);
/* Who it was is here `owner`: pid 0 is a group that has no number here, -1 nobody. */
struct f_owner_ex;
int ofd_set_owner(
	const struct snap_ofd *ofd, int fd, const struct f_owner_ex *owner, struct err *err);
/*
 * Take the recorded locks again, in the new process. Closing any descriptor of a file drops all
 * POSIX locks of the process on it, so this has to come after everything that closes: every
 * make_link, and descriptors that only mappings need.
 */
int ofd_make_locks(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);

/*
 * An ofd that came from the launcher and shows the same link: what /dev/stdout leads to was opened
 * once more by the program, so at restore it has to lead to the caller's. ID_NONE: there is none.
 */
uint32_t ofd_like_inherited(const struct snap *snap, const char *link);
/* A new open file description of what fd is (through /proc/self/fd), flags as open(2), in *out. */
int ofd_reopen(int fd, uint32_t flags, int *out, struct err *err);
/* The same at restore, of what its mode may keep even its owner out of. */
int ofd_reopen_made(int fd, uint32_t flags, int *out, struct err *err);
/* In the form of st_dev: a device number as fdinfo and sock_diag show it, which is the kernel's own
 * dev_t (20 bits of minor, include/linux/kdev_t.h). */
uint64_t fd_kernel_dev(uint64_t dev);
/* Is there a process, thread, group or session of this id in the dump? */
bool snap_has_id(const struct snap *snap, int32_t id);
/* Is there a process of this id in the dump? */
bool snap_has_process(const struct snap *snap, int32_t pid);
bool snap_has_zombie(const struct snap *snap, int32_t pid);
/* Is there a thread of this id in the dump? */
bool snap_has_thread(const struct snap *snap, int32_t tid);

#endif
