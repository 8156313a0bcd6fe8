#ifndef DUMP_READABLE_H
#define DUMP_READABLE_H

#include <sys/types.h>

/* Reading a file that the target has open, without a trace in its position or its atime. */

struct err;

/* The file behind fd (any open mode, O_PATH too) as a description of our own, for reading. */
int file_reopen(int fd, int *out, struct err *err);

/*
 * Likewise, but where not even its owner may open it, a duplicate of the target's own descriptor
 * will do; closing it puts back the position that reading has moved. Begin with READABLE_NONE.
 */
struct readable {
	int fd;
	off_t position; /* to be put back; -1: it is our own */
};
#define READABLE_NONE ((struct readable){ -1, -1 })

int readable_open(int fd, struct readable *out, struct err *err);
void readable_close(struct readable *r);

#define OWNED_READABLE __attribute__((cleanup(readable_close))) struct readable

#endif
