#ifndef DUMP_TERMINAL_H
#define DUMP_TERMINAL_H

struct dumping;

/* snap->terminal: of the first inherited descriptor that is a terminal, if there is one. */
void terminal_collect(struct dumping *d);

#endif
