#!/usr/bin/env bats
# Seccomp and syscall user dispatch. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "confine_filter: a seccomp filter" { roundtrip confine_filter; }
@test "confine_chain: three seccomp filters" { roundtrip confine_chain; }
@test "confine_dropped: a filter without no_new_privs" { roundtrip confine_dropped; }
@test "confine_tight: a filter that kills for nearly everything" { roundtrip confine_tight; }
@test "confine_threads: threads with filters of their own" { roundtrip confine_threads; }
@test "confine_tsync: filters shared between threads" { roundtrip confine_tsync; }
@test "confine_tree: processes with filters of their own" { roundtrip confine_tree; }
@test "confine_strict: a thread in strict mode" { roundtrip confine_strict; }
@test "confine_strict_kills: strict mode still kills" { roundtrip confine_strict_kills; }
@test "confine_trap: SECCOMP_RET_TRAP" { roundtrip confine_trap; }
@test "confine_child: a child inherits the filter" { roundtrip confine_child; }
@test "confine_dispatch: syscall user dispatch" { roundtrip confine_dispatch; }
@test "confine_dispatch_on: a thread whose calls are blocked" { roundtrip confine_dispatch_on waiting; }
@test "confine_notify: SECCOMP_RET_USER_NOTIF" { refusal_late confine_notify 'seccomp filter asks another program'; }
@test "confine_filter in a pid namespace of its own" { roundtrip confine_filter pid,ns -- --pids=ns; }
