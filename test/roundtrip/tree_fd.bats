#!/usr/bin/env bats
# Descriptors of several processes. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treefd_pipe: a pipe with data" { roundtrip treefd_pipe; }
@test "treefd_pipe_blocked: blocked at both ends" { roundtrip treefd_pipe_blocked waiting; }
@test "treefd_pipe_siblings: a pipe between siblings" { roundtrip treefd_pipe_siblings; }
@test "treefd_fifo: a FIFO between siblings" { roundtrip treefd_fifo; }
@test "treefd_offset: one offset" { roundtrip treefd_offset; }
@test "treefd_numbers: one number, two files" { roundtrip treefd_numbers; }
@test "treefd_swapped: exchanged numbers" { roundtrip treefd_swapped; }
@test "treefd_pipe_ended: a pipeline of which only the middle is left" { roundtrip treefd_pipe_ended; }
@test "treefd_many: 300 descriptors of a child" { roundtrip treefd_many; }
@test "treefd_last: descriptors up to the limit" { roundtrip treefd_last; }
@test "treefd_unlinked: unlinked files" { roundtrip treefd_unlinked; }
@test "treefd_directory: a directory" { roundtrip treefd_directory; }
@test "treefd_socketpair: a socket pair with data" { roundtrip treefd_socketpair; }
@test "treefd_socketpair_siblings: between siblings" { roundtrip treefd_socketpair_siblings; }
@test "treefd_socketpair_ended: standard input without peer" { roundtrip treefd_socketpair_ended; }
@test "treefd_listen: several accept from one socket" { roundtrip treefd_listen; }
@test "treefd_connection: a unix connection" { roundtrip treefd_connection; }
@test "treefd_eventfd: eventfd" { roundtrip treefd_eventfd; }
@test "treefd_timerfd: timerfd" { roundtrip treefd_timerfd; }
@test "treefd_epoll: a shared epoll set" { roundtrip treefd_epoll; }
@test "treefd_epoll_workers: epoll sets of workers" { roundtrip treefd_epoll_workers; }
@test "treefd_signalfd: signalfd" { roundtrip treefd_signalfd; }
@test "treefd_inotify: inotify" { roundtrip treefd_inotify; }
@test "treefd_pidfd: pidfds" { roundtrip treefd_pidfd; }
@test "treefd_setown: F_SETOWN of a child" { roundtrip treefd_setown; }
