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
