#ifndef DUMP_UNTIL_RELAY_H
#define DUMP_UNTIL_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * A pipe (or, where it is a terminal, a pseudo terminal) between a standard output of the program
 * and ours: what comes out of the program is passed on at once, and shown line by line. At the end
 * the program gets ours, as if the relay had never been.
 */

struct err;
struct tracer;

struct relay {
	int to;         /* ours, borrowed: 1 or 2 */
	int from;       /* what we read; -1 when the program has closed it */
	int inner;      /* what the program gets; closed after the launch */
	struct stat st; /* of inner */
	bool tty;
	char line[8192]; /* what there is of it; longer ones are shown in pieces */
	size_t len;
	bool last_cr; /* a \r of the terminal that has not been passed on */
};

typedef void relay_line(void *arg, const char *line);

/* 0 with r->from -1 where there is nothing to relay: number `num` is not open. */
int relay_open(struct relay *r, int num, struct err *err);
/* In the child: it is descriptor `num` there; returns an errno. */
int relay_enter(const struct relay *r, int num);
/* Pass on what is there and can be taken without blocking; false: the outer side is full. */
bool relay_pass(struct relay *r, relay_line *each, void *arg);
/* The tree is frozen: put ours back into all its slots, and pass on the rest. */
int relay_undo(struct relay *r, struct tracer *tr, struct err *err);
void relay_finish(struct relay *r);

#endif
