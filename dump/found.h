#ifndef DUMP_FOUND_H
#define DUMP_FOUND_H

/*
 * Words for what was found, from a snap whose tasks and descriptors are collected: fills
 * info.reason, info.listens and result->found ("quiescent: 5 threads: epoll_wait, 4 futex; listens
 * on 127.0.0.1:7777").
 */

struct dumping;

void found_describe(struct dumping *d);

#endif
