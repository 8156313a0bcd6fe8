/* Controlling terminals; see pty_ctty.h. */
#include "images/fd/pty_ctty.h"

#include "images/fd/kinds.h"
#include "images/fd/pty.h"

enum { PTS_MAJOR = 136 };

/* tty_nr of /proc/PID/stat is the kernel's own form of a device number: 12 bits of major. */
static bool is_terminal_of(uint32_t tty, const struct pty_priv *master)
{
	uint32_t index = (tty & 0xff) | (tty >> 12 & 0xfff00);

	return (tty >> 8 & 0xfff) == PTS_MAJOR && index == master->index;
}

uint32_t pty_ctty_of(const struct snap *snap, const struct snap_proc *proc)
{
	for (uint32_t i = 0; proc->tty && i < snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &snap->ofds[i];
		const struct pty_priv *priv = ofd->priv;

		if (ofd->kind == &fd_pty && ofd->inherited < 0 && priv->master &&
			is_terminal_of(proc->tty, priv))
			return i;
	}
	return ID_NONE;
}

int32_t pty_foreground_of(const struct snap *snap, const struct snap_proc *proc)
{
	for (size_t i = 0; i < snap->nr_procs; i++)
		if (snap->procs[i].sid == proc->sid && snap->procs[i].foreground)
			return snap->procs[i].pgid;
	return 0;
}

uint32_t pty_slave_of(const struct snap *snap, uint32_t master)
{
	for (uint32_t i = 0; i < snap->nr_ofds; i++) {
		const struct snap_ofd *ofd = &snap->ofds[i];
		const struct pty_priv *priv = ofd->priv;

		if (ofd->kind == &fd_pty && ofd->inherited < 0 && !priv->master && !priv->hung_up &&
			priv->pair == master)
			return i;
	}
	return ID_NONE;
}
