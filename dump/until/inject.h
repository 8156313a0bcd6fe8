#ifndef DUMP_UNTIL_INJECT_H
#define DUMP_UNTIL_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Changing what stands in the descriptor slots of a frozen process, by remote calls. */

struct arena;
struct err;
struct tracee;

struct slot {
	int num;
	int flags; /* O_... of the description, and O_CLOEXEC of the slot */
};

/* The slots of t that hold this file (device and inode), in the arena. None in a zombie. */
int inject_find(struct tracee *t, const struct stat *st, struct arena *a, struct slot **slots,
	size_t *nr, struct err *err);
/* -ENOTSUP where an epoll set of t watches one of them: it would lose sight of it. */
int inject_unwatched(
	struct tracee *t, const struct slot *slots, size_t nr, struct arena *a, struct err *err);
/* Put our descriptor fd into these slots: the same open file description. */
int inject_replace(struct tracee *t, int fd, const struct slot *slots, size_t nr, struct err *err);
int inject_close(struct tracee *t, const struct slot *slots, size_t nr, struct err *err);

#endif
