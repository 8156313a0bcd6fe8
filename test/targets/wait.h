#ifndef TEST_TARGETS_WAIT_H
#define TEST_TARGETS_WAIT_H

#include <stdatomic.h>
#include <time.h>

#include "target.h"

/*
 * One system call that waits: how to prepare for it, block in it, and wake it up. It must give the
 * same results after a round trip, and not before its time.
 */
enum { NO_TIMEOUT = 1 }; /* in .lapsed: this call knows no timeout */

struct call {
	const char *name;
	long nr;
	void (*prepare)(struct call *c);
	long (*block)(
		struct call *c, int ms); /* for ms, or for ever if negative; result or -errno */
	void (*wake)(struct call *c);
	long woken, lapsed; /* results when woken and when time is over */
	int fds[2], epoll;
	atomic_uint word;
	atomic_int tid, stop;
	int64_t nr_lapsed;
	int timeout;
	pthread_t thread;
};

/* What raw system calls give: the result or -errno. */
long wait_result(long result);
struct timespec wait_span(int ms);
/* So long from now on. */
struct timespec wait_moment(clockid_t clock, int ms);

/* Each call in a thread of its own: for `timeout` ms (negative: for ever), and woken after the
 * round trip. */
void wait_all_once(struct call *calls, size_t nr, int timeout);
/* Again and again for a short time. */
void wait_all_short(struct call *calls, size_t nr);

#endif
