#!/usr/bin/env bats
# Locks. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "lock_flock: flock exclusive and shared" { roundtrip lock_flock; }
@test "lock_posix: POSIX record locks" { roundtrip lock_posix; }
@test "lock_ofd: open file description locks" { roundtrip lock_ofd; }
@test "lock_lease: a lease" { roundtrip_or_refusal lock_lease; }
@test "lock_deleted: flock on a deleted file" { roundtrip_or_refusal lock_deleted; }
