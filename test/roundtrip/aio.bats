#!/usr/bin/env bats
# Contexts of asynchronous I/O (io_setup). One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "aio_idle: contexts with events that nobody has read" { roundtrip aio_idle; }
@test "aio_idle from its start" { launched aio_idle; }
@test "aio_shared: contexts of a child, and one that a thread waits for" { roundtrip aio_shared; }
@test "aio_busy: a poll that is under way is refused" { refusal_late aio_busy 'asynchronous I/O \(io_setup\) has 1 request under way'; }
@test "idle contexts of asynchronous I/O, as an ordinary user" {
    as_user
    roundtrip aio_idle pid,ns -- --pids=ns
}
@test "contexts of a program that is dumped and goes on" {
    start_target aio_idle
    see before "$pid"
    snapctl dump --pid "$pid" -o "$(image)" --leave-running
    see after "$pid"
    same before after
    check_target "$pid"
}
