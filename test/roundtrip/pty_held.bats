#!/usr/bin/env bats
# Terminals that were given up, and full ones. One test for each target of test/targets/pty_held.c.
# not beside others: ptys (their numbers are looked at)
load ../helpers/snap

@test "ptyheld_sessions: who of a session has its terminal" { roundtrip ptyheld_sessions; }
@test "ptyheld_full: a terminal full of input and output" { roundtrip ptyheld_full; }
@test "ptyheld_flushed: a flush in packet mode, with output" { roundtrip ptyheld_flushed; }

@test "ptyheld_full: nothing is lost in a program that runs on" {
    start_target ptyheld_full
    snapctl dump --pid "$pid" -o "$(image)" --leave-running
    check_target "$pid"
}
