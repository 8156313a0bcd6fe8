#ifndef IMAGES_FD_PROC_GONE_H
#define IMAGES_FD_PROC_GONE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Files below /proc/PID of a process that has ended and was waited for: who reads them is told so
 * (ESRCH).
 */

struct err;

/* Is there no such process, not even a dead one? */
bool proc_gone(int32_t pid);
/* "/proc/42/rest" -> 42 and "/rest"; 0 for every other path. */
int32_t proc_path_pid(const char *path, const char **rest);
/* Open /proc/PID + rest as it was opened when the process lived; pid is its number if it can be. */
int proc_gone_open(int32_t pid, const char *rest, int flags, int *fd, struct err *err);

#endif
