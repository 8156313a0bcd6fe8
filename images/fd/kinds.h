#ifndef IMAGES_FD_KINDS_H
#define IMAGES_FD_KINDS_H

#include "images/fd/kind.h"

/* Every kind there is; the order in which they are asked stands in kinds.c. */
extern const struct fd_kind fd_reg, fd_pty, fd_chardev, fd_pipe, fd_eventfd, fd_timerfd,
	fd_signalfd, fd_epoll, fd_memfd, fd_pidfd, fd_inotify, fd_mqueue, fd_fanotify, fd_unix,
	fd_inet, fd_netlink, fd_ns, fd_packet, fd_io_uring;

#endif
