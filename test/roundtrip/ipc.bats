#!/usr/bin/env bats
# System V semaphores and messages. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

eval "$(declare -f teardown | sed '1s/teardown/snap_teardown/')"

# System V objects outlive processes.
teardown() {
    bash "$scratch/work/ipcrm" 2>/dev/null || true
    snap_teardown
}

@test "ipc_sem: System V semaphores" { roundtrip ipc_sem; }
@test "ipc_sem_undo: SEM_UNDO" { roundtrip ipc_sem_undo; }
@test "ipc_sem_tree: SEM_UNDO of three processes" { roundtrip ipc_sem_tree; }
@test "ipc_sem_waits: semop and semtimedop wait" { roundtrip ipc_sem_waits; }
@test "ipc_msg: System V messages" { roundtrip ipc_msg; }
@test "ipc_msg_waits: msgrcv and msgsnd wait" { roundtrip ipc_msg_waits; }
@test "ipc_own_limits: limits of an IPC namespace of its own" { roundtrip ipc_own_limits; }
@test "ipc_own: an IPC namespace of its own" { roundtrip ipc_own; }
@test "ipc_gone: removed in the meantime" {
    start_target ipc_gone
    dump_pid "$pid"
    bash "$scratch/work/ipcrm"
    restore
    check_target "$pid"
}
@test "ipc_sem_undo: to an ordinary user" {
    as_user
    roundtrip ipc_sem_undo pid,ns
}
@test "ipc_sem_undo: beside another program that is busy with semaphores" {
    start storm.log perl -e '
        my $set = semget(0, 1, 0600) // die; # IPC_PRIVATE
        my $on = 1;
        $SIG{TERM} = sub { $on = 0 };
        semctl($set, 0, 16, 9); # SETVAL
        while ($on) { semop($set, pack("s!3", 0, $_, 0)) || die for -9, 9 }
        print semctl($set, 0, 12, 0), "\n"; # GETVAL
        semctl($set, 0, 0, 0)' # IPC_RMID
    storm=$pid
    start_target ipc_sem_undo
    for _ in 1 2 3 4 5; do
        snapctl dump --force --leave-running --pid "$pid" -o "$(image)"
    done
    kill "$storm"
    "$TARGET" --wait-exit "$storm" 10
    [ "$(cat "$scratch/storm.log")" = 9 ]
    dump_pid "$pid" --force
    restore
    check_target "$pid"
}
