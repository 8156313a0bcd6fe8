#!/usr/bin/env bats
# Threads. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "thread_many: 100 threads with their storage" { roundtrip thread_many; }
@test "thread_names: names with odd bytes" { roundtrip thread_names; }
@test "thread_affinity: CPU affinity" { roundtrip thread_affinity; }
@test "thread_sched: policies, priorities, nice" { roundtrip thread_sched; }
@test "thread_timerslack: timer slack" { roundtrip thread_timerslack; }
@test "thread_robust: the robust list" { roundtrip thread_robust; }
@test "thread_recursive: owners of mutexes" { roundtrip thread_recursive; }
@test "thread_pi: a contended priority inheritance mutex" { roundtrip thread_pi; }
@test "thread_churn: threads come and go all the time" { roundtrip thread_churn; }
@test "thread_leader_gone: the first thread has ended" { roundtrip thread_leader_gone; }
@test "thread_leader_gone_watching: the first thread has ended; epoll and inotify" { roundtrip thread_leader_gone_watching; }
@test "thread_join_pending: pthread_join in progress" { roundtrip thread_join_pending; }
@test "thread_own_files: an unshared descriptor table" { roundtrip thread_own_files; }
@test "thread_own_personality: a personality of its own" { roundtrip thread_own_personality; }
@test "thread_own_cwd: an unshared working directory" { roundtrip thread_own_cwd; }
@test "thread_own_chains: tables and directories shared in chains" { roundtrip thread_own_chains; }
@test "thread_own_removed: a removed working directory" { roundtrip thread_own_removed; }
@test "thread_own_root: a root directory of its own" { roundtrip thread_own_root; }
@test "thread_own_with_child: a table shared with a child" { refusal thread_own_with_child 'shares a descriptor table with process [0-9]+ \(thread [0-9]+\), and its first thread'; }

@test "thread_pidfds: pidfds of threads" { roundtrip thread_pidfds; }
@test "thread_pidfds: in a PID namespace" {
    start_target thread_pidfds
    dump_pid "$pid"
    restore --pids=ns
    check_target "$pid"
}
@test "thread_files: files of threads below /proc" { roundtrip thread_files; }
@test "thread_files: with new ids" {
    start_target thread_files
    dump_pid "$pid"
    restore --pids=new
    check_target "$pid"
}
@test "pidfd_reaped: how a child ended that was waited for" { roundtrip pidfd_reaped; }
