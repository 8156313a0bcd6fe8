#ifndef IMAGES_FD_INOTIFY_STAGE_H
#define IMAGES_FD_INOTIFY_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/way.h"

/*
 * Where events of inotify(7) are made to happen: a directory that nobody else knows, with a file or
 * directory for each watch that they are about.
 */

struct err;
struct inotify_saved;

struct stand {
	int32_t wd;
	int dir; /* of the object: the stage's, or that of a mount which will go */
	bool is_dir, alive, unmounts;
	bool ignored; /* its IN_IGNORED has come along with its end */
};

struct stage {
	int fd;             /* inotify */
	int dir;            /* a file system of its own where that is allowed */
	char path[WAY_OWN]; /* a directory in a common one, where not; else "" */
	int junk_fd;
	int32_t junk_wd;
	unsigned junk_nr;
	struct stand *stands;
	size_t nr_stands, cap_stands;
};

/* No bit of it ever happens to an object of a stage while it is set. */
#define STAGE_QUIET ((uint32_t)IN_UNMOUNT)

int stage_init(struct stage *s, int fd, struct err *err);
/* Takes the objects away, and watches that are left. */
void stage_finish(struct stage *s);

/* Nameless events without a meaning, of which no two in a row are merged. */
int stage_junk(struct stage *s, size_t nr, struct err *err);
/* Events [from, to) of a queue of nr. */
int stage_play(struct stage *s, const struct inotify_saved *events, size_t nr, size_t from,
	size_t to, struct err *err);
int stage_unwatch(struct stage *s, struct err *err);

/* The next number to be given out. Linux 4.16, linux/inotify.h, with CONFIG_CHECKPOINT_RESTORE. */
#define INOTIFY_SET_NEXT_WD _IOW('I', 0, int32_t)
/* inotify_add_watch() under a number of our choice; name: an object in dir. */
int stage_watch(int fd, int dir, const char *name, int32_t wd, uint32_t mask, struct err *err);

#endif
