#!/usr/bin/env bats
# Restored into a namespace of its own, and dumped again from outside.
load ../helpers/snap

again() { # ALLOWED: a target is restored with --pids=ns, twice
    start_target mem_private
    dump_pid "$pid"
    restore --pids=ns
    snapctl check --pid "$pid" || fail "check: $(cat "$scratch/said")"
    dump_pid "$pid" --force
    restore --pids=ns
    check_target "$pid"
}

@test "second generation from a PID namespace" { again; }

@test "second generation from a PID namespace, as an ordinary user" {
    as_user
    again
}

@test "a dump from inside leaves the program running" {
    start_target mem_private
    dump_pid "$pid"
    restore --pids=ns
    snapctl dump --leave-running --pid "$pid" -o "$scratch/work/second" || fail "$(cat "$scratch/said")"
    snapctl verify "$scratch/work/second"
    check_target "$pid"
}
