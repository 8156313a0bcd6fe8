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
}
