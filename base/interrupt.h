#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include <signal.h>

/*
 * Requests to give up: SIGINT, SIGTERM, SIGHUP and SIGQUIT are held back while something is under
 * way that has to be put back first: a target, a half image, what a restore has made. They take
 * effect when the mask is restored. A signal that we ignore (nohup) stays ignored.
 */
struct err;

struct stop_requests {
	sigset_t before; /* our mask as it was: what a launched program starts with */
	sigset_t watched;
};

void stop_requests_begin(struct stop_requests *s);
void stop_requests_end(struct stop_requests *s);
/* 0, or -EINTR with words when one of them came in. s may be NULL. */
int stop_requested(const struct stop_requests *s, struct err *err);

#endif
