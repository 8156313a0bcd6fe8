#!/usr/bin/env bats
# Real programs as packed images, and in gdb: see helpers/real.bash for what is checked.
load ../helpers/real

# In place of the helper's: from one file, with nothing else there.
restore() {
    local packed=$scratch/work/server.snap unpacked=$snapctl
    snapctl pack "$(image)" -o "$packed"
    rm -rf "$(image)" "$scratch/work/pidfile"
    snapctl=$packed
    snapctl --detach --pidfile "$scratch/work/pidfile" "$@" || fail "the packed image did not run"
    snapctl=$unpacked
    pid=$(cat "$scratch/work/pidfile")
    note_pid "$pid"
    note_parent "$pid"
}

@test "packed: redis, launched" { from_start redis; }
@test "packed: Python, running" { running python; }
@test "packed: a server of three processes" { running forked; }

@test "packed: redis of an ordinary user, in a namespace" {
    as_user
    running redis pid,ns,caps,waiting -- --pids=ns
}

@test "core: redis with keys, in gdb" {
    # shellcheck disable=SC2034 # for check_redis
    launched=0
    port=$(free_port)
    command_redis
    start redis.log "${command[@]}"
    wait_port "$port"
    fill_redis
    until_true snapctl check --pid "$pid" >/dev/null || fail "check: $(cat "$scratch/said")"
    snapctl dump --leave-running --pid "$pid" -o "$(image)"
    snapctl core "$(image)" -o "$scratch/work/core"
    timeout "$limit" gdb -nx -batch -iex 'set debuginfod enabled off' -ex bt -ex 'info threads' -ex 'info proc mappings' \
        "/proc/$pid/exe" "$scratch/work/core" >"$scratch/gdb" 2>&1 </dev/null
    grep -q ' in aeMain ' "$scratch/gdb" && grep -q ' in main ' "$scratch/gdb" || fail "$(cat "$scratch/gdb")"
    [ "$(grep -c 'Thread 0x.*LWP.* in ' "$scratch/gdb")" = "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" ]
    grep -q "$(readlink "/proc/$pid/exe")" "$scratch/gdb"
    check_redis
}
