/* A monotonic clock that does not go backwards; see clock.h. */
#include "restore/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "restore/job.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* linux/sched.h, 5.6 */
#endif

static const uint64_t NS = 1000000000ull;

static uint64_t clock_now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* Seconds by which a clock would go back, rounded up; 0: it does not. */
static uint64_t clock_lag(clockid_t id, uint64_t recorded)
{
	uint64_t now = clock_now(id);

	return recorded > now ? (recorded - now + NS - 1) / NS : 0;
}

static int offsets_write(uint64_t monotonic, uint64_t boottime)
{
	OWNED_FD fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	char text[96];
	int len = snprintf(text, sizeof text, "monotonic %" PRIu64 " 0\nboottime %" PRIu64 " 0\n",
		monotonic, boottime);

	return fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
}

int clock_prepare(struct job *job, struct err *err)
{
	uint64_t shift = job->opts->debug_clock_back ? 1000000 * NS : 0;
	uint64_t monotonic = clock_lag(CLOCK_MONOTONIC, job->snap->info.monotonic + shift);
	uint64_t boottime = clock_lag(CLOCK_BOOTTIME, job->snap->info.boottime + shift);

	(void)err;
	if (!monotonic && !boottime)
		return 0;
	/* Our children enter it, we do not. */
	if (unshare(CLONE_NEWTIME) < 0 || offsets_write(monotonic, boottime) < 0) {
		log_warn("the program's monotonic clock goes back by %" PRIu64
			 " s (a time namespace, "
			 "which would prevent that: %s)",
			monotonic, strerror(errno));
		return 0;
	}
	job->make.monotonic_ahead = monotonic * NS;
	job->make.boottime_ahead = boottime * NS;
	log_info("time namespace: the monotonic clock is set forward by %" PRIu64 " s", monotonic);
	return 0;
}
