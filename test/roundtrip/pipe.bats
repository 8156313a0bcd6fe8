#!/usr/bin/env bats
# Pipes and FIFOs. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "pipe_contents: empty, filled, full" { roundtrip pipe_contents; }
@test "pipe_size: F_SETPIPE_SZ" { roundtrip pipe_size; }
@test "pipe_packets: O_DIRECT packets" { roundtrip pipe_packets; }
@test "pipe_one_end: without reader or writer" { roundtrip pipe_one_end; }
@test "pipe_dup: duplicated ends" { roundtrip pipe_dup; }
@test "pipe_reopened: a second description of one end" { roundtrip pipe_reopened; }
@test "pipe_fifo: FIFOs with contents" { roundtrip pipe_fifo; }
@test "pipe_fifo_linked: a FIFO with another name" { roundtrip pipe_fifo_linked; }
@test "pipe_fifo_deleted: a deleted FIFO" { roundtrip pipe_fifo_deleted; }
@test "pipe_partly: partly read" { roundtrip pipe_partly; }
