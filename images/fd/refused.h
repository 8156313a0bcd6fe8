#ifndef IMAGES_FD_REFUSED_H
#define IMAGES_FD_REFUSED_H

/* Says in err what the descriptor is, why it cannot be dumped and what to do; -ENOTSUP. A table of
 * what people meet: io_uring, userfaultfd, bpf, perf, fanotify, device files, and the rest by its
 * name. */
struct err;
struct fd_seen;
int fd_refused(const struct fd_seen *seen, struct err *err);

#endif
