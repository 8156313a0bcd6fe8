#!/usr/bin/env bats
# Signals, waits and registers few programs see. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "odd_signal: pending in odd ways; a lease" { roundtrip odd_signal; }
@test "odd_signal_timer: a timer set again" { roundtrip odd_signal_timer; }
@test "odd_cpu: set_thread_area, int 0x80" { roundtrip odd_cpu; }
@test "odd_cpu_busy: code of 32 bits, the flag ID" { roundtrip odd_cpu_busy; }
@test "odd_cpu_prctl: ids of timers, slots of futexes, dispatch" { roundtrip odd_cpu_prctl; }
@test "odd_wait: calls that stops break" { roundtrip odd_wait; }
