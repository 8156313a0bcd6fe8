#ifndef IMAGES_FD_PTY_CTTY_H
#define IMAGES_FD_PTY_CTTY_H

#include <stdint.h>

#include "images/fd/kind.h"

/* Controlling terminals that are in the dump: which, and whose. What to do is in restore/ctty.c. */

/*
 * The ofd of the master whose slave is the controlling terminal of proc. ID_NONE: it has none, or
 * the master is not in the dump (then snap_proc.tty is not 0, and it is the caller's).
 */
uint32_t pty_ctty_of(const struct snap *snap, const struct snap_proc *proc);
/* An ofd of a slave of that master, open and not hung up; ID_NONE: there is none. */
uint32_t pty_slave_of(const struct snap *snap, uint32_t master);
/* The foreground process group of the session that proc leads, as recorded; 0: none in the dump. */
int32_t pty_foreground_of(const struct snap *snap, const struct snap_proc *proc);

#endif
