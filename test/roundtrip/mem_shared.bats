#!/usr/bin/env bats
# Memory objects: shared anonymous, memfd, System V. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "memshared_anon: shared anonymous memory" { roundtrip memshared_anon; }
@test "memshared_twice: one object mapped twice" { roundtrip memshared_twice; }
@test "memshared_part: a part from the middle of an object" { roundtrip memshared_part; }
@test "memfd_mapped: memfd, two shared and a private mapping" { roundtrip memfd_mapped; }
@test "memfd_closed: memfd without a descriptor" { roundtrip memfd_closed; }
@test "memfd_seals: seals" { roundtrip memfd_seals; }
@test "memfd_future_write: F_SEAL_FUTURE_WRITE and an older mapping" { roundtrip memfd_future_write; }
@test "memsysv_removed: System V segment, already removed" { roundtrip memsysv_removed; }
@test "memsysv_kept: System V segment that outlives the process" { roundtrip memsysv_kept; }
@test "memsysv_kept: to an ordinary user" {
    as_user
    roundtrip memsysv_kept pid,ns
}
