#ifndef IMAGES_FD_PTY_HOLDER_H
#define IMAGES_FD_PTY_HOLDER_H

struct err;
struct fd_seen;

/*
 * Is the slave of this master, number index, open in a process outside the dump? Then -ENOTSUP: it
 * would hold one end of a terminal whose other end goes away. Looks through /proc as far as it may.
 */
int pty_holder_check(const struct fd_seen *master, int index, struct err *err);

#endif
