#ifndef RESTORE_PIDFILE_H
#define RESTORE_PIDFILE_H

#include <sys/types.h>

/* The file that tells the id of the program (--pidfile); a path of NULL means none. */

struct err;

/* Before there is a process: once it runs it would be late to learn that nobody can be told. */
int pidfile_check(const char *path, struct err *err);
/* It appears as a whole, or not at all. */
int pidfile_write(const char *path, pid_t pid, struct err *err);

#endif
