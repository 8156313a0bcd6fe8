#ifndef IMAGES_FD_INOTIFY_QUEUE_H
#define IMAGES_FD_INOTIFY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Events of inotify(7) that nobody has read. Reading takes them away, and nothing puts them back,
 * so they are made to happen again: to objects in a file system of ours (inotify_stage.h), each of
 * which is watched under the number of the watch that it stands for.
 *
 * A watch that goes leaves IN_IGNORED behind, which must not be seen. The kernel drops events
 * without a word where the queue is full and has its overflow event (fsnotify_insert_event() in
 * fs/notify/notification.c): so the queue is filled up with others first, those are read away until
 * there is room for what was recorded, and once it is full again, the stand-ins go and the
 * program's watches come.
 */

struct arena;
struct err;

struct inotify_saved {
	int32_t wd; /* -1: IN_Q_OVERFLOW */
	uint32_t mask, cookie;
	const char *name; /* NULL: none */
};

struct inotify_queue {
	struct inotify_saved *events;
	size_t nr, cap;
	int32_t next_wd; /* the number that the next watch gets; 0: not known */
};

/* A watch of the program's, and where it is. */
struct inotify_real {
	int32_t wd;
	uint32_t mask;
	const char *path;
	bool follow; /* path is a link of /proc to an open file */
};

/* What to do where a watch is refused (ENOSPC). */
#define INOTIFY_NO_WATCHES "raise fs.inotify.max_user_watches (sysctl)"

/* Whether an event can be one that the kernel made: of an image it is not known. */
bool inotify_saved_valid(const struct inotify_saved *event);

/* Throw away all that is queued. */
int inotify_drain(int fd, struct err *err);

/* The watch gets this number and mask; -EEXIST: the number that came is another one. */
int inotify_real_set(int fd, const struct inotify_real *real, uint32_t mask, struct err *err);

/*
 * What is queued at fd, a live one, which then is as it was. Cookies are new ones; what happens to
 * the watched files meanwhile is added. Behind the first `own` bytes, that files were read is left
 * out: that was the dump.
 */
int inotify_queue_save(int fd, size_t own, const struct inotify_real *reals, size_t nr,
	struct arena *arena, struct inotify_queue *queue, struct err *err);

/* Instead of what is queued at fd, which has these watches. Sets next_wd where it is not known. */
int inotify_queue_put(int fd, const struct inotify_real *reals, size_t nr,
	struct inotify_queue *queue, struct err *err);

#endif
