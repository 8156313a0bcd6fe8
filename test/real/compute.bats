#!/usr/bin/env bats
# Programs that compute and never wait: the result is that of an undisturbed run. (cpu_crunch has AVX and threads.)
load ../helpers/real

@test "bc: pi to 2000 digits" {
    need bc
    echo 'scale = 2000; 4 * a(1)' >"$scratch/work/pi"
    start undisturbed bc -lq "$scratch/work/pi"
    "$TARGET" --wait-exit "$pid" 60
    start disturbed bc -lq "$scratch/work/pi"
    dump_pid "$pid"
    [ ! -s "$scratch/disturbed" ]
    restore
    "$TARGET" --wait-exit "$pid" 60
    [ "$(wc -c <"$scratch/undisturbed")" -gt 2000 ]
    cmp "$scratch/undisturbed" "$scratch/disturbed"
}

@test "bc: dumped and restored three times" {
    need bc
    echo 'scale = 2000; 4 * a(1)' >"$scratch/work/pi"
    start undisturbed bc -lq "$scratch/work/pi"
    "$TARGET" --wait-exit "$pid" 60
    start disturbed bc -lq "$scratch/work/pi"
    for _ in 1 2 3; do
        dump_pid "$pid" --force
        restore
    done
    "$TARGET" --wait-exit "$pid" 60
    cmp "$scratch/undisturbed" "$scratch/disturbed"
}

@test "bc: launched, and dumped in the middle of it" {
    need bc
    echo 'scale = 2000; 4 * a(1)' >"$scratch/work/pi"
    start undisturbed bc -lq "$scratch/work/pi"
    "$TARGET" --wait-exit "$pid" 60
    snapctl dump --until=after=150ms -o "$(image)" bc -lq "$scratch/work/pi" || fail "dump failed"
    snapctl show "$(image)"
    grep -q '1 thread: computing' "$scratch/said" || fail "it did not compute"
    start disturbed "$SNAPCTL" restore "$(image)"
    wait "$pid"
    [ "$(wc -c <"$scratch/undisturbed")" -gt 2000 ]
    cmp "$scratch/undisturbed" "$scratch/disturbed"
}

@test "several threads with AVX registers: launched, and dumped in the middle of it" {
    prepare_target
    # shellcheck disable=SC2046 # three words
    snapctl dump --until="probe=grep -q ^READY $scratch/out" --probe-interval 50ms -o "$(image)" \
        env $(target_env) "$TARGET" cpu_crunch || fail "dump failed"
    restore
    check_target "$pid"
}
