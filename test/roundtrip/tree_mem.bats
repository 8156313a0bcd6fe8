#!/usr/bin/env bats
# Private memory after a fork. One test for each target of test/targets; see there for what is checked.
load ../helpers/snap

@test "treemem_values: values differ after a fork" { roundtrip treemem_values; }
@test "treemem_shared: untouched pages are shared" { roundtrip treemem_shared; }
@test "treemem_generations: by three generations" { roundtrip treemem_generations; }
@test "treemem_parent_changed: changed in the parent only" { roundtrip treemem_parent_changed; }
@test "treemem_parent_unmapped: unmapped in the parent only" { roundtrip treemem_parent_unmapped; }
@test "treemem_remapped: unmapped, protected, emptied in the child" { roundtrip treemem_remapped; }
@test "treemem_mremap: moved and resized in the child" { roundtrip treemem_mremap; }
@test "treemem_heap: heaps of other sizes" { roundtrip treemem_heap; }
@test "treemem_stack: a deeper stack" { roundtrip treemem_stack; }
@test "treemem_stack_parent: a deeper stack of the parent" { roundtrip treemem_stack_parent; }
@test "treemem_file: private pages of files" { roundtrip treemem_file; }
@test "treemem_advice: MADV_WIPEONFORK, MADV_DONTFORK" { roundtrip treemem_advice; }
@test "treemem_locks: mlock" { roundtrip treemem_locks; }
@test "treemem_lockall: mlockall" { roundtrip treemem_lockall; }
@test "treemem_many: 20,000 mappings of the child" { roundtrip treemem_many; }
@test "treemem_sparse: 64 GiB, hardly touched by either" { roundtrip treemem_sparse; }
@test "treemem_huge: huge pages" { roundtrip treemem_huge; }
@test "treemem_workers: ten workers together hold no more" { roundtrip treemem_workers; }
