#!/usr/bin/env bats
# Memory that processes share. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treeshm_anon: shared anonymous memory" { roundtrip treeshm_anon; }
@test "treeshm_memfd: a memfd" { roundtrip treeshm_memfd; }
@test "treeshm_memfd_closed: a memfd without a descriptor" { roundtrip treeshm_memfd_closed; }
@test "treeshm_file: a file" { roundtrip treeshm_file; }
@test "treeshm_posix: POSIX shared memory, unlinked" { roundtrip treeshm_posix openflags; }
@test "treeshm_sysv: a System V segment, removed" { roundtrip treeshm_sysv; }
@test "treeshm_sysv_kids: attached by children" { roundtrip treeshm_sysv_kids; }
@test "treeshm_kids_only: shared by the children only" { roundtrip treeshm_kids_only; }
@test "treeshm_parts: other parts, protections and places" { roundtrip treeshm_parts; }
@test "treeshm_large: 150 MB, hardly touched" { roundtrip treeshm_large; }
@test "treeshm_memfd_private: private and shared mappings" { roundtrip treeshm_memfd_private; }
@test "treeshm_mapped_only: removed, and without a descriptor" { roundtrip treeshm_mapped_only; }
@test "treeshm_mapped_only: of an ordinary user, who cannot open it" {
    as_user
    roundtrip treeshm_mapped_only pid,ns
}
@test "treeshm_waits: futexes, mutexes, semaphores, barriers" { roundtrip treeshm_waits; }
@test "treeshm_robust: owners of robust mutexes that die" { roundtrip treeshm_robust; }
