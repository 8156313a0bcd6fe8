#!/usr/bin/env bats
# Locks that several processes hold and wait for. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treelock_posix: POSIX locks of two processes" { roundtrip treelock_posix; }
@test "treelock_kids_only: a POSIX lock of a child alone" { roundtrip treelock_kids_only; }
@test "treelock_flock: one flock for both" { roundtrip treelock_flock; }
@test "treelock_flock_kids: flocks of the children" { roundtrip treelock_flock_kids lockowner; }
@test "treelock_ofd: locks of open files" { roundtrip treelock_ofd; }
@test "treelock_waits: blocked on a lock of the parent" { roundtrip treelock_waits; }
@test "treelock_lease: a lease of the child" { roundtrip treelock_lease lockowner; }
