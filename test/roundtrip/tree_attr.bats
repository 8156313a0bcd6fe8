#!/usr/bin/env bats
# What each process of a tree has for itself. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeattr_places: cwd and umask" { roundtrip treeattr_places; }
@test "treeattr_cwd_deleted: a deleted cwd of the child" { roundtrip_or_refusal treeattr_cwd_deleted; }
@test "treeattr_limits: limits, nice, affinity, oom_score_adj" { roundtrip treeattr_limits; }
@test "treeattr_back: attributes that only the parent has" { roundtrip treeattr_back; }
@test "treeattr_users: workers of other users" { roundtrip treeattr_users; }
@test "treeattr_seccomp: a seccomp filter of the child" { roundtrip treeattr_seccomp; }
@test "treeattr_name: the name of the child" { roundtrip treeattr_name; }
@test "treeattr_pending: pending signals of each" { roundtrip treeattr_pending; }
@test "treeattr_dispositions: signal actions that differ" { roundtrip treeattr_dispositions; }
@test "treeattr_signals: waiting for signals of the parent" { roundtrip treeattr_signals; }
@test "treeattr_timers: timers and sleeps of children" { roundtrip treeattr_timers; }
