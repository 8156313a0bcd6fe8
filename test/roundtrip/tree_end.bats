#!/usr/bin/env bats
# Ends and stops of children. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "zombie_status: exit status" { roundtrip zombie_status; }
@test "zombie_signal: killed by signals" { roundtrip zombie_signal; }
@test "zombie_signal_handled: by signals its parent does not die of" { roundtrip zombie_signal_handled; }
@test "zombie_waitid: what waitid tells" { roundtrip zombie_waitid; }
@test "zombie_order: wait in the order of births" { roundtrip zombie_order; }
@test "zombie_many: 60 zombies" { roundtrip zombie_many; }
@test "zombie_of_child: zombies of a child" { roundtrip zombie_of_child; }
@test "zombie_ids: groups and sessions of zombies" { roundtrip zombie_ids; }
@test "sigchld_counted: no SIGCHLD is doubled" { roundtrip sigchld_counted; }
@test "sigchld_pending: a pending SIGCHLD" { roundtrip sigchld_pending; }
@test "sigchld_not_pending: a SIGCHLD that was taken" { roundtrip sigchld_not_pending; }
@test "sigchld_nobody_waits: SA_NOCLDWAIT" { roundtrip sigchld_nobody_waits; }
@test "sigchld_ignored: SIGCHLD ignored" { roundtrip sigchld_ignored; }
@test "sigchld_ignored_later: SIGCHLD ignored after the end" { roundtrip sigchld_ignored_later; }
@test "tree_ending: children of many threads that end all the time" {
    start_target tree_ending
    for i in {1..40}; do snapctl check --pid "$pid" >/dev/null || fail "look $i: $(cat "$scratch/said")"; done
    trip tree_ending
    note_pid "$(descendants "$pid")"
    check_target "$pid"
}
@test "stopped_untold: stops that were not waited for" { roundtrip stopped_untold; }
@test "stopped_told: a stop that was waited for" { roundtrip stopped_told; }
@test "stopped_pending: a signal waits for the end of a stop" { roundtrip stopped_pending; }
@test "stopped_threads: stopped with threads" { roundtrip stopped_threads; }
@test "stopped_grandchild: a stopped child of a stopped child" { roundtrip stopped_grandchild; }
