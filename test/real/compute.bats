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
