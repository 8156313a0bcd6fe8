#ifndef DUMP_TERMINAL_H
#define DUMP_TERMINAL_H

#include <stdbool.h>
#include <sys/ioctl.h> /* struct winsize; before asm/termbits.h */
#include <sys/types.h>

#include <asm/termbits.h> /* struct termios2; does not stand termios.h beside it */

struct dumping;

/* snap->terminal: of the first inherited descriptor that is a terminal, if there is one. */
void terminal_collect(struct dumping *d);

/* The caller's terminal, as a launched program gets it from us. */
struct terminal_before {
	int fd; /* one of our 0, 1, 2; -1: there is none, or we are not in front */
	pid_t group;
	struct termios2 ours;
};

void terminal_note(struct terminal_before *t);
/* We have ended the program before it could do so itself. A terminal that somebody else has been
 * given meanwhile is left alone. */
void terminal_reset(const struct terminal_before *t);

#endif
