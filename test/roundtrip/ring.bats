#!/usr/bin/env bats
# io_uring, idle. One test for each target of test/targets; see there for what is checked. What is refused of it: refuse.bats.
load ../helpers/snap

@test "ring_idle: idle io_urings" { roundtrip ring_idle; }
@test "ring_shared: an io_uring that a child waits for" { roundtrip ring_shared; }
@test "ring_worker: an io_uring with a worker that is left over" { roundtrip ring_worker; }
@test "ring_worker from its start" { launched ring_worker; }
@test "idle io_urings, as an ordinary user" {
    as_user
    roundtrip ring_idle pid,ns -- --pids=ns
}
@test "idle io_urings of a program that is dumped and goes on" {
    start_target ring_idle
    see before "$pid"
    snapctl dump --pid "$pid" -o "$(image)" --leave-running
    grep -q 'io_uring.*8 entries, 3008 operations done' <(snapctl show "$(image)") || fail "show does not tell"
    see after "$pid"
    same before after
    check_target "$pid"
}
