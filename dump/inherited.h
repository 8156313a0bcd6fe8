#ifndef DUMP_INHERITED_H
#define DUMP_INHERITED_H

/*
 * Descriptors that came from whoever launched the program (DESIGN D10): at restore they are the
 * caller's. Of a program that we launched, they are those that are the same open file description
 * as one of our own; of a running one, those that lead outside (a terminal, a pipe or socket whose
 * other end is not part of the dump) and are descriptors 0, 1, 2, or the same in its parent or in
 * us.
 *
 * A terminal is usually one description in three slots. Each of 0, 1, 2 is then recorded as an
 * entry of its own, since at restore they may lead to three different places.
 */

struct dumping_proc;
struct err;

/* Marks the ofds of p that fds.c has registered. */
int inherited_mark(struct dumping_proc *p, struct err *err);

#endif
