#include "images/fd/epoll.h"
int epoll_finish(const struct fd_make *m, const struct snap_ofd *ofd, int fd, struct err *err) { (void)m; (void)ofd; (void)fd; (void)err; return 0; }
