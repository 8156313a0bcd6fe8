#ifndef DUMP_WORKER_H
#define DUMP_WORKER_H

/*
 * A dump runs in a child of snapctl. Whoever kills snapctl, even with SIGKILL in the middle of a
 * system call made inside the target, kills somebody who holds nothing: the child notices
 * (PR_SET_PDEATHSIG), puts the target back, removes the half image and ends.
 */

struct dump_opts;
struct dump_result;
struct err;
struct stop_requests;

typedef int worker_fn(const struct dump_opts *opts, const struct stop_requests *stop,
	struct dump_result *result, struct err *err);

/* Run work in a child and give back what it returned. Requests to stop are passed on to it. */
int worker_run(
	worker_fn *work, const struct dump_opts *opts, struct dump_result *result, struct err *err);

#endif
