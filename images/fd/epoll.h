#ifndef IMAGES_FD_EPOLL_H
#define IMAGES_FD_EPOLL_H

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "images/fd/kind.h"

/* What epoll.c and epoll_make.c share. */

/* Linux 6.9, struct epoll_params of linux/eventpoll.h. */
struct epoll_busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer, pad;
};
#define EPOLL_IOC_SET_PARAMS _IOW(0x8a, 1, struct epoll_busy_poll)
#define EPOLL_IOC_GET_PARAMS _IOR(0x8a, 2, struct epoll_busy_poll)

/* How to report, not what; the kernel's EP_PRIVATE_BITS. */
#define EPOLL_HOW_BITS ((uint32_t)EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

struct epoll_item {
	int32_t num; /* slot under which it was added */
	uint32_t ofd;
	uint32_t events; /* EPOLL...; no event bit at all: one-shot that was delivered */
	uint64_t data;
	bool moved;    /* the slot is empty or holds another ofd */
	bool reported; /* edge-triggered and ready, and that was told */
};

struct epoll_priv {
	struct epoll_item *items; /* sorted by num */
	size_t nr_items;
	struct epoll_busy_poll busy; /* zeroed where the kernel knows none */
};

/* Which items have `reported`. */
void epoll_edges_find(const struct fd_seen *seen, struct epoll_priv *priv);

int epoll_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err);
int epoll_make_link(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);
bool epoll_finish_needed(const struct snap *snap, const struct snap_ofd *ofd);
int epoll_finish(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err);

#endif
