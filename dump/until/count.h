#ifndef DUMP_UNTIL_COUNT_H
#define DUMP_UNTIL_COUNT_H

#include <stdbool.h>

/* The Nth time of something: "syscall=openat:3". */

struct buf;
struct err;

struct count {
	unsigned long wanted, seen;
	char ordinal[32]; /* "3rd" */
};

/* text NULL: the first. */
int count_parse(struct count *c, const char *condition, const char *text, struct err *err);
/* It has happened once more: true if that was the time. */
bool count_up(struct count *c);
const char *count_ordinal(const struct count *c);
/* " (2 so far)"; nothing if there were none. */
void count_so_far(const struct count *c, struct buf *out);

#endif
