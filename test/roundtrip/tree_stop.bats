#!/usr/bin/env bats
# Stops of children. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "stopped_again: a SIGSTOP for a stopped child" { roundtrip stopped_again; }
@test "continued_blocked: a blocked signal behind a SIGCONT" { roundtrip continued_blocked; }
# Every few dumps, the signal is found between its sender and its receiver.
@test "stop_mill: a child that is stopped all the time" {
    start_target stop_mill
    for _ in {1..10}; do
        trip stop_mill
        note_pid "$(descendants "$pid" | head -n 1)"
        rm -rf "$(image)"
    done
    check_target "$pid"
}
