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
