#!/usr/bin/env bats
# Signals. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "signal_pending: pending signals of the process, in order, with payload" { roundtrip signal_pending; }
@test "signal_pending_thread: pending signals of threads" { roundtrip signal_pending_thread; }
@test "signal_actions: all actions with their flags" { roundtrip signal_actions; }
@test "signal_mask: masks of threads" { roundtrip signal_mask; }
@test "signal_altstack: alternate stacks, SS_AUTODISARM" { roundtrip signal_altstack; }
@test "signal_in_handler: inside a handler on the alternate stack" { roundtrip signal_in_handler; }
@test "signal_sigsuspend: the mask to come back to" { roundtrip signal_sigsuspend; }
@test "signal_stopped: stopped by a signal" {
    start_target signal_stopped
    kill -STOP "$pid"
    see before "$pid"
    trip signal_stopped
    kill -CONT "$pid"
    check_target "$pid"
}
@test "signal_ignored: SIGCHLD and SIGPIPE ignored" { roundtrip signal_ignored; }
@test "signal_busy: a signal every 0.3 ms" { roundtrip signal_busy; }
