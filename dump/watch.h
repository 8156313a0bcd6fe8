#ifndef DUMP_WATCH_H
#define DUMP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What each thread of a tree was seen doing, from sample to sample. Threads run; nothing is
 * stopped. */

struct tracer;
struct tracee;

enum watch_state {
	WATCH_WAITS,   /* for something outside, or in a sleep that is known to be periodic */
	WATCH_STOPPED, /* in a group-stop */
	WATCH_VFORK,  /* for its child, which shares its memory until it execs: it cannot be stopped
		       */
	WATCH_SLEEPS, /* a short sleep that may be one of the start-up */
	WATCH_DISK,   /* state D */
	WATCH_ENDED,  /* a first thread, with others living on */
	WATCH_RUNS,
};

struct watch {
	pid_t pid, tid;
	enum watch_state state;
	int64_t nr; /* system call, -1 where there is none */
	uint64_t sp, pc;
	uint64_t switches; /* voluntary context switches at the last look */
	unsigned returns;  /* how often it came back to the same sleep */
	bool fresh;        /* seen in the present sample */
};

struct watches {
	struct watch *all; /* malloc'ed */
	size_t nr, cap;
};

/* Look at every thread; true if each one waits, and *signature then tells this state from others.
 */
bool watches_sample(struct watches *w, const struct tracer *tr, uint64_t *signature);
void watches_finish(struct watches *w);

#endif
