#!/usr/bin/env bats
# epoll. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "epoll_level: level-triggered" { roundtrip epoll_level; }
@test "epoll_edge: edge-triggered" { roundtrip epoll_edge; }
@test "epoll_reported: edges that were reported" { roundtrip epoll_reported; }
@test "epoll_oneshot: oneshot, spent and loaded" { roundtrip epoll_oneshot; }
@test "epoll_exclusive: exclusive" { roundtrip epoll_exclusive; }
@test "epoll_nested: nested" { roundtrip epoll_nested; }
@test "epoll_closed: a descriptor closed behind its back" { roundtrip epoll_closed; }
@test "epoll_reused: closed, and its number used again" { roundtrip epoll_reused; }
@test "epoll_dup: duplicates on both sides" { roundtrip epoll_dup; }
@test "epoll_many: 200 descriptors" { roundtrip epoll_many; }
@test "epoll_sockets: sockets" { roundtrip epoll_sockets; }
@test "epoll_processes: an epoll set of two processes" { roundtrip epoll_processes; }
