#!/usr/bin/env bats
# postgresql: see helpers/real_tree.bash for what is checked.
load ../helpers/real_tree

@test "postgresql: launched by the dump" { launched_tree postgresql; }
@test "postgresql: running" { running_tree postgresql waiting; }

@test "postgresql: in an IPC namespace of its own" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    start holder.log unshare --ipc sleep infinity
    in_own() { [ "$(readlink "/proc/$pid/ns/ipc")" != "$(readlink /proc/self/ns/ipc)" ]; }
    until_true in_own
    # shellcheck disable=SC2034 # snapctl() and start() use it
    user=(nsenter "--ipc=/proc/$pid/ns/ipc" --)
    running_tree postgresql waiting
}

@test "postgresql: ends in order after the restore" {
    launched_tree postgresql
    sql "create table t as select 4711 x"
    kill -INT "$pid"
    "$TARGET" --wait-exit "$pid" 20
    "$pg_bin/pg_controldata" "$scratch/work/data" | grep -q 'cluster state: *shut down'
}
