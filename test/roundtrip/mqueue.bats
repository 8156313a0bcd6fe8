#!/usr/bin/env bats
# POSIX message queues. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "mqueue_named: a message queue with a name" { roundtrip mqueue_named; }
@test "mqueue_deleted: a message queue without a name any more" { roundtrip mqueue_deleted; }

@test "a message queue that is gone is made again" {
    start_target mqueue_named
    local queue=/snapctl-target-$pid
    dump_pid "$pid"
    python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).mq_unlink(sys.argv[1].encode()))' "$queue"
    restore
    check_target "$pid"
}
