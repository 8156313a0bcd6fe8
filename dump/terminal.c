/* The terminal that the program has from its launcher: how it is set. */
#include "dump/terminal.h"

#include <string.h>
#include <sys/ioctl.h> /* struct winsize; before asm/termbits.h */

#include <asm/termbits.h>

#include "dump/dumping.h"
#include "dump/fds.h"

static bool terminal_read(int fd, struct snap_terminal *terminal)
{
	struct termios2 termios;
	struct winsize size;

	if (ioctl(fd, TCGETS2, &termios) < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0)
		return false;
	*terminal = (struct snap_terminal){
		.known = true,
		.iflag = termios.c_iflag,
		.oflag = termios.c_oflag,
		.cflag = termios.c_cflag,
		.lflag = termios.c_lflag,
		.rows = size.ws_row,
		.cols = size.ws_col,
	};
	_Static_assert(sizeof terminal->cc == sizeof termios.c_cc, "control characters");
	memcpy(terminal->cc, termios.c_cc, sizeof terminal->cc);
	return true;
}

void terminal_collect(struct dumping *d)
{
	const struct snap *snap = d->snap;

	for (uint32_t i = 0; i < snap->nr_ofds; i++)
		if (snap->ofds[i].inherited >= 0 &&
			terminal_read(d->slots->seen[i].seen.fd, &d->snap->terminal))
			return;
}
