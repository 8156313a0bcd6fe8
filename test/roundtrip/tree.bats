#!/usr/bin/env bats
# Families of processes. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "tree_children: three children" { roundtrip tree_children; }
@test "tree_grandchildren: children with children" { roundtrip tree_grandchildren; }
@test "tree_wide: 200 children" { roundtrip tree_wide; }
@test "tree_deep: 100 generations" { roundtrip tree_deep; }
@test "tree_bushy: 14 children with 13 each" { roundtrip tree_bushy; }
@test "tree_threads: children with threads" { roundtrip tree_threads; }
@test "tree_fork_thread: a child of a thread" { roundtrip tree_fork_thread; }
@test "tree_subreaper: an adopted child" { roundtrip tree_subreaper; }
@test "tree_subreaper_child: a child that has adopted" { roundtrip tree_subreaper_child; }
@test "tree_adopts_later: adoption goes on working" { roundtrip tree_adopts_later; }
@test "tree_daemon: an orphan that leads a session" { launched tree_daemon; }
@test "tree_daemon_twice: an orphan whose session leader has ended" { launched tree_daemon_twice; }
@test "tree_exit_signal: exit signals other than SIGCHLD" { roundtrip tree_exit_signal; }
@test "tree_pdeathsig: PR_SET_PDEATHSIG of a grandchild" { roundtrip tree_pdeathsig; }
@test "tree_waiting: blocked in wait4 and waitid" { roundtrip tree_waiting; }

# again NAME: what was restored is dumped and restored once more.
again() {
    start_target "$1"
    see before "$pid"
    trip "$1"
    rm -r "$(image)"
    trip "$1"
    check_target "$pid"
}

in_namespace() { roundtrip "$1" pid,ns -- --pids=ns; }

@test "second generation: family" { again tree_bushy; }
@test "second generation: adopted" { again tree_subreaper; }
@test "second generation: zombies" { again zombie_signal; }
@test "second generation: sessions" { again treeid_session_leader_gone; }
@test "second generation: groups" { again treeid_group_leader_gone; }
@test "second generation: memory" { again treemem_values; }
@test "second generation: shared pages" { again treemem_generations; }
@test "second generation: waiting in shared memory" { again treeshm_waits; }
@test "second generation: descriptors" { again treefd_numbers; }
@test "second generation: epoll" { again treefd_epoll_workers; }
@test "second generation: locks" { again treelock_posix; }
@test "second generation: other programs" { again treeexec_pipeline; }

@test "in a namespace: family" { in_namespace tree_grandchildren; }
@test "in a namespace: adopted" { in_namespace tree_subreaper; }
@test "in a namespace: zombies" { in_namespace zombie_many; }
@test "in a namespace: sessions" { in_namespace treeid_session; }
@test "in a namespace: groups" { in_namespace treeid_group_leader_gone; }
@test "in a namespace: shared pages" { in_namespace treemem_shared; }
@test "in a namespace: descriptors" { in_namespace treefd_numbers; }
@test "in a namespace: other programs" { in_namespace treeexec_cat; }

@test "launched: family" { launched tree_bushy; }
@test "launched: zombies" { launched zombie_status; }
@test "launched: groups" { launched treeid_nephews; }
@test "launched: sessions" { launched treeid_session; }
@test "launched: memory" { launched treemem_remapped; }
@test "launched: waiting in shared memory" { launched treeshm_waits; }
@test "launched: descriptors" { launched treefd_socketpair; }
@test "launched: other programs" { launched treeexec_shell; }

@test "new ids are refused" {
    start_target tree_children
    dump_pid "$pid"
    run snapctl restore --detach --pids=new "$(image)"
    [ "$status" = 125 ]
    [[ $output == *"processes that know each other by their ids"*"hint: use --pids=ns"* ]]
}
