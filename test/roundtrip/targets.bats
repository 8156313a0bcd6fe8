#!/usr/bin/env bats
# The tests themselves.
load ../helpers/snap

@test "every target has a test" {
    local name missing=0
    while read -r name _; do
        grep -qE "(roundtrip|roundtrip_or_refusal|refusal|refusal_late|launched|start_target|start_init|trips|TARGET.|set_id [0-7]+) $name\b" "$BATS_TEST_DIRNAME"/*.bats || {
            echo "$name has none"
            missing=1
        }
    done < <("$TARGET" --list)
    [ $missing = 0 ]
}

@test "the visible state tells two processes apart" {
    start_target proc_umask
    see before "$pid"
    kill -KILL "$pid"
    rm "$scratch/ctl"
    start_target proc_nice
    see after "$pid"
    run same before after
    [ "$status" = 1 ]
    [[ $output == *"status Umask 0137"* ]]
    [[ $output == *nice=7* ]]
    run see_same before again "$pid"
    [ "$status" = 1 ]
    [[ $output == *"status Umask 0137"* ]]
    cmp "$scratch/after.state" "$scratch/again.state"
    run see_same after again "$pid"
    [ "$status" = 0 ]
}

@test "the visible state is not that between two others" {
    start log /usr/bin/python3 -c 'import itertools, os, time
for n in itertools.count(): os.umask(n % 0o1000); time.sleep(0.003)'
    until_true grep -q python3 "/proc/$pid/comm"
    run timeout 30 "$VISIBLE" --limit 0.3 "$pid"
    [[ $output == *"did not come to rest"* ]]
    kill -STOP "$pid"
    until_true grep -q '^State:.T' "/proc/$pid/status"
    run timeout 30 "$VISIBLE" --limit 10 "$pid"
    [[ $output != *"did not come to rest"* ]]
}
