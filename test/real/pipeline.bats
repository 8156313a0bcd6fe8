#!/usr/bin/env bats
# Shell pipelines that are dumped in the middle of their work: no byte is lost, doubled or reordered.
load ../helpers/real_tree

# pipeline SCRIPT: bash runs it; what it writes into the file result is the judgement
pipeline() {
    start pipeline.log bash -c "$1"
}

# Until the file has grown to some bytes.
has_bytes() { [ "$(stat -c %s "$scratch/work/$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

has_below() { [ "$(nr_below "$pid")" = "$1" ]; }

# Nobody asks first whether it may be dumped: it is at work.
trip_busy() {
    local old
    old=$(descendants "$pid")
    dump_pid "$pid" --force
    for member in $old; do until_true gone "$member" || fail "process $member lives on"; done
    restore
    note_tree "$pid"
}

ended() { "$TARGET" --wait-exit "$pid" 60 || fail "it never ended: $(cat "$scratch/pipeline.log")"; }

@test "pipeline: waiting for more" {
    mkfifo "$scratch/work/in"
    pipeline 'exec 3<>in; head -c 2000 <&3 | tr a-z A-Z | sha256sum >result; echo ended >>result'
    until_true has_below 3
    note_tree "$pid"
    head -c 1000 /usr/share/common-licenses/GPL-3 >"$scratch/one"
    tail -c 1000 /usr/share/common-licenses/GPL-3 >"$scratch/two"
    cat "$scratch/one" >"$scratch/work/in"
    trip_busy
    trip_busy
    cat "$scratch/two" >"$scratch/work/in"
    ended
    is "$(head -n 1 "$scratch/work/result")" "$(cat "$scratch/one" "$scratch/two" | tr a-z A-Z | sha256sum)"
    is "$(tail -n 1 "$scratch/work/result")" ended
}

@test "pipeline: producer, filter, consumer at work, five times" {
    local round below
    mkfifo "$scratch/work/go"
    # It is not over before it is told so, however long the rounds take.
    pipeline 'exec 3<>go; { seq 1 20000000; read -r <&3; } | sed s/7/seven/ | tee seen | sha256sum >result
        echo ended >>result'
    for round in 1 2 3 4 5; do
        until_true has_bytes seen $((round * 20000000))
        note_tree "$pid"
        trip_busy
        below=$(nr_below "$pid")
        [ "$below" = 4 ] || [ "$below" = 5 ] || fail "round $round: $below processes are left" # seq may be over
    done
    echo >"$scratch/work/go"
    ended
    is "$(head -n 1 "$scratch/work/result")" "$(seq 1 20000000 | sed s/7/seven/ | sha256sum)"
    is "$(tail -n 1 "$scratch/work/result")" ended
}
