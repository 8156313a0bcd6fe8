#!/usr/bin/env bats
# Locks. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "lock_flock: flock exclusive and shared" { roundtrip lock_flock; }
@test "lock_posix: POSIX record locks" { roundtrip lock_posix; }
@test "lock_ofd: open file description locks" { roundtrip lock_ofd; }
@test "lock_lease: a lease" { roundtrip lock_lease; }
@test "lock_deleted: flock on a deleted file" { roundtrip lock_deleted; }
@test "lock_mapped: flock held by a mapping alone" { roundtrip lock_mapped; }
@test "lock_child: POSIX locks of a child through a shared descriptor" { roundtrip lock_child; }
@test "lock_notify: a directory watched with F_NOTIFY" { refusal lock_notify 'F_NOTIFY'; }
