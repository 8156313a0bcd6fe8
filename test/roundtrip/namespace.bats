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

# Ids and capabilities of such a namespace would be real ones after a restore.
@test "a user namespace with other ids, or with capabilities, is refused" {
    for map in --map-root-user --map-current-user; do
        rm -f "$scratch/log"
        start log unshare --user $map --keep-caps --pid --fork --mount-proc --kill-child \
            sh -c 'sleep 1000 & echo up; wait'
        until_true grep -qx up "$scratch/log"
        inside=$(descendants "$pid" | tail -n 1)
        until_true grep -qx sleep "/proc/$inside/comm"
        run snapctl dump --pid "$inside" -o "$(image)"
        [ "$status" = 125 ]
        [[ $output == *"user namespace of its own"*hint:* ]]
        kill -0 "$inside"
    done
}

@test "where /proc is that of another PID namespace, what to do is said" {
    start log sleep 1000
    dump_pid "$pid"
    for command in "restore --detach $(image)" "dump --pid 1 -o $scratch/other"; do
        # shellcheck disable=SC2086 # words
        run unshare --pid --fork "$SNAPCTL" $command
        [ "$status" = 125 ]
        [[ $output == *"hint: /proc is missing here, or that of another PID namespace"* ]]
    done
}

# Ids that the machine of the dump had and this one has not. Each PID namespace has a limit of its own since Linux 6.14.
@test "ids above the limit of this machine get a namespace, too" {
    printf '6.14\n%s\n' "$(uname -r)" | sort -CV || skip "kernel.pid_max is the whole machine's"
    inside=(unshare --pid --fork --mount-proc --kill-child)
    prepare_target
    # shellcheck disable=SC2046 # three words
    (close_others && cd "$scratch/work" && "${inside[@]}" sh -c 'echo 100000 >/proc/sys/kernel/ns_last_pid && exec "$@"' - \
        env $(target_env) "$SNAPCTL" dump -o "$(image)" "$TARGET" mem_private) || fail "dump failed"
    for pids in auto keep; do
        start "$pids" "${inside[@]}" sh -c 'echo 32768 >/proc/sys/kernel/pid_max && exec "$@"' - \
            "$SNAPCTL" restore --pids=$pids "$(image)"
        [ $pids = keep ] || timeout 10 bash -c "echo check >'$scratch/ctl'"
        "$TARGET" --wait-exit "$pid" 20
    done
    [ "$(tail -n 1 "$scratch/out")" = OK ] || fail "$(cat "$scratch/out" "$scratch/auto")"
    grep -q 'hint: .*--pids=ns' "$scratch/keep" || fail "no remedy: $(cat "$scratch/keep")"
}

@test "a failure in a namespace that restore has made is not put down to /proc" {
    cp "$SERVER" "$scratch/work/server"
    start log "$scratch/work/server" 0
    dump_pid "$pid"
    echo changed >>"$scratch/work/server"
    run snapctl restore --detach --pids=ns "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"has changed since the dump"*hint:* ]]
    [[ $output != *"/proc is missing"* ]]
}

# Its root has all capabilities, but not over the PID namespace that is still the old one.
@test "in a user namespace alone, the program gets a PID namespace" {
    start_target mem_private
    dump_pid "$pid"
    run unshare --user --map-root-user "$SNAPCTL" restore --pids=keep --detach "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"hint: "*"--pids=ns"* ]]
    # shellcheck disable=SC2034 # of helpers/snap
    user=(unshare --user --map-root-user)
    restore
    check_target "$pid"
}
