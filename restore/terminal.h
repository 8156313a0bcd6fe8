#ifndef RESTORE_TERMINAL_H
#define RESTORE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h> /* struct winsize; before asm/termbits.h */
#include <sys/types.h>

#include <asm/termbits.h> /* struct termios2; does not stand termios.h beside it */

/*
 * The caller's terminal, when the program had that of its launcher: a session whose terminal is
 * outside becomes the caller's, the program's foreground group is put in front, and terminal
 * attributes are as it had set them. At the end, and while it is stopped, the caller has them back,
 * as from any program that a shell runs.
 */

struct job;

struct terminal {
	int fd; /* one of the caller's 0, 1, 2; -1: there is none to hand on */
	pid_t group, their_group;
	bool lent; /* we are in front, so the program will be */
	bool away; /* given back, since the program has stopped */
	struct termios2 ours, theirs;
};

/* Before anything is made. */
void terminal_prepare(struct job *job);
/* When all groups stand, before anybody runs: foreground group and attributes. */
void terminal_give(const struct job *job);
/* When they run: the terminal is another one, perhaps of another size. */
void terminal_tell(const struct job *job);
/* The caller's again, and once more the program's, if the caller is in the foreground. */
void terminal_back(struct terminal *t);
void terminal_again(struct terminal *t);

#endif
