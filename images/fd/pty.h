#ifndef IMAGES_FD_PTY_H
#define IMAGES_FD_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h> /* struct winsize; before asm/termbits.h */

#include <asm/termbits.h> /* struct termios2; does not stand termios.h beside it */

#include "images/fd/kind.h"

/*
 * Pseudo-terminals, pty(7), with both ends inside the dump: what the files pty*.c share. State that
 * belongs to the pair is with the master, of which there is always exactly one description.
 */

/* How often the slave was opened shows at the master: POLLHUP when the last one is closed. */
enum pty_slaves { PTY_NEVER_OPENED, PTY_CLOSED, PTY_OPEN, PTY_SLAVES_END };
/* tcflow(3), or a stop character (IXON): each is undone in its own way. */
enum pty_flow { PTY_FLOWS, PTY_STOPPED, PTY_STOPPED_BY_CHAR, PTY_FLOW_END };

struct pty_bytes {
	uint8_t *data;
	size_t len;
};

struct pty_state {
	struct termios2 termios;
	struct termios lock; /* TIOCGLCKTRMIOS: bits that tcsetattr(3) cannot change */
	struct winsize winsize;
	enum pty_slaves slaves;
	bool locked;             /* unlockpt(3) was not called */
	bool packet;             /* TIOCPKT */
	uint8_t packet_status;   /* TIOCPKT_...: what the next read would report */
	bool exclusive[2];       /* TIOCEXCL of slave and master */
	enum pty_flow output;    /* of the slave */
	bool input_stopped;      /* tcflow(3) of the master */
	uint32_t mode, uid, gid; /* of /dev/pts/N */
	struct pty_bytes *lines; /* canonical mode: complete lines not read yet ... */
	size_t nr_lines;
	struct pty_bytes input;   /* ... and the line being typed; else all input */
	struct pty_bytes written; /* by the slave, not yet read by the master */
};

struct pty_priv {
	bool master;
	uint32_t index; /* N of /dev/pts/N */
	char *path;     /* by which it was opened: /dev/ptmx, /dev/pts/N, /dev/tty */
	bool hung_up;   /* slave that reads end of file for ever */
	uint32_t pair;  /* slave: ofd of the master; ID_NONE: hung up when that was closed */
	struct pty_state *state; /* of the master */
};

/* The index of a master or a slave, also of one opened as /dev/tty; -1: none, or hung up. */
int pty_index(int fd);
/* A slave that reads end of file for ever: its master was closed, or vhangup(2). */
bool pty_is_hung_up(int fd);
/*
 * A fresh descriptor of the slave (O_RDWR | O_NONBLOCK | O_CLOEXEC), whether locked or not. To open
 * and to close the first one changes what the master sees.
 */
int pty_slave_open(int master, int *slave, struct err *err);

/* ---- pty_state.c: alive <-> struct pty_state, all but queued data ---- */
int pty_state_read(int master, const char *path, uint32_t index, struct arena *arena,
	struct pty_state *state, struct err *err);
/* Owner and mode of the slave, window size; once, before the rest. */
int pty_state_make(int master, const char *path, uint32_t index, const struct pty_state *state,
	struct err *err);
/* Is any bit locked? */
bool pty_has_lock(const struct termios *lock);

/* ---- pty_queue.c: what was written to one end and not read from the other ---- */
/*
 * Takes all queued data out, and notes what can only be seen when the queues are empty: flow
 * control, status of packet mode. pty_queue_put() has to follow. slave as pty_slave_open() gives
 * it; -1 where it was never opened.
 */
int pty_queue_take(
	int master, int slave, struct arena *arena, struct pty_state *state, struct err *err);
/* Puts it back, or into a new pair; leaves terminal attributes, flow and packet mode as in state.
 */
int pty_queue_put(int master, int slave, const struct pty_state *state, struct err *err);

/* ---- pty_make.c ---- */
int pty_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err);
int pty_make_link(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);

/* ---- pty_message.c ---- */
int pty_pack(
	const struct snap *snap, const struct snap_ofd *ofd, struct Pb__Ofd *msg, struct err *err);
int pty_unpack(struct snap *snap, const struct Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err);

#endif
