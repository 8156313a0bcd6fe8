#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* From a live process to an image. */

struct err;
struct progress;

struct dump_opts {
	char *const *argv;   /* program to launch, or NULL */
	pid_t pid;           /* running process, or 0 */
	pid_t pid_outside;   /* the same as the caller sees it, where we went to its namespaces */
	bool userns_entered; /* a user namespace of the target's own is one of them */
	bool ask;            /* it is to be asked first (snapctl_listen) */
	const char *image;   /* where the image goes */
	bool force;          /* replace an older image there */
	bool leave_running;  /* go on after the dump; else it is killed once the image is safe */
	const char *const
		*until;      /* when a launched program is stopped, ends with NULL; NULL: quiescent
			      */
	const char *warmup;  /* shell command that runs then, or NULL */
	unsigned settle_ms;  /* how long it must be quiet (launch only) */
	unsigned timeout_ms; /* how long to wait for that, and again for the warm-up */
	unsigned probe_interval_ms;
	bool tcp_close, tcp_established;
	bool embed;       /* contents of mapped files travel too */
	int level;        /* zstd; 0: not compressed */
	unsigned threads; /* compressors; 0: as many as CPUs */
	/* Shared memory for the result as it is when the image is whole, before the target is
	 * ended; or NULL. */
	struct dump_result *early;
	struct progress *progress; /* in shared memory, or NULL */
};

/* What there is to tell afterwards. */
struct dump_result {
	bool committed;  /* the image is whole, whatever comes after */
	char found[512]; /* "quiescent: 5 threads: epoll_wait, 4 futex; listens on 127.0.0.1:7777"
			  */
	unsigned long long pages_bytes, image_bytes;
	double frozen_ms, total_ms;
	bool ended;        /* the program ended before it could be dumped ... */
	int wait_status;   /* ... with this; dump_run returned an error that says so */
	bool not_launched; /* the program itself could not be run: err->code is ENOENT, EACCES ...
			    */
};

/* What opts->until may be, for help and completion: the i-th condition; false: there are no more.
 */
struct dump_until {
	const char *name, *usage, *summary; /* "listen", "listen[=PORT|PATH]", "a process of ..." */
	bool must, may;                     /* have an argument */
	const char *(*value)(size_t i); /* its arguments, NULL behind the last; or NULL: no list */
};
bool dump_until_nth(size_t i, struct dump_until *out);

/* Is it something for opts->until? -EINVAL says what is wrong with it. */
int dump_until_check(const char *value, struct err *err);

int dump_run(const struct dump_opts *opts, struct dump_result *result, struct err *err);

/* All that stands against a dump of pid, one line each to out; returns how many, or a negative
 * errno. */
int dump_check(pid_t pid, const struct dump_opts *opts, FILE *out, struct err *err);

#endif
