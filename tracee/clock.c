/* Time limits, and sleep until something is reported or the time has come. */
#include "tracee/internal.h"

#include <signal.h>

enum { MAX_SLEEP_MS = 50 };

struct timespec clock_after_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	return t;
}

/* Rounded up, so that 0 means that the time has come. */
int clock_ms_until(const struct timespec *when)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (when->tv_sec - now.tv_sec) * 1000000000LL + when->tv_nsec - now.tv_nsec;
	return ns <= 0 ? 0 : (int)((ns + 999999) / 1000000);
}

void tracer_sleep(const struct timespec *deadline)
{
	int ms = clock_ms_until(deadline);
	struct timespec wait = { 0 };
	sigset_t chld;

	wait.tv_nsec = (ms < MAX_SLEEP_MS ? ms : MAX_SLEEP_MS) * 1000000L;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigtimedwait(&chld, NULL, &wait);
}
