#ifndef TEST_TARGETS_GATE_H
#define TEST_TARGETS_GATE_H

#include <sys/types.h>

/*
 * How the processes of a family wait for each other where kids (tree.h) do not fit: a gate that is
 * opened for so many of them, and a pipe for word of who is there. Both are pipes that those have
 * who were forked since.
 */
extern int gate[2], word[2];

void gate_make(void);
/* Until it is opened; gives the byte. */
char gate_await(void);
void gate_open(int times);
void word_tell(pid_t pid);
pid_t word_hear(void);

/* Wait for a child that has to end with this code, and to tell of it by SIGCHLD. */
void ended_with(pid_t pid, int code);

#endif
