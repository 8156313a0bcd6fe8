#!/usr/bin/env bats
# What belongs to the process as a whole. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "proc_rlimits: limits, soft and hard" { roundtrip proc_rlimits; }
@test "proc_rlimit_exceeded: a descriptor above the limit" { roundtrip proc_rlimit_exceeded; }
@test "proc_umask: umask" { roundtrip proc_umask; }
@test "proc_cwd: working directory" { roundtrip proc_cwd; }
@test "proc_cwd_deleted: a deleted working directory" { roundtrip proc_cwd_deleted; }
@test "proc_chroot: another root directory" { roundtrip proc_chroot; }
@test "proc_nice: nice" { roundtrip proc_nice; }
@test "proc_ioprio: ioprio" { roundtrip proc_ioprio; }
@test "proc_personality: personality" { roundtrip proc_personality; }
@test "proc_dumpable: PR_SET_DUMPABLE 0" { roundtrip proc_dumpable; }
@test "proc_pdeathsig: PR_SET_PDEATHSIG" { roundtrip proc_pdeathsig; }
@test "proc_pdeathsig_told: PR_SET_PDEATHSIG, and no parent's end" { roundtrip proc_pdeathsig_told; }
@test "proc_pdeathsig_told: the leader of its session has ended" {
    prepare_target
    mkfifo "$scratch/work/go"
    # shellcheck disable=SC2046 # three words
    start leader.log setsid sh -c \
        "{ read -r _ <>go; exec $(printf '%s ' env $(target_env)) $TARGET proc_pdeathsig_told; } & echo \$! >pid"
    "$TARGET" --wait-exit "$pid" 10 # else it is told of this end
    timeout 10 sh -c "echo >'$scratch/work/go'"
    "$TARGET" --wait-line "$scratch/out" READY 20 >/dev/null || fail "not ready"
    read -r pid <"$scratch/work/pid"
    note_pid "$pid"
    see before "$pid"
    trip proc_pdeathsig_told
    check_target "$pid"
}
@test "proc_pdeathsig_told: new ids, as an ordinary user" {
    [ "$(id -u)" != 0 ] || as_user
    roundtrip proc_pdeathsig_told pid,vpid -- --pids=new
}
@test "proc_subreaper: PR_SET_CHILD_SUBREAPER" { roundtrip proc_subreaper; }
@test "proc_oom: oom_score_adj" { roundtrip proc_oom; }
@test "proc_coredump_filter: coredump_filter" { roundtrip proc_coredump_filter; }
@test "proc_title: title written over argv" { roundtrip proc_title; }
@test "proc_cmdline_moved: PR_SET_MM_ARG_START" { roundtrip proc_cmdline_moved; }
@test "proc_setsid: leader of a session of its own" { roundtrip proc_setsid; }
@test "proc_pgid: leader of a process group of its own" { roundtrip proc_pgid; }
@test "proc_clock: clocks go on" { roundtrip proc_clock; }
@test "proc_fork: can fork, exec and wait" { roundtrip proc_fork; }
@test "proc_exe_deleted: the executable was deleted" { roundtrip proc_exe_deleted; }
@test "proc_mdwe: PR_SET_MDWE" { roundtrip proc_mdwe; }
@test "proc_tsc: PR_GET_TSC" { roundtrip proc_tsc; }
@test "proc_memory_merge: PR_SET_MEMORY_MERGE" { roundtrip proc_memory_merge; }
@test "proc_child: a child process" { roundtrip proc_child; }
@test "proc_zombie: a child that has ended" { roundtrip proc_zombie; }
