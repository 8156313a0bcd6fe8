/* Requests to give up; see interrupt.h. */
#include "base/interrupt.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

static const int requests[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

enum { NR_REQUESTS = sizeof requests / sizeof requests[0] };

void stop_requests_begin(struct stop_requests *s)
{
	struct sigaction action;
	sigset_t held;

	sigemptyset(&s->watched);
	for (size_t i = 0; i < NR_REQUESTS; i++)
		if (!sigaction(requests[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&s->watched, requests[i]);
	held = s->watched;
	/* A file that gets too large (ulimit -f) is an error like others. */
	sigaddset(&held, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &held, &s->before);
}

void stop_requests_end(struct stop_requests *s)
{
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

int stop_requested(const struct stop_requests *s, struct err *err)
{
	sigset_t pending;

	if (!s || sigpending(&pending) < 0)
		return 0;
	for (size_t i = 0; i < NR_REQUESTS; i++)
		if (sigismember(&s->watched, requests[i]) && sigismember(&pending, requests[i]))
			return err_set(
				err, EINTR, "given up: got SIG%s", sigabbrev_np(requests[i]));
	return 0;
}
