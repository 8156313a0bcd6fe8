#ifndef IMAGES_FD_REG_H
#define IMAGES_FD_REG_H

#include <stdint.h>

/*
 * Files below /proc/PID that can only be opened when all processes stand with their memory: those
 * of other processes than the first one, those of threads, and those bound to the memory that a
 * process has (maps, mem). Until then /dev/null keeps their place.
 */

struct snap;
struct snap_ofd;

/* What follows /proc/PID in the path of such a file, and the PID; NULL: it is none. */
const char *reg_later(const struct snap *snap, const struct snap_ofd *ofd, int32_t *pid);
/* The thread, other than the first, of /proc/PID/task/TID and what is below that; 0: it is none. */
int32_t reg_thread(const struct snap_ofd *ofd, const char **behind);
/* For open(2). */
uint32_t reg_later_flags(const struct snap_ofd *ofd);

/*
 * Some flags a file can only be opened with when it is made: what O_TMPFILE has made may get a name
 * later, and O_NOFOLLOW needs one. The file whose descriptor this is, if it has one of these in
 * *flags (for open(2)); else ID_NONE.
 */
uint32_t reg_made_with(const struct snap_ofd *ofd, uint32_t *flags);

/* How this descriptor uses that file: O_RDONLY, O_WRONLY, O_RDWR or 3; -1: it is none of it. */
int reg_access(const struct snap_ofd *ofd, uint32_t file);

#endif
