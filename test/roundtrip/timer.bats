#!/usr/bin/env bats
# Interval timers and POSIX timers. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "timer_itimers: three interval timers" { roundtrip timer_itimers; }
@test "timer_itimer_fires: an interval timer goes on" { roundtrip timer_itimer_fires; }
@test "timer_clocks: POSIX timers of six clocks" { roundtrip timer_clocks; }
@test "timer_ids: ids with holes" { roundtrip timer_ids; }
@test "timer_signal: SIGEV_SIGNAL with payload" { roundtrip timer_signal; }
@test "timer_thread_id: SIGEV_THREAD_ID" { roundtrip timer_thread_id; }
@test "timer_thread_clock: CPU clock of another thread" { roundtrip timer_thread_clock; }
@test "timer_thread: SIGEV_THREAD" { roundtrip timer_thread; }
@test "timer_absolute: TIMER_ABSTIME" { roundtrip timer_absolute; }
@test "timer_overrun: fired and pending, overruns" { roundtrip timer_overrun; }
@test "timer_alarm: alarm" { roundtrip timer_alarm; }

# Some of them expire while the processes stand still, so more than one look.
@test "timer_expiring: some expire at the moment of the dump" {
    start_target timer_expiring
    dump_pid "$pid"
    restore
    rm -r "$(image)"
    dump_pid "$pid"
    restore
    check_target "$pid"
}
