#ifndef IMAGES_FD_PTY_CTTY_H
#define IMAGES_FD_PTY_CTTY_H

#include <stdint.h>

#include "images/fd/kind.h"

/*
 * Controlling terminals. Each session has at most one, and only the leader of the session can give
 * it one; so, when descriptors are made and processes exist, and before descriptors are put in
 * place:
 *
 *   1. for each process that leads its session (pid == sid) and whose session is not the caller's:
 *      pty_ctty_of(); ID_NONE: nothing to do
 *   2. in the process that makes descriptors, after all make and make_link: pty_ctty_open() gives a
 *      descriptor of the slave; to be parked and inherited like the others, and closed in the end
 *   3. the leader, after its setsid(2):   ioctl(fd, TIOCSCTTY, 0)
 *   4. when all groups of the session exist, the leader, with SIGTTOU blocked:
 *      group = pty_foreground_of(); where it is not 0:   ioctl(fd, TIOCSPGRP, &group)
 *
 * The leader then must not exit before the others run, or they lose the terminal again.
 */

/*
 * The ofd of the master whose slave is the controlling terminal of proc. ID_NONE: it has none, or
 * the master is not in the dump (then snap_proc.tty is not 0, and it is the caller's).
 */
uint32_t pty_ctty_of(const struct snap *snap, const struct snap_proc *proc);
/* The foreground process group of the session that proc leads, as recorded; 0: none in the dump. */
int32_t pty_foreground_of(const struct snap *snap, const struct snap_proc *proc);
/* A descriptor of the slave of a master that has been made; O_RDWR | O_CLOEXEC, the caller's. */
int pty_ctty_open(const struct fd_make *m, uint32_t master, int *fd, struct err *err);

#endif
