#ifndef DUMP_IN_FLIGHT_H
#define DUMP_IN_FLIGHT_H

#include <stdint.h>

/*
 * Open file descriptions in flight: sent over a unix socket (SCM_RIGHTS) and not received yet.
 * Often nobody has them in a slot any more.
 */

struct dumping;
struct err;
struct fd_dump;
struct fd_seen;

/* The hook ofd_of_fd of images/fd/kind.h. */
int in_flight_ofd(
	struct fd_dump *hooks, const struct fd_seen *via, int fd, uint32_t *ofd, struct err *err);

/*
 * When all are saved. Queues are filled before there are other processes than the first: what is
 * opened later (pidfd.h, reg.h) is refused.
 */
int in_flight_check(struct dumping *d, struct err *err);

#endif
