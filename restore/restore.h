#ifndef RESTORE_RESTORE_H
#define RESTORE_RESTORE_H

#include <stdbool.h>

/* From an image to a running process. */

struct err;
struct progress;

enum restore_pids { PIDS_AUTO, PIDS_KEEP, PIDS_NS, PIDS_NEW };

/*
 * What to do where a data file is no longer as it was: use it as it is, put back what travelled in
 * the image, or fail. AUTO keeps files that the program shares with others through a mapping if
 * their size is the same, and fails for all others. A program file that has changed always fails,
 * unless it travelled.
 */
enum restore_files { FILES_AUTO, FILES_KEEP, FILES_RESTORE, FILES_FAIL };

struct restore_opts {
	const char *image;
	bool self; /* it is a packed one, and this program is part of it; image is its name */
	enum restore_pids pids;
	bool detach;
	const char *pidfile; /* or NULL */
	bool tcp_close, tcp_established;
	const char *const
		*inherit; /* "N=M": recorded descriptor N is our M; NULL-terminated, or NULL */
	const char *const *setenv; /* NAME=VALUE for programs that ask libsnapctl; NULL or ends with
				      NULL */
	const char *const *args;   /* the same: what stands behind "--" */
	enum restore_files files;
	bool debug_vdso_differs;   /* hidden: behave as if the vdso were another one (D14) */
	bool debug_clock_back;     /* hidden: behave as if the clock had been 1,000,000 s further */
	unsigned threads;          /* decompressors; 0: as many as CPUs */
	struct progress *progress; /* or NULL */
};

/*
 * Restores and, unless detached, stands in for the program until it ends: *status is then what
 * snapctl has to exit with (128+N for signals). With detach, returns when the program runs.
 * A failed restore leaves no process.
 */
int restore_run(const struct restore_opts *opts, int *status, struct err *err);

#endif
