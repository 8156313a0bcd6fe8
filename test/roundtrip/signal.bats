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

@test "a signal that comes before it runs again ends the call it was in" {
    start woken.log /usr/bin/python3 -uc '
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.pause()
print("woken")'
    until_true grep -q '^34 ' "/proc/$pid/syscall" # pause
    kill -STOP "$pid"
    until_true grep -q '^State:.*stopped' "/proc/$pid/status"
    dump_pid "$pid"
    restore
    kill -USR1 "$pid"
    kill -CONT "$pid"
    "$TARGET" --wait-exit "$pid" 10 || fail "it waits for another signal"
    [ "$(cat "$scratch/woken.log")" = $'handled\nwoken' ]
}
