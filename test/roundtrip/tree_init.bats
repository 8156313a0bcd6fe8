#!/usr/bin/env bats
# A tree in a PID namespace of its own, whose first process is process 1 there: so it is again.
load ../helpers/snap

inside=(unshare --pid --fork --mount-proc)

# start_init TARGET: sets pid, as seen from here.
start_init() {
    prepare_target
    # shellcheck disable=SC2046 # three words
    start target.log "${inside[@]}" env $(target_env) "$TARGET" "$1"
    "$TARGET" --wait-line "$scratch/out" READY 20 >/dev/null ||
        fail "target $1 did not become ready: $(cat "$scratch/out" "$scratch/target.log")"
    pid=$(pgrep -P "$pid")
    note_pid "$pid"
}

is_init() { grep -q '^NSpid:.*\s1$' "/proc/$1/status" || fail "$(grep NSpid "/proc/$1/status")"; }

again() {
    start_init treeodd_init
    dump_pid "$pid"
    restore
    is_init "$pid"
    dump_pid "$pid" --force
    restore
    is_init "$pid"
    check_target "$pid"
}

@test "process 1, twice" { again; }

@test "process 1, twice, as an ordinary user" {
    as_user
    inside+=(--user --map-current-user)
    again
}

@test "process 1: in the foreground, with its exit status" {
    start sh.log "${inside[@]}" sh -c 'mkfifo line; read -r line <>line; exit $((40 + $$))'
    until_true test -p "$scratch/work/line"
    pid=$(until_true pgrep -P "$pid")
    until_true sh -c "grep -q '^State:.*S' /proc/$pid/status"
    dump_pid "$pid"
    start said_by_program "$SNAPCTL" restore "$(image)"
    local status=0
    timeout 10 sh -c "echo go >'$scratch/work/line'"
    wait "$pid" || status=$?
    [ "$status" = 41 ]
}

@test "process 1: a restore that fails leaves nothing" {
    start_init treeodd_init
    dump_pid "$pid"
    mv "$scratch/out" "$scratch/gone"
    rm "$scratch/ctl"
    run snapctl restore --detach "$(image)"
    [ "$status" = 125 ]
    [[ $output == *ctl* ]]
    ! pgrep -f "$TARGET treeodd_init"
}
