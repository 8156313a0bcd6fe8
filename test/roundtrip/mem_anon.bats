#!/usr/bin/env bats
# Private anonymous memory. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "mem_private: contents, zero and untouched pages" { roundtrip mem_private; }
@test "mem_dontneed: MADV_DONTNEED gives zeroes" { roundtrip mem_dontneed; }
@test "mem_mremap: a mapping can grow and move" { roundtrip mem_mremap; }
@test "mem_prot_none: PROT_NONE with and without content" { roundtrip mem_prot_none; }
@test "mem_prot_mix: all protections with content" { roundtrip mem_prot_mix; }
@test "mem_sparse: 64 GiB with 64 pages" { roundtrip mem_sparse; }
@test "mem_brk: the heap goes on where it ended" { roundtrip mem_brk; }
@test "mem_stack: the stack still grows" { roundtrip mem_stack; }
@test "mem_growsdown: MAP_GROWSDOWN still grows" { roundtrip mem_growsdown; }
@test "mem_guard: MADV_GUARD_INSTALL still faults" { roundtrip mem_guard; }
@test "mem_guard_empty: 16 MiB of guards without any page" { roundtrip mem_guard_empty; }
@test "mem_many_vmas: 3000 mappings" { roundtrip mem_many_vmas; }
@test "mem_big: 48 MiB of incompressible pages" { roundtrip mem_big; }
@test "mem_jit: generated code runs" { roundtrip mem_jit; }
@test "mem_reserve: 16 GiB reserved, a little committed" { roundtrip mem_reserve; }
@test "mem_edges: lowest and highest addresses" { roundtrip mem_edges; }
@test "mem_advice: sequential, random, dontfork, dontdump, (no)hugepage" { roundtrip mem_advice; }
@test "mem_wipeonfork: MADV_WIPEONFORK comes back wiped" { roundtrip mem_wipeonfork; }
@test "mem_mergeable: MADV_MERGEABLE" { roundtrip mem_mergeable; }
@test "mem_mlock: mlock, mlock2 on fault, locked and PROT_NONE" { roundtrip mem_mlock; }
@test "mem_mlockall: MCL_FUTURE" { roundtrip mem_mlockall; }
@test "mem_thp: huge pages" { roundtrip mem_thp; }
@test "mem_named: PR_SET_VMA_ANON_NAME" { roundtrip mem_named; }
@test "mem_sealed: mseal" { roundtrip mem_sealed; }
@test "mem_droppable: MAP_DROPPABLE" { roundtrip mem_droppable; }
@test "mem_thp_disabled: PR_SET_THP_DISABLE" { roundtrip mem_thp_disabled; }
@test "mem_thp_advised: PR_THP_DISABLE_EXCEPT_ADVISED" { roundtrip mem_thp_advised; }
@test "mem_first_page: the page at address 0" { roundtrip mem_first_page; }
