/* The terminal of whoever launched the program. Part of the file "state". */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "images/state.h"
#include "proto/state.pb-c.h"

void terminal_pack(const struct snap *snap, Pb__State *m)
{
	const struct snap_terminal *terminal = &snap->terminal;
	Pb__Termios *termios;

	if (!terminal->known)
		return;
	m->terminal = arena_alloc(snap->arena, sizeof *m->terminal);
	pb__callers_terminal__init(m->terminal);
	termios = m->terminal->termios = arena_alloc(snap->arena, sizeof *termios);
	pb__termios__init(termios);
	PUT(termios, iflag, terminal->iflag);
	PUT(termios, oflag, terminal->oflag);
	PUT(termios, cflag, terminal->cflag);
	PUT(termios, lflag, terminal->lflag);
	PUT_BYTES(termios, cc, terminal->cc, sizeof terminal->cc);
	PUT(m->terminal, rows, terminal->rows);
	PUT(m->terminal, cols, terminal->cols);
}

int terminal_unpack(struct snap *snap, const Pb__State *m, struct err *err)
{
	const Pb__CallersTerminal *in = m->terminal;
	struct snap_terminal *terminal = &snap->terminal;

	if (!in)
		return 0;
	if (!in->termios || in->termios->cc.len != sizeof terminal->cc)
		return BAD(err, "the caller's terminal: no attributes");
	if (in->rows > UINT16_MAX || in->cols > UINT16_MAX)
		return BAD(err, "the caller's terminal: a window of %ux%u", in->cols, in->rows);
	*terminal = (struct snap_terminal){
		.known = true,
		.iflag = in->termios->iflag,
		.oflag = in->termios->oflag,
		.cflag = in->termios->cflag,
		.lflag = in->termios->lflag,
		.rows = (uint16_t)in->rows,
		.cols = (uint16_t)in->cols,
	};
	memcpy(terminal->cc, in->termios->cc.data, sizeof terminal->cc);
	return 0;
}
